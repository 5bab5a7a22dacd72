"""
How a clinic numbers its patients.

A medical record number is the clinic's letters, a number that never repeats and a check
digit: ELM0000420 is patient 42 of Elm. The number comes from a PostgreSQL sequence of
the clinic's own schema, so two desks that register at once cannot be given the same
one. A registration that is rolled back leaves a gap, and a gap harms nobody.

The check digit is Damm's. Of the usual schemes with a single decimal digit it is the one
that finds every mistyped digit and every swap of two neighbours; Luhn misses 09 for 90,
ISO 7064 MOD 11-2 needs an X that a number pad has not got, and MOD 97-10 two digits.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import connection, models

from tenancy import context

SEQUENCE = "patients_mrn_seq"

# Names no schema: the active clinic's is first in the path.
NEXT_NUMBERS = """
    SELECT nextval('patients_mrn_seq')
      FROM generate_series(1, %(count)s)
"""

_MRN = re.compile(r"[A-Z0-9]*?[0-9]{7,}")

# H. Michael Damm's quasigroup of order ten. Its diagonal is zero, so that a number
# followed by its own check digit comes out as zero.
_QUASIGROUP = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)


def next_mrn() -> str:
    """Return a medical record number that this clinic has given to nobody."""
    return next_mrns(1)[0]


def next_mrns(count: int) -> list[str]:
    """Return `count` new medical record numbers in one round trip."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_NUMBERS, {"count": count})
        numbers = [number for (number,) in cursor.fetchall()]

    prefix = _prefix()
    return [compose(prefix=prefix, number=number) for number in numbers]


def compose(*, prefix: str, number: int) -> str:
    digits = f"{number:06}"
    return f"{prefix}{digits}{check_digit(digits)}"


def check_digit(digits: str) -> str:
    interim = 0
    for digit in digits:
        interim = _QUASIGROUP[interim][int(digit)]
    return str(interim)


def is_valid(mrn: str) -> bool:
    """Return whether `mrn` has the form of a number and its check digit agrees."""
    if not _MRN.fullmatch(mrn):
        return False
    digits = re.sub(r"^.*?([0-9]+)$", r"\1", mrn)
    return check_digit(digits) == "0"


def _prefix() -> str:
    """
    Return the clinic's letters: the first three of its slug.

    They are for people, who then see at once that a card is another clinic's. What makes
    a number unique is the sequence, so two clinics may share letters, and a clinic that
    is renamed goes on with new ones.
    """
    slug = context.require_tenant().slug
    return re.sub(r"[^a-z]", "", slug)[:3].upper()


class MrnField(models.CharField):  # type: ignore[type-arg]  # generic in stubs only
    """A medical record number, given to the row when it is first saved without one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs = {"max_length": 20, "unique": True, "editable": False} | kwargs
        super().__init__(*args, **kwargs)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        mrn = super().pre_save(model_instance, add)
        if not mrn:
            mrn = next_mrn()
            setattr(model_instance, self.attname, mrn)
        return mrn
