"""
How do operators see organizations?

Plain ModelAdmin classes, not registered anywhere: a project registers them at the admin
site of its base domain, and may mix in the look of its own.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import path, reverse

from tenancy import maintenance, progress, provisioning
from tenancy.conf import settings
from tenancy.errors import NameTaken, UnableToProvision
from tenancy.models import STATES_TO_COME, Domain, Organization, State, validate_host
from tenancy.read_only import ReadOnlyAdmin
from tenancy.tasks import owners


class DomainInline(admin.TabularInline):  # type: ignore[type-arg]  # generic only in stubs
    model = Domain
    extra = 0


class RequestForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in stubs
    """What an organization is to be called; refused where the name is somebody's."""

    domain = forms.CharField(
        required=False,
        max_length=253,
        validators=[validate_host],
        help_text="A host of its own beside that, for example 'praxis.example.org'.",
    )

    class Meta:
        model = Organization
        fields = ("name", "slug")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        slug, domain = cleaned.get("slug"), cleaned.get("domain")
        if slug and (why := provisioning.why_not_free(slug=slug)):
            self.add_error("slug", why)
        elif slug and domain and (why := provisioning.why_not_free(slug=slug, domain=domain)):
            self.add_error("domain", why)
        return cleaned


class OrganizationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in stubs
    """
    A web request runs no DDL: adding an organization asks for it, and shows how far it is.

    None is deleted here.
    """

    list_display = ("name", "slug", "state", "is_on_hold", "schema_name", "created_at")
    list_filter = ("state", "is_on_hold")
    search_fields = ("name", "slug", "domains__domain")
    readonly_fields = (
        "slug",
        "state",
        "state_reason",
        "state_changed_at",
        "delete_after",
        "is_on_hold",
        "hold_reason",
        "schema_name",
        "created_at",
    )
    fields = ("name", *readonly_fields)
    inlines = (DomainInline,)
    add_form = RequestForm
    add_fields = ("name", "slug", "domain")
    to_come_fields = ("name", "address", "schema_name")
    change_form_template = "tenancy/admin/organization.html"

    class Media:
        css = {"all": ("tenancy/progress.css",)}
        js = ("tenancy/progress.js",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # Asking for one

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = self.add_form
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fields
        return self.to_come_fields if _is_to_come(obj) else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        # What is typed meanwhile would be lost as soon as it is there.
        return self.to_come_fields if _is_to_come(obj) else self.readonly_fields

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        is_there = obj is not None and not _is_to_come(obj)
        return super().get_inlines(request, obj) if is_there else ()

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().add_view(request, *args, **kwargs)
        except (NameTaken, UnableToProvision) as error:
            # Somebody was faster than the form.
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        asked = provisioning.request(
            slug=obj.slug, name=obj.name, domain=form.cleaned_data["domain"] or None
        )
        owners.queue_provisioning(asked)
        obj.pk = asked.pk
        obj._state.adding = False
        obj.refresh_from_db()

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        return HttpResponseRedirect(self._url("change", obj))

    @admin.display(description="Address")
    def address(self, organization: Any) -> str:
        return str(organization.host)

    # How far it is

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "<path:object_id>/progress/",
                wrap(self.progress_view),
                name=self._url_name("progress"),
            ),
            path("<path:object_id>/retry/", wrap(self.retry_view), name=self._url_name("retry")),
            path("<path:object_id>/enter/", wrap(self.enter_view), name=self._url_name("enter")),
            *super().get_urls(),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        organization = context.get("original")
        if organization is not None:
            context.update(self._progress(request, organization))
        if organization is None or _is_to_come(organization):
            # There is nothing to be changed yet, and one is asked for at a time.
            context.update(show_save=organization is None, show_save_and_continue=False)
            context.update(show_save_and_add_another=False)
        if organization is not None and self._may_enter(request, organization):
            context["enter_url"] = self._url("enter", organization)
        return super().render_change_form(request, context, *args, **kwargs)

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with how far it is, or with nothing when it is there."""
        organization = self._require(request, object_id, self.has_view_permission)
        context = self._progress(request, organization)
        if not _is_to_come(organization):
            return HttpResponse(status=204)
        return TemplateResponse(request, "tenancy/admin/_progress.html", context)

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Queue it once more."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        organization = self._require(request, object_id, self.has_change_permission)
        if _is_to_come(organization):
            provisioning.forget_failure(organization)
            if owners.queue_provisioning(organization):
                self.message_user(request, f"{organization} was asked for again.")
        return HttpResponseRedirect(self._url("change", organization))

    # Going in during a maintenance

    def enter_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with a page whose button takes a token to the organization's own host."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        organization = self._require(request, object_id, self.has_change_permission)
        if not self._may_enter(request, organization):
            self.message_user(request, f"{organization} is not in maintenance.", messages.ERROR)
            return HttpResponseRedirect(self._url("change", organization))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Enter {organization}",
            "organization": organization,
            "entry_url": maintenance.entry_url(request, organization),
            "field": maintenance.FIELD,
            "token": maintenance.issue_token(organization, request.user),
            "seconds": round(maintenance.TOKEN_LIFETIME.total_seconds()),
        }
        return TemplateResponse(request, "tenancy/admin/enter.html", context)

    def _may_enter(self, request: HttpRequest, organization: Any) -> bool:
        is_closed: bool = organization.state == State.MAINTENANCE
        return is_closed and maintenance.may_enter(request.user)

    def _require(self, request: HttpRequest, object_id: str, is_allowed: Any) -> Any:
        organization = self.get_object(request, unquote(object_id))
        if organization is None:
            raise Http404
        if not is_allowed(request, organization):
            raise PermissionDenied
        return organization

    def _progress(self, request: HttpRequest, organization: Any) -> dict[str, Any]:
        may_retry = self.has_change_permission(request, organization) and settings.CELERY_APP
        return {
            "progress": progress.of(organization),
            "progress_url": self._url("progress", organization),
            "retry_url": self._url("retry", organization) if may_retry else "",
        }

    def _url(self, name: str, organization: Any) -> str:
        return reverse(
            f"{self.admin_site.name}:{self._url_name(name)}", args=[quote(organization.pk)]
        )

    def _url_name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"


def _is_to_come(organization: Any) -> bool:
    return organization.state in STATES_TO_COME


class RejectedTaskAdmin(ReadOnlyAdmin):
    """What was not done for a tenant, or was asked for by somebody who may not; to be read."""

    list_display = ("date", "task", "reason", "tenant", "count", "last_at")
    list_filter = ("reason", "date")
    search_fields = ("task", "tenant", "last_task_id")
