"""What do operators see on the base domain? Tenancy's admin, in the look of the project."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from csp.constants import SELF
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.templatetags.static import static
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.ui.admin import ModelAdmin, TabularInline
from apps.ui.sites import platform_site
from tenancy.admin import DomainInline as _DomainInline
from tenancy.admin import OrganizationAdmin as _OrganizationAdmin
from tenancy.admin import RejectedTaskAdmin as _RejectedTaskAdmin
from tenancy.admin import RequestForm as _RequestForm
from tenancy.audit import AuditEvent
from tenancy.audit_admin import AuditEventAdmin as _AuditEventAdmin
from tenancy.ledger import MigrationRun, MigrationRunEntry
from tenancy.ledger_admin import MigrationRunAdmin as _MigrationRunAdmin
from tenancy.ledger_admin import MigrationRunEntryAdmin as _MigrationRunEntryAdmin
from tenancy.models import Organization
from tenancy.rejections import RejectedTask

site = platform_site

# The colours in which Unfold shows how far a migration is.
COLOURS = {"done": "success", "failed": "danger", "running": "info", "interrupted": "warning"}


def favicon(request: HttpRequest) -> str:
    return static("ui/favicon.svg")


class DomainInline(_DomainInline, TabularInline):
    pass


class RequestForm(_RequestForm):
    """The same in the look of the admin's own fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["domain"].widget = UnfoldAdminTextInputWidget()


@admin.register(Organization, site=site)
class OrganizationAdmin(_OrganizationAdmin, ModelAdmin):
    inlines = (DomainInline,)
    add_form = RequestForm

    def enter_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let this one page send its form to the clinic's host."""
        response = super().enter_view(request, object_id)
        if isinstance(response, TemplateResponse) and response.context_data:
            entry = urlsplit(response.context_data["entry_url"])
            allowed = {"form-action": [SELF, f"{entry.scheme}://{entry.netloc}"]}
            response._csp_replace = allowed  # type: ignore[attr-defined]  # as csp_replace does
        return response


@admin.register(RejectedTask, site=site)
class RejectedTaskAdmin(_RejectedTaskAdmin, ModelAdmin):
    pass


@admin.register(AuditEvent, site=site)
class AuditEventAdmin(_AuditEventAdmin, ModelAdmin):
    list_filter_submit = True
    list_filter_sheet = True


@admin.register(MigrationRun, site=site)
class MigrationRunAdmin(_MigrationRunAdmin, ModelAdmin):
    @display(description="State", ordering="state", label=COLOURS)  # type: ignore[untyped-decorator]
    def shown_state(self, run: MigrationRun) -> str:
        return super().shown_state(run)


@admin.register(MigrationRunEntry, site=site)
class MigrationRunEntryAdmin(_MigrationRunEntryAdmin, ModelAdmin):
    @display(description="State", ordering="state", label=COLOURS)  # type: ignore[untyped-decorator]
    def shown_state(self, entry: MigrationRunEntry) -> str:
        return super().shown_state(entry)
