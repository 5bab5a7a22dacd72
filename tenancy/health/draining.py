"""
Was this process told to end?

Nothing is imported here, so that whoever starts processes may ask before Django is ready.
"""

from __future__ import annotations

is_on = False


def begin() -> None:
    """Let readiness say no from now on: this process answers what it has, and then ends."""
    global is_on
    is_on = True
