"""
Which changes of a column let PostgreSQL write its table anew?

It holds ACCESS EXCLUSIVE meanwhile, so that nobody reads the table either. PostgreSQL's
documentation of ALTER TABLE says when: not where the old type is binary coercible to the
new one and the limits become no narrower, and for no default that is the same in each row.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from django.db.models import Field
from django.db.models.expressions import Expression

TEXTS = ("varchar", "text", "citext")
# Evaluated once for each row, so that each row has to be written.
VOLATILE = re.compile(
    r"\b(gen_random_uuid|uuid_generate_\w+|uuidv[47]|random|random_normal|clock_timestamp"
    r"|timeofday|nextval|setval|txid_current)\b",
    re.IGNORECASE,
)
TYPE = re.compile(r"(?P<name>[a-z][a-z ]*?)\s*(\((?P<first>\d+)(,\s*(?P<second>\d+))?\))?")


class Type(NamedTuple):
    name: str
    limits: tuple[int, ...]


def is_rewritten(old: str, new: str) -> bool:
    """Tell whether ALTER COLUMN ... TYPE from `old` to `new` writes the table anew."""
    if old == new:
        return False
    before, after = _parse(old), _parse(new)
    if before is None or after is None:
        return True
    if before.name in TEXTS and after.name in TEXTS:
        return bool(after.limits) and not (before.limits and after.limits >= before.limits)
    if before.name == after.name == "numeric":
        return not _has_room(before.limits, after.limits)
    return (before.name, after.name) != ("cidr", "inet")


def _parse(text: str) -> Type | None:
    match = TYPE.fullmatch(text.lower())
    if match is None:
        return None
    limits = tuple(int(match[name]) for name in ("first", "second") if match[name])
    return Type("varchar" if match["name"] == "character varying" else match["name"], limits)


def _has_room(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Tell whether every number of the one fits into the other, with as many decimals."""
    if not before or not after:
        return not after
    return after[1:] == before[1:] and after[0] >= before[0]


def is_volatile(field: Field[object, object]) -> bool:
    """Tell whether the database gives each row another default, as far as it can be told."""
    if not field.has_db_default():
        return False
    default = field.db_default
    if not isinstance(default, Expression):
        return False
    return any(
        VOLATILE.search(f"{getattr(part, 'function', '')} {getattr(part, 'template', '')}")
        for part in default.flatten()
    )
