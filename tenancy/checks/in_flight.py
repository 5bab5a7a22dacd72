"""
Is the limit of requests in flight one, and does anybody count them?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error

from tenancy import in_flight
from tenancy.conf import settings

TENANT_MIDDLEWARE = "tenancy.middleware.TenantMiddleware"
IN_FLIGHT = "tenancy.in_flight.InFlightMiddleware"
LIMITS = "tenancy.limits.LimitMiddleware"


def check_in_flight(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(message, hint=hint, id="tenancy.E088")
        for message, hint in (*_unclear_limits(), *_uncounted_limits())
    ]


def _unclear_limits() -> Iterator[tuple[str, str]]:
    for limits in (settings.IN_FLIGHT, *settings.TENANT_IN_FLIGHT.values()):
        for name, most in limits.items():
            is_number = type(most) is int and most > 0
            if name not in in_flight.NAMES or not (most is None or is_number):
                yield (
                    f"{most!r} requests in flight for {name!r} is no limit.",
                    "Write {'process': 5, 'tenant': 12}, with None for any number.",
                )


def _uncounted_limits() -> Iterator[tuple[str, str]]:
    names = {
        name
        for limits in (settings.IN_FLIGHT, *settings.TENANT_IN_FLIGHT.values())
        for name, most in limits.items()
        if most is not None
    }
    wanted = [TENANT_MIDDLEWARE, IN_FLIGHT] if names else []
    wanted += [LIMITS] if in_flight.TENANT in names else []
    there = [each for each in django_settings.MIDDLEWARE if each in wanted]
    if there != wanted:
        yield (
            "TENANCY_IN_FLIGHT limits what nobody counts.",
            f"Put into MIDDLEWARE, in this order: {', '.join(map(repr, wanted))}.",
        )


CHECKS = (check_in_flight,)
