"""Templates out of the active tenant's own folders."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.template.loaders import filesystem

from tenancy import context
from tenancy.context import ActiveTenant
from tenancy.names import PUBLIC_SCHEMA


class Loader(filesystem.Loader):
    """
    Looks into the folders of MULTITENANT_TEMPLATE_DIRS, as django-tenants' loader does.

    `%s` in one of them stands for the schema, which otherwise is a folder below it. With
    nobody active there is no folder.
    """

    def get_dirs(self) -> list[str]:  # type: ignore[override]  # the stubs know no paths
        folders = getattr(django_settings, "MULTITENANT_TEMPLATE_DIRS", None)
        if folders is None:
            raise ImproperlyConfigured(
                f"{__name__}.Loader looks into MULTITENANT_TEMPLATE_DIRS, which is not set. "
                "For example: MULTITENANT_TEMPLATE_DIRS = [BASE_DIR / 'clinics/%s/templates']"
            )
        match context.get_current():
            case None:
                return []
            case ActiveTenant(schema=schema):
                return [_of(schema, str(folder)) for folder in folders]
            case _:
                return [_of(PUBLIC_SCHEMA, str(folder)) for folder in folders]


def _of(schema: str, folder: str) -> str:
    return folder.replace("%s", schema) if "%s" in folder else str(Path(folder) / schema)
