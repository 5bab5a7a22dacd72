"""`manage.py delete_tenant`: let an organization go, or delete it with all its data."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from tenancy import lifecycle
from tenancy.errors import InvalidTransition
from tenancy.lifecycle import edges, inventory
from tenancy.management import tables
from tenancy.management.organizations import OrganizationCommand
from tenancy.management.stock import unless_own_model
from tenancy.models import STATES_GONE, STATES_TO_COME, Organization, State


class OwnCommand(OrganizationCommand):
    help = (
        "Let an organization go: it is turned away at once and deleted when TENANCY_GRACE is "
        "over; until then `resume_tenant SLUG` brings it back. --now deletes its schema with all "
        "data, its role, files and cache at once, after the slug was typed once more: there is "
        "no way back. --dry-run shows what would go. Example: delete_tenant elm-street"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="Show what would go, and stop.")
        parser.add_argument("--now", action="store_true", help="Delete it at once, for good.")
        parser.add_argument(
            "--confirm",
            metavar="SLUG",
            help="With --now: the slug once more, for scripts that nobody watches.",
        )
        parser.add_argument(
            "--reason", default="", help="A sentence for those who ask for its pages meanwhile."
        )

    def change(self, organization: Organization, **options: Any) -> None:
        if options["confirm"] is not None and not options["now"]:
            raise CommandError("--confirm is for --now; without it the organization is let go.")
        if organization.is_on_hold and organization.state != State.DELETED:
            refusal = InvalidTransition(edges.why_not(edges.BEGIN_DELETION, organization))
            if not options["dry_run"]:
                edges.record_refusal(edges.BEGIN_DELETION, organization, refusal, actor=None)
            raise refusal
        if options["dry_run"]:
            self._show(organization)
        elif options["now"]:
            self._delete(organization, options["confirm"])
        else:
            self._let_go(organization, options["reason"])

    def _show(self, organization: Organization) -> None:
        if organization.state in (*STATES_TO_COME, State.DELETED):
            return self.say(f"{organization.slug} is {organization.state}: there is nothing to go.")
        found = inventory.take(organization)
        self.say(f"{organization} ({organization.slug}, {organization.state}). This would go:\n")
        width = max(map(len, found.tables), default=0)
        for table, rows in found.tables.items():
            self.say(f"  {table:<{width}}  {rows:>12,} rows")
        size, of_files = tables.spell_size(found.size), tables.spell_size(found.size_of_files)
        self.say(
            f"\n  schema   {organization.schema_name}, and its role\n"
            f"  tables   {len(found.tables)} with {found.rows:,} rows, {size}\n"
            f"  files    {found.files:,}, {of_files}\n"
            f"  domains  {', '.join(found.domains) or 'none'}\n\n"
            "Nothing was changed."
        )

    def _let_go(self, organization: Organization, reason: str) -> None:
        if organization.state in STATES_GONE:
            raise CommandError(
                f"{organization.slug!r} is {organization.state}. "
                f"Type: manage.py reconcile_tenants {organization.slug}"
            )
        until = lifecycle.offboard(organization, reason=reason)
        self.say(
            f"{organization} is turned away from now on, and nothing of it is deleted before "
            f"{until:%Y-%m-%d %H:%M %Z}. Then reconcile_tenants deletes it.\n"
            f"Until then, bring it back with: manage.py resume_tenant {organization.slug}"
        )

    def _delete(self, organization: Organization, confirm: str | None) -> None:
        name, slug, schema = str(organization), organization.slug, organization.schema_name
        if confirm is None:
            confirm = input(
                f"This deletes {name}, every row in schema {schema}, its files and its cache.\n"
                f"There is no way back. Type {slug} to go on: "
            )
        if confirm != slug:
            raise CommandError(f"You typed {confirm!r} and not {slug!r}: nothing was deleted.")
        was_there = organization.state not in STATES_TO_COME
        lifecycle.delete(organization)
        what = f"with schema {schema}" if was_there else "of which nothing was made"
        self.say(f"Deleted {name}, {what}.")


Command = unless_own_model("delete_tenant", OwnCommand)
