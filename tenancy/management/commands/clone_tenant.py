"""`manage.py clone_tenant`: make an organization that has all that another one has."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tenancy import lifecycle
from tenancy.management.organizations import OrganizationCommand
from tenancy.management.progress import Bar
from tenancy.management.stock import unless_own_model
from tenancy.models import Organization


class OwnCommand(OrganizationCommand):
    help = (
        "Make an organization with the rows and files that another one has at this moment, all "
        "from one snapshot; the other is served as before, and nobody is signed in at the copy. "
        "Killed, it leaves nothing, or a copy in maintenance with which the same command goes "
        "on. Example: clone_tenant elm-street elm-training --name 'Elm Street, for training'"
    )
    slug_help = "The organization that is copied, e.g. 'elm-street'."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("new", help="The slug of the copy, e.g. 'elm-training'.")
        parser.add_argument("--name", required=True, help="What people call the copy.")

    def change(self, organization: Organization, **options: Any) -> None:
        bars = _Bars(self.stderr)
        try:
            copy = lifecycle.clone(
                organization, slug=options["new"], name=options["name"], tell=bars.tell
            )
        finally:
            bars.close()
        self.say(
            f"{copy} is a copy of {organization}, in schema {copy.schema_name}; "
            f"it answers at {copy.host}."
        )


class _Bars:
    """A bar for the tables and one for the files, each as long as it lasts."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._bar: Bar | None = None
        self._left = 0

    def tell(self, what: str, total: int) -> None:
        if self._bar is None or self._left == 0:
            self.close()
            kind = "files" if what.startswith("file ") else "tables"
            self._bar, self._left = Bar(total, stream=self._stream, what=kind), total
            self._bar.__enter__()
        self._bar.advance(note=what)
        self._left -= 1

    def close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


Command = unless_own_model("clone_tenant", OwnCommand)
