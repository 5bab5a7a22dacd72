"""What do the admin's pages need that Unfold's do not bring?"""

from __future__ import annotations

from typing import Any

import unfold.admin
from django.db.models import Field
from django.http import HttpRequest

from tenancy.operators import RecordingAdmin


class ModelAdmin(RecordingAdmin, unfold.admin.ModelAdmin):  # type: ignore[misc]  # untyped
    """
    Unfold's, but for what it would remember: the last request, whoever's it was.

    There is one of these for a process. Unfold asks the request for the style sheets of
    filters that are forms, and we have none.
    """

    request = property(fset=lambda admin, request: None)


class TabularInline(unfold.admin.TabularInline):  # type: ignore[misc]  # untyped
    """Rows whose inputs are named for those who cannot see the head of the column."""

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.widget.attrs["aria-label"] = field.label
        return field
