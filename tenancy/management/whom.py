"""
For whom does a command work? How that is typed, and who it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

from tenancy import context, fleet, tenants
from tenancy.context import PLATFORM, Target
from tenancy.errors import TenantNotFound
from tenancy.models import STATES_WITH_SCHEMA
from tenancy.names import PUBLIC_SCHEMA


def add_arguments(parser: CommandParser) -> None:
    """Add `--tenant` and `--platform`, of which one may be given."""
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument(
        "--tenant", metavar="SLUG", help="Work for this tenant; the name of its schema will do."
    )
    whom.add_argument(
        "--platform", action="store_true", help="Work for no tenant, in the public schema."
    )


def add_selection(parser: CommandParser) -> None:
    """Add `--only`, `--exclude` and `--state`, which choose some of all tenants."""
    meanings = {"--only": "Work for these tenants only", "--exclude": "Leave these out"}
    for option, meaning in meanings.items():
        parser.add_argument(
            option,
            action="extend",
            type=_names,
            default=[],
            metavar="SLUG,...",
            help=f"{meaning}, by slug or schema; may be given several times.",
        )
    parser.add_argument(
        "--state",
        action="append",
        default=[],
        choices=[str(state) for state in STATES_WITH_SCHEMA],
        help="Work for tenants in this state only; may be given several times.",
    )


def _names(typed: str) -> list[str]:
    return [name for name in typed.split(",") if name]


def select(options: dict[str, Any], *, with_public: bool = False) -> list[Target]:
    """
    Return whom add_selection's options choose, in order.

    Raise CommandError for a name that nobody has.
    """
    chosen: dict[str, Sequence[str]] = {
        "only": options["only"],
        "exclude": options["exclude"],
        "states": options["state"],
    }
    try:
        return fleet.select(**chosen, with_public=with_public)
    except TenantNotFound as error:
        raise CommandError(str(error)) from error


def from_options(options: dict[str, Any]) -> Target | None:
    """
    Take what add_arguments added out of `options`, and return who is meant.

    Whoever is active already where neither was given. Raise CommandError when there is no
    such tenant.
    """
    slug, is_platform = options.pop("tenant", None), options.pop("platform", False)
    if is_platform:
        return PLATFORM
    return find(slug) if slug else context.get_current()


def find(name: str) -> Target:
    """
    Return the tenant whose slug or schema is `name`; the public schema is the platform's.

    A suspended tenant is found too: somebody has to look after it. Raise CommandError,
    naming those that are spelled like it.
    """
    if name == PUBLIC_SCHEMA:
        return PLATFORM
    try:
        return tenants.as_active(tenants.get_by_name(name))
    except TenantNotFound as error:
        raise CommandError(str(error)) from error
