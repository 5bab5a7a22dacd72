"""
How names and numbers are compared: without case, accents or punctuation.

PostgreSQL could do this with its unaccent extension, which not every server carries; so
the folded form is stored beside the name, and both sides of a comparison come from here.
"""

from __future__ import annotations

import re
import unicodedata

# Letters that Unicode does not take apart into a base and a mark.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)

# O'Brien is also written OBrien and O’Brien; Smith-Jones is two words.
_APOSTROPHES = re.compile("['’‘‛ʼʻ`´′]")
_SEPARATORS = re.compile(r"[\s,.;:/()\[\]\"“”„«»·‐-―−-]+")


def fold(text: str) -> str:
    """Return `text` as words of plain small letters with one space between them."""
    decomposed = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", text))
    unmarked = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return _SEPARATORS.sub(" ", unmarked.casefold().translate(_LETTERS)).strip()


def fold_number(text: str) -> str:
    """Return the letters and digits of an identifier, so that 999-81 equals 99981."""
    return "".join(letter for letter in fold(text) if letter.isalnum())


def phone_digits(text: str) -> str:
    """
    Return a telephone number's digits without leading zeros.

    The zero that some countries dial at home is absent abroad: 020 7946 0018 and
    +44 20 7946 0018 then end alike.
    """
    return "".join(letter for letter in text if letter in "0123456789").lstrip("0")
