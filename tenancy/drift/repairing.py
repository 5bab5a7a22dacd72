"""
How is a schema brought back, with nothing lost that is in it?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import DatabaseError, connections, transaction

from tenancy import audit, catalogue, context, process_cache, tenants
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.drift.checking import Report, read_reference
from tenancy.drift.comparing import Difference, Reference, compare

# What is made first may need what is made later: another round has it. More than these no
# schema of ours has needed.
ROUNDS = 4

# A request that holds the table longer is not to be waited for: others queue behind us.
PATIENCE = "SET LOCAL lock_timeout = '5s'"


@dataclass(frozen=True)
class Repair:
    """What was done for one schema."""

    target: ActiveTenant
    done: tuple[Difference, ...]
    left: tuple[Difference, ...]
    """What differs still: for a person to decide, or refused by PostgreSQL."""
    refusals: dict[str, str]
    """What PostgreSQL said of those that it refused, by what differs."""


def repair_all(report: Report) -> Iterator[Repair]:
    """Repair what `check` found to differ, a schema after the other; yield what was done."""
    references: dict[str, Reference] = {}
    for target in report.differing:
        if target.type not in references:
            references[target.type] = read_reference(target.type)
        yield repair(target, reference=references[target.type])


def repair(target: ActiveTenant, *, reference: Reference | None = None) -> Repair:
    """
    Make what is missing in the schema of `target` and change what loses nothing by it.

    In one transaction; a statement that PostgreSQL refuses leaves the others as they are.
    What is there beyond the reference stays. Recorded in the audit log where anything was done.
    """
    reference = reference or read_reference(target.type)
    using = settings.DDL_DATABASE
    with (
        context.override(target, in_transaction=True),
        transaction.atomic(using=using, durable=True),
    ):
        done, refusals = work(target, reference)
        left = tuple(_differences(target, reference))
        if done:
            _record(target, done)
    process_cache.forget(target)
    still = {each.thing for each in left}
    refused = {thing: why for thing, why in refusals.items() if thing in still}
    return Repair(target, tuple(done), left, refused)


def work(target: ActiveTenant, reference: Reference) -> tuple[list[Difference], dict[str, str]]:
    """
    Repair in the transaction that is open, for `target`, at the owner's address.

    Return what was repaired, and what PostgreSQL said of what it refused.
    """
    done: list[Difference] = []
    refusals: dict[str, str] = {}
    _run((*catalogue.PREAMBLE, PATIENCE))
    for _ in range(ROUNDS):
        todo = [each for each in _differences(target, reference) if each.is_repaired]
        made = [each for each in todo if _try(each, refusals)]
        done += made
        if not made:
            break
    return done, refusals


def _differences(target: ActiveTenant, reference: Reference) -> list[Difference]:
    connection = connections[settings.DDL_DATABASE]
    return compare(reference, catalogue.read(connection, [target.schema])[target.schema])


def _run(statements: tuple[str, ...]) -> None:
    with connections[settings.DDL_DATABASE].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _try(difference: Difference, refusals: dict[str, str]) -> bool:
    """Run the statements of one difference, all or none; remember what PostgreSQL said."""
    try:
        with transaction.atomic(using=settings.DDL_DATABASE):
            _run(difference.statements)
    except DatabaseError as error:
        # Not its DETAIL, in which there may be a row.
        said = getattr(getattr(error.__cause__, "diag", None), "message_primary", None)
        refusals[difference.thing] = said or error.__class__.__name__
        return False
    refusals.pop(difference.thing, None)
    return True


def _record(target: ActiveTenant, done: list[Difference]) -> None:
    with context.override(context.PLATFORM, in_transaction=True):
        audit.record(
            "organization.schema_repaired",
            organization=tenants.look_up("schema", target.schema),
            details={"repaired": sorted({f"{each.what} {each.thing}" for each in done})},
            using=settings.DDL_DATABASE,
        )
