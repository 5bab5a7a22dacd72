"""
How do operators read what became of their migrations?

A list of runs, a page for each, and a list of schemas that can be narrowed by run, state and
way. A project registers both at the admin site of its base domain, as those of `tenancy.admin`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator

from tenancy.ledger import EntryState, MigrationRun, MigrationRunEntry, RunState
from tenancy.read_only import ReadOnlyAdmin
from tenancy.rollout import lock, reports

# Of all runs, in the filter of the list of schemas.
MOST_RUNS = 10

LINK = '<a href="{}" style="text-decoration: underline">'


class MigrationRunAdmin(ReadOnlyAdmin):
    """Runs, the last one first, with how many schemas are done, failed and pending."""

    list_display = ("__str__", "shown_state", "schemas", "started_at", "took", "command", "actor")
    list_filter = ("state",)
    search_fields = ("command", "actor")
    fields = (
        "shown_state",
        "schemas",
        "why",
        "command",
        "actor",
        "started_at",
        "took",
        "what_to_type",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        counts = {
            state.value: Count("entries", filter=Q(entries__state=state)) for state in EntryState
        }
        runs: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = runs.annotate(**counts)
        return counted

    @admin.display(description="State", ordering="state")
    def shown_state(self, run: MigrationRun) -> str:
        """A run that says that it is running while nobody holds the lock was killed."""
        is_running = run.state == RunState.RUNNING and lock.is_held()
        return reports.state_of(run, is_anybody_running=is_running).value

    @admin.display(description="Schemas")
    def schemas(self, run: Any) -> str:
        counted = [(state.value, getattr(run, state.value)) for state in EntryState]
        shown = [
            (_entries(run, state=state), count, state)
            for state, count in reversed(counted)
            if count
        ]
        return format_html("<span>{}</span>", format_html_join(", ", f"{LINK}{{}} {{}}</a>", shown))

    @admin.display(description="Took")
    def took(self, run: MigrationRun) -> str:
        if run.finished_at is None:
            return "-"
        return _seconds((run.finished_at - run.started_at).total_seconds())

    @admin.display(description="Failures")
    def why(self, run: MigrationRun) -> str:
        """Those that failed alike together, each with the list of whom it befell."""
        return (
            format_html_join(
                "",
                f"<p>{LINK}{{}} of them</a>: {{}}</p>",
                (
                    (_entries(run, state="failed"), len(failure.schemas), failure.error)
                    for failure in reports.report(run).failures
                ),
            )
            or "None"
        )

    @admin.display(description="What to type")
    def what_to_type(self, run: MigrationRun) -> str:
        if not reports.report(run).is_resumable:
            return "Nothing"
        return format_html("<code>manage.py migrate_schemas --resume {}</code>", run.pk)


class RunFilter(admin.SimpleListFilter):
    """One of the last runs, or the one whose page led here."""

    title = "run"
    parameter_name = "run"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        runs = list(MigrationRun.objects.all()[:MOST_RUNS])
        return [(str(run.pk), str(run)) for run in runs]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(run=value) if value and value.isdecimal() else queryset


class MigrationRunEntryAdmin(ReadOnlyAdmin):
    """What became of each schema."""

    list_display = ("schema_name", "shown_state", "shortly", "took", "run", "begin_of_error")
    list_filter = ("state", "how", RunFilter)
    list_select_related = ("run",)
    search_fields = ("schema_name", "error")
    ordering = ("-run", "wave", "schema_name")
    fields = (
        "run",
        "schema_name",
        "shown_state",
        "error",
        "migrations_",
        "way",
        "took",
        "wave",
        "attempts",
        "finished_at",
    )
    readonly_fields = fields

    @admin.display(description="State", ordering="state")
    def shown_state(self, entry: MigrationRunEntry) -> str:
        return entry.state

    @admin.display(description="How", ordering="how")
    def way(self, entry: MigrationRunEntry) -> str:
        return str(entry.get_how_display()) or "-"

    @admin.display(description="How", ordering="how")
    def shortly(self, entry: MigrationRunEntry) -> str:
        """In a word, as the list has 500 of them."""
        return entry.how or "-"

    @admin.display(description="Error", ordering="error")
    def begin_of_error(self, entry: MigrationRunEntry) -> str:
        """As much as fits; the rest is on its page."""
        return Truncator(entry.error).chars(60)

    @admin.display(description="Took", ordering="milliseconds")
    def took(self, entry: MigrationRunEntry) -> str:
        return "-" if entry.milliseconds is None else _seconds(entry.milliseconds / 1000)

    @admin.display(description="Migrations")
    def migrations_(self, entry: MigrationRunEntry) -> str:
        return format_html_join("", "<p>{}</p>", ((name,) for name in entry.migrations))


def _seconds(seconds: float) -> str:
    return f"{seconds:,.2f}\N{NO-BREAK SPACE}s"


def _entries(run: MigrationRun, *, state: str) -> str:
    """Return the address of the list of those schemas of `run`."""
    wanted = {"run": run.pk, "state__exact": state}
    return f"{reverse('admin:tenancy_migrationrunentry_changelist')}?{urlencode(wanted)}"
