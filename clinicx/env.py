"""
What does the environment say? Strict readers: a value that is not understood stops the start.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str) -> str:
    """Return the variable, or `default` where it is not set or empty."""
    return os.environ.get(name) or default


def required(name: str) -> str:
    """Return the variable, or raise ImproperlyConfigured naming it."""
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set and has no default; set it.")
    return value


def boolean(name: str, default: bool) -> bool:
    match text(name, str(default)):
        case "True":
            return True
        case "False":
            return False
        case other:
            raise ImproperlyConfigured(f"{name}={other!r}; use 'True' or 'False'.")


def integer(name: str, default: int, *, minimum: int | None = None) -> int:
    value = text(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r}; use a whole number.") from None
    if minimum is not None and number < minimum:
        raise ImproperlyConfigured(f"{name}={value!r}; use a whole number, {minimum} or more.")
    return number


def choice(name: str, choices: Collection[str]) -> str | None:
    """Return the variable, which is one of `choices`, or None where it is not set or empty."""
    value = text(name, "") or None
    if value is not None and value not in choices:
        allowed = ", ".join(map(repr, choices))
        raise ImproperlyConfigured(f"{name}={value!r}; use one of {allowed}, or leave it unset.")
    return value
