"""
How do operators see organizations?

Plain ModelAdmin classes, not registered anywhere: a project registers them at the admin
site of its base domain, and may mix in the look of its own.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from tenancy.models import Domain


class DomainInline(admin.TabularInline):  # type: ignore[type-arg]  # generic only in stubs
    model = Domain
    extra = 0


class OrganizationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in stubs
    """A web request runs no DDL, so organizations are not made or deleted here."""

    list_display = ("name", "slug", "state", "schema_name", "created_at")
    list_filter = ("state",)
    search_fields = ("name", "slug", "domains__domain")
    readonly_fields = ("slug", "state", "state_reason", "schema_name", "created_at")
    fields = ("name", "slug", "state", "state_reason", "schema_name", "created_at")
    inlines = (DomainInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RejectedTaskAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in stubs
    """What was not done for a tenant, or was asked for by somebody who may not; to be read."""

    list_display = ("date", "task", "reason", "tenant", "count", "last_at")
    list_filter = ("reason", "date")
    search_fields = ("task", "tenant", "last_task_id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
