"""
Which of stock django-tenants' habits does this project keep, and what does each give up?

TENANCY_COMPAT lists them by name. Each is a weakening, so that none is on unless it is
named, and `manage.py check` warns of each that is.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenancy.conf import settings

# What a switch lets through, and what is lost while it is on.
SWITCHES = {
    "public_by_default": (
        "code that nobody said a tenant for works in the public schema, so that a forgotten "
        "context is no error any more"
    ),
    "switch_in_transaction": (
        "connection.set_tenant() and its kin change the tenant of an open transaction, so that "
        "one COMMIT may write for two"
    ),
    "session_state": (
        "SET, LISTEN, session locks and cursors WITH HOLD are sent, so that through a pooler in "
        "transaction mode the next client finds them"
    ),
    "shared_tables": (
        "every tenant reads and writes the tables that only the public schema has, so that one "
        "tenant's hole is everybody's for them"
    ),
    "foreign_keys": (
        "tenants' tables may point at tables of the public schema, so that a tenant cannot be "
        "moved or restored by itself, and a migration sees both schemas"
    ),
    "no_roles": (
        "no role is taken, so that PostgreSQL keeps nobody out of another tenant's schema, and no "
        "audit log is kept but by the logger tenancy.audit"
    ),
}


def is_on(switch: str) -> bool:
    """Tell whether the project named `switch`; not for the hot path, where answers are kept."""
    assert switch in SWITCHES  # noqa: S101  # a name of ours that is misspelt
    return switch in settings.COMPAT


def list_on() -> list[str]:
    """Return the switches that the project named and that there are."""
    return [switch for switch in SWITCHES if switch in settings.COMPAT]


def list_unknown() -> Iterable[str]:
    """Return what TENANCY_COMPAT names and nobody knows."""
    return [name for name in settings.COMPAT if name not in SWITCHES]
