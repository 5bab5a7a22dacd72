"""
How do operators read the audit log?

Newest first, narrowed by organization, actor, action and time, and never counted to the end:
a log of millions of rows would be read for the number under its list. A project registers
AuditEventAdmin at the admin site of its base domain, as those of `tenancy.admin`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html_join
from django_tenants.utils import get_tenant_model

from tenancy.audit import AuditEvent
from tenancy.models import RetiredSlug, State
from tenancy.read_only import ReadOnlyAdmin

# Under the list stands at most this number; whoever looks for more narrows it by time.
MOST_COUNTED = 10_000
MOST_ORGANIZATIONS = 200
PLATFORM = "platform"

# The actions that there are, with a step into the index for each and not for each row.
ACTIONS = """
    WITH RECURSIVE known (action) AS (
        SELECT min(action) FROM audit.event
         UNION ALL
        SELECT (SELECT min(event.action) FROM audit.event WHERE event.action > known.action)
          FROM known
         WHERE known.action IS NOT NULL
    )
    SELECT action FROM known WHERE action IS NOT NULL
"""


class FormFilter(admin.ListFilter):
    """A filter with inputs of its own, each of which is a parameter of the list's address."""

    template = "admin/tenancy/form_filter.html"
    inputs: Sequence[dict[str, Any]] = ()

    def __init__(
        self, request: HttpRequest, params: dict[str, list[str]], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        for each in self.inputs:
            values = params.pop(each["name"], [])
            if values and values[-1].strip():
                self.used_parameters[each["name"]] = values[-1].strip().replace("\0", "")

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [each["name"] for each in self.inputs]

    def value(self, name: str) -> str:
        return str(self.used_parameters.get(name, ""))

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        own = self.expected_parameters()
        kept = [
            (name, value)
            for name, value in changelist.filter_params.items()
            if name not in (*own, ERROR_FLAG)
        ]
        yield {
            "selected": bool(self.used_parameters),
            "inputs": [
                {**each, "value": self.value(each["name"]), "options": self.options(each["name"])}
                for each in self.inputs
            ],
            "kept": [(name, each) for name, values in kept for each in _as_list(values)],
            "query_string": changelist.get_query_string(remove=own),
        }

    def options(self, name: str) -> list[str]:
        """Return what a select offers; an input that is none offers nothing."""
        return []


class OrganizationFilter(FormFilter):
    """By its slug, its name or its id, also those that it had; `platform` is no tenant's."""

    title = "organization"
    inputs = ({"name": "organization", "label": "Name, slug or id", "type": "search"},)

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> Any:
        text = self.value("organization")
        if not text:
            return queryset
        return queryset.filter(tenant__in=[text, *_ids_of(text)])


class ActorFilter(FormFilter):
    title = "actor"
    inputs = ({"name": "actor", "label": "Contains", "type": "search"},)

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> Any:
        text = self.value("actor")
        return queryset.filter(actor__icontains=text) if text else queryset


class ActionFilter(FormFilter):
    title = "action"
    inputs = ({"name": "action", "label": "Action", "type": "select"},)

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> Any:
        text = self.value("action")
        return queryset.filter(action=text) if text else queryset

    def options(self, name: str) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(ACTIONS)
            return [action for (action,) in cursor.fetchall()]


class TimeFilter(FormFilter):
    """From one time, which is in it, to another, which is not; in the project's time zone."""

    title = "time"
    inputs = (
        {"name": "from", "label": "From", "type": "datetime-local"},
        {"name": "until", "label": "Until", "type": "datetime-local"},
    )

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> Any:
        if (since := self._time("from")) is not None:
            queryset = queryset.filter(at__gte=since)
        if (until := self._time("until")) is not None:
            queryset = queryset.filter(at__lt=until)
        return queryset

    def _time(self, name: str) -> datetime | None:
        try:
            parsed = parse_datetime(self.value(name))
        except ValueError:  # the 31st of February
            return None
        if parsed is None or timezone.is_aware(parsed):
            return parsed
        return timezone.make_aware(parsed)


class EndlessPaginator(Paginator):  # type: ignore[type-arg]  # generic only in stubs
    """Counts as far as anybody turns the pages, and no further."""

    @cached_property
    def count(self) -> int:
        seen: Any = self.object_list[: MOST_COUNTED + 1]
        return int(seen.count())


class AuditEventAdmin(ReadOnlyAdmin):
    """To be read: nobody who logs in can change a record, and nothing here offers it."""

    list_display = ("time", "organization", "action", "actor", "outcome", "what")
    list_filter = (OrganizationFilter, ActorFilter, ActionFilter, TimeFilter)
    fields = (
        "time", "organization", "tenant", "action", "actor", "kind", "outcome", "what", "said",
        "changed_fields", "seq", "transaction",
    )  # fmt: skip
    readonly_fields = fields
    paginator = EndlessPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 50
    actions = None
    show_facets = admin.ShowFacets.NEVER  # they count

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        _name_organizations(changelist.result_list)
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        event = super().get_object(request, object_id, from_field)
        if event is not None:
            _name_organizations([event])
        return event

    @admin.display(description="time")
    def time(self, event: AuditEvent) -> str:
        return f"{timezone.localtime(event.at):%Y-%m-%d %H:%M:%S %Z}"

    @admin.display(description="organization")
    def organization(self, event: AuditEvent) -> str:
        return str(event.organization)  # type: ignore[attr-defined]  # see _name_organizations

    @admin.display(description="object")
    def what(self, event: AuditEvent) -> str:
        return " ".join(filter(None, [event.table, event.object_id])) or "-"

    @admin.display(description="details")
    def said(self, event: AuditEvent) -> str:
        return _lines(event.details)

    @admin.display(description="changed")
    def changed_fields(self, event: AuditEvent) -> str:
        return _lines(event.changed or {}) or "-"


def _name_organizations(events: Iterable[Any]) -> None:
    """Give each event the name of its organization, as it is called today."""
    ids = {event.tenant for event in events} - {PLATFORM}
    names = {str(row.pk): _name(row) for row in _rows(Q(pk__in=[i for i in ids if _is_id(i)]))}
    for event in events:
        # Of one whose row is gone: what it was called then.
        then = event.details.get("organization") or event.tenant
        event.organization = names.get(event.tenant, then) if event.tenant != PLATFORM else "-"


def _name(row: Model) -> str:
    return f"{row} ({State.DELETED})" if getattr(row, "state", "") == State.DELETED else str(row)


def _ids_of(text: str) -> list[str]:
    is_called = Q(schema_name__iexact=text)
    if _is_id(text):
        is_called |= Q(pk=text)
    fields = {field.name for field in get_tenant_model()._meta.get_fields()}
    for name in {"slug", "name"} & fields:
        is_called |= Q(**{f"{name}__icontains": text})
    retired = RetiredSlug.objects.filter(slug=text).values_list("organization", flat=True)
    return [*retired, *(str(row.pk) for row in _rows(is_called)[:MOST_ORGANIZATIONS])]


def _rows(wanted: Q) -> QuerySet[Any]:
    rows: QuerySet[Any] = get_tenant_model()._default_manager.filter(wanted)
    return rows


def _is_id(text: str) -> bool:
    """Tell whether a key of TENANT_MODEL may look like this: of the platform's none does."""
    try:
        get_tenant_model()._meta.pk.to_python(text)
    except (ValidationError, ValueError, TypeError):
        return False
    return True


def _lines(values: dict[str, Any]) -> str:
    rows = (
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in sorted(values.items())
    )
    return format_html_join("", "<div>{}: {}</div>", rows)


def _as_list(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]
