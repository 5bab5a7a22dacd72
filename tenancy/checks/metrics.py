"""
Can what TENANCY_METRICS promises be counted?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning

from tenancy.conf import settings
from tenancy.metrics import instruments

MIDDLEWARE = "tenancy.metrics.requests.MetricsMiddleware"
TENANTS = "tenancy.middleware.TenantMiddleware"


def check_metrics(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.METRICS:
        return []
    messages: list[CheckMessage] = []
    if not instruments.is_installed():
        messages.append(
            Error(
                "TENANCY_METRICS is True, and prometheus_client is not installed.",
                hint="Type: pip install prometheus-client, or set TENANCY_METRICS = False.",
                id="tenancy.E083",
            )
        )
    if not _is_before_tenants(list(django_settings.MIDDLEWARE)):
        messages.append(
            Warning(
                "TENANCY_METRICS is True, and requests are not counted, or not those that are "
                "turned away.",
                hint=f"Put {MIDDLEWARE!r} before {TENANTS!r} in MIDDLEWARE.",
                id="tenancy.W084",
            )
        )
    return messages


def _is_before_tenants(middleware: list[str]) -> bool:
    if MIDDLEWARE not in middleware:
        return False
    return TENANTS not in middleware or middleware.index(MIDDLEWARE) < middleware.index(TENANTS)


CHECKS = (check_metrics,)
