"""
Where does Django remember the current site, when each tenant has its own?

`django.contrib.sites` keeps it by SITE_ID, which is the same at every tenant, in one
dictionary for the whole process: a mail of one clinic would bear another clinic's domain.
"""

from __future__ import annotations

from typing import Any

from tenancy.process_cache import PerTenantDict


def key_by_tenant() -> None:
    """Make `Site.objects.get_current()` remember each tenant's apart, where it is installed."""
    from django.contrib.sites import models

    models.SITE_CACHE = PerTenantDict()
    # Django's own would put a dictionary there again.
    models.SiteManager.clear_cache = _clear_cache  # type: ignore[method-assign, assignment]


def _clear_cache(manager: Any) -> None:
    """Forget the active tenant's sites, or with nobody active everybody's."""
    from django.contrib.sites import models

    models.SITE_CACHE.clear()
