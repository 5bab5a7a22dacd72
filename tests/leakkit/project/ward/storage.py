"""Where are the ward's files?"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.files.storage import FileSystemStorage

from tenancy import context


class WardsStorage(FileSystemStorage):
    """A folder for each tenant."""

    @property
    def location(self) -> str:
        return str(Path(settings.MEDIA_ROOT) / str(context.require_tenant().id))

    @property
    def base_url(self) -> str:
        return f"/media/{context.require_tenant().id}/"
