"""
How does the admin show what a program wrote, and nobody changes?
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in stubs
    """To be read: nothing is offered that changes a row, nor its history, as it has none."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        history = f"{self.opts.app_label}_{self.opts.model_name}_history"
        return [url for url in super().get_urls() if url.name != history]

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **options: Any
    ) -> HttpResponse:
        # Not the button that leads there either.
        return super().render_change_form(
            request, {**context, "show_history": False}, *args, **options
        )
