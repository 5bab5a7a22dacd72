"""
Which patients a person means by what they typed into the one search box.

Each part of the text must fit the patient, in any order: a word is a name or the
beginning of a number, digits are a telephone number's end, a record number, an
identifier or a year of birth, and what reads as a date is a date of birth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

from django.db.models import Case, Q, QuerySet, Value, When
from django.utils import timezone

from apps.patients import birth_date
from apps.patients.folding import fold, fold_number, phone_digits
from apps.patients.models import Patient, PatientIdentifier, PatientTelecom

# What a telephone number, an identifier or a record number may be written with.
_NUMERIC = re.compile(r"[+(]*[0-9][0-9()+./-]*")

# Fewer digits than these would be the end of too many numbers.
_SHORTEST_PHONE_TAIL = 4
_SHORTEST_LOCAL_NUMBER = 7
_SHORTEST_IDENTIFIER = 3
_MRN_DIGITS = 7
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of the text: `fits` in any way, `well` when words begin like it."""

    fits: Q
    well: Q


def search(queryset: QuerySet[Patient], text: str) -> QuerySet[Patient]:
    """
    Return those of `queryset` whom `text` may mean, the likeliest first.

    The order is: this very record number, this very identifier, words that begin as
    typed, words that contain what was typed; and by name within each. Empty text means
    everybody, by name.
    """
    text = text.replace("\x00", "").strip()[:_LONGEST_TEXT]
    if not text:
        return queryset.order_by("sort_name", "id")

    parts = list(_parts(text.split()))
    if not parts:
        return queryset.none()

    rank = Case(
        When(_is_mrn(text), then=Value(0)),
        When(_has_identifier(text), then=Value(1)),
        When(reduce(and_, (part.well for part in parts)), then=Value(2)),
        default=Value(3),
    )
    fits = reduce(and_, (part.fits for part in parts))
    return queryset.filter(fits).order_by(rank, "sort_name", "id")


def _parts(tokens: list[str]) -> Iterator[_Part]:
    today = timezone.localdate()
    while tokens:
        # The longer of the two: 06 12 34 56 78 is a telephone number, though its
        # first three could be a day of 1934.
        taken = max(_length_of_date(tokens), _length_of_number(tokens))
        if taken:
            yield _numeric(tokens[:taken], birth_date.read(" ".join(tokens[:taken]), today=today))
        else:
            taken = 1
            yield from _text(tokens[0])
        tokens = tokens[taken:]


def _length_of_date(tokens: list[str]) -> int:
    """Return how many of the first tokens are one date: 14 feb 1981 has three."""
    today = timezone.localdate()
    for length in (3, 2, 1):
        if len(tokens) >= length and birth_date.read(" ".join(tokens[:length]), today=today):
            return length
    return 0


def _length_of_number(tokens: list[str]) -> int:
    """Return how many of the first tokens are one number: 555 907 9875 has three."""
    length = 0
    while length < len(tokens) and _NUMERIC.fullmatch(tokens[length]):
        length += 1
    return length


def _text(token: str) -> Iterator[_Part]:
    """Yield the part of one token with letters; nothing for punctuation alone."""
    words = fold(token).split()
    if not words:
        return
    begins = reduce(and_, (Q(search_text__contains=f" {word}") for word in words))
    inside = reduce(and_, (_inside(word) for word in words))
    if any(letter.isdigit() for letter in token):
        number = Q(mrn__startswith=fold_number(token).upper()) | _identifier_begins(token)
        yield _Part(fits=inside | number, well=begins | number)
    else:
        yield _Part(fits=inside, well=begins)


def _inside(word: str) -> Q:
    # One letter is inside nearly every name; one ideogram is not.
    is_letter = len(word) == 1 and word.isascii()
    return Q(search_text__contains=f" {word}" if is_letter else word)


def _numeric(tokens: list[str], dates: set[birth_date.Meant]) -> _Part:
    """Return the part of digits: one date or number, or else several of them."""
    ways = [meant.as_filter() for meant in dates]
    ways.append(_phone_ends(" ".join(tokens)))
    ways.append(_identifier_begins(" ".join(tokens)))
    ways.append(reduce(and_, (_single_number(token) for token in tokens)))
    fits = reduce(or_, ways)
    return _Part(fits=fits, well=fits)


def _single_number(token: str) -> Q:
    found = _is_mrn(token) | _identifier_begins(token) | _phone_ends(token)
    for meant in birth_date.read(token, today=timezone.localdate()):
        found |= meant.as_filter()
    for word in fold(token).split():
        found |= Q(search_text__contains=f" {word}")
    return found


def _is_mrn(text: str) -> Q:
    """Return whether this is the record number, with or without its letters and zeros."""
    typed = fold_number(text).upper()
    if typed.isdecimal() and len(typed) >= 2:
        return Q(mrn=typed) | Q(mrn__endswith=typed.zfill(_MRN_DIGITS))
    return Q(mrn=typed)


def _has_identifier(text: str) -> Q:
    value = fold_number(text)
    return Q(pk__in=PatientIdentifier.objects.filter(search_value=value).values("patient"))


def _identifier_begins(text: str) -> Q:
    value = fold_number(text)
    if len(value) < _SHORTEST_IDENTIFIER:
        return Q(pk__in=[])
    found = PatientIdentifier.objects.filter(search_value__startswith=value)
    return Q(pk__in=found.values("patient"))


def _phone_ends(text: str) -> Q:
    """
    Return whether a number of the patient ends like this one.

    Whoever types a country's code finds the number that was noted without it, too.
    """
    typed = phone_digits(text)[::-1]
    if len(typed) < _SHORTEST_PHONE_TAIL:
        return Q(pk__in=[])
    without_country = [typed[:length] for length in range(_SHORTEST_LOCAL_NUMBER, len(typed))]
    found = PatientTelecom.objects.filter(
        Q(reversed_digits__startswith=typed) | Q(reversed_digits__in=without_country)
    )
    return Q(pk__in=found.values("patient"))
