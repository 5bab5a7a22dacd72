"""
Is the pooler in front of PostgreSQL the one that was meant?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error

from tenancy.checks import probe
from tenancy.conf import settings

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def check(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """Compare the pooler with what is demanded; where nothing is, it is not asked."""
    is_owner = connection.alias == settings.DDL_DATABASE
    meant = settings.POOLER_MODES.get(connection.alias)
    threshold = connection.settings_dict["OPTIONS"].get("prepare_threshold")
    if meant is None and threshold is None and not is_owner:
        return []

    with connection.wrap_database_errors:
        found = probe.mode(connection)
        stays_behind = (
            threshold is not None
            and found == "transaction"
            and not probe.carries_prepared_statements(connection)
        )
    messages: list[CheckMessage] = []
    if is_owner and found == "transaction":
        messages.append(_owner_behind_a_pooler(connection.alias))
    elif meant in _REMEDIES:  # another is E011
        messages += _compare(connection.alias, meant=meant, found=found)
    if stays_behind:
        messages.append(_prepared_statements(connection.alias, threshold))
    return messages


def _owner_behind_a_pooler(alias: str) -> CheckMessage:
    return Error(
        f"DATABASES[{alias!r}], which migrates and makes schemas, goes through a pooler in "
        "transaction mode.",
        hint="Give DATABASE_DDL_URL the host and the port of PostgreSQL itself.",
        id="tenancy.E014",
    )


def _compare(alias: str, *, meant: str, found: probe.Mode) -> Iterator[CheckMessage]:
    if meant == found:
        return
    remedy = _REMEDIES[meant].format(alias=alias)
    yield Error(
        f"TENANCY_POOLER_MODES[{alias!r}] is {meant!r}, and the server is reached "
        f"{_DESCRIPTIONS[found]}.",
        hint=f"Either {remedy}, or set TENANCY_POOLER_MODES[{alias!r}] = {found!r}.",
        id="tenancy.E012" if meant == "transaction" else "tenancy.E013",
    )


_DESCRIPTIONS = {
    "transaction": "through a pooler in transaction mode",
    "session": "through a pooler in session mode",
    "none": "without a pooler",
}
_REMEDIES = {
    "transaction": (
        "set pool_mode = transaction in pgbouncer.ini and give DATABASES[{alias!r}] the pooler's "
        "host and port"
    ),
    "session": (
        "set pool_mode = session in pgbouncer.ini and give DATABASES[{alias!r}] the pooler's "
        "host and port"
    ),
    "none": "give DATABASES[{alias!r}] the host and the port of PostgreSQL itself",
}


def _prepared_statements(alias: str, threshold: int) -> CheckMessage:
    # Our cursors bind at the client and never prepare by themselves: nothing is lost.
    return Error(
        f"DATABASES[{alias!r}] has prepare_threshold {threshold}, and its pooler leaves a "
        "prepared statement behind on a session that the next client gets.",
        hint=(
            f"del DATABASES[{alias!r}]['OPTIONS']['prepare_threshold']: the backend binds at the "
            "client and gains nothing from it. PgBouncer carries prepared statements since 1.21, "
            "with max_prepared_statements above 0."
        ),
        id="tenancy.E015",
    )
