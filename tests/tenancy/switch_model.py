"""
What is a transaction bound to, and whose statement does it let in?

Told as plainly as possible, beside the real thing in tenancy/backend/driver.py: no SQL,
no connection, nothing remembered but what the rules speak of.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import InternalError

from tenancy.context import Target
from tenancy.errors import TenantChangedInTransaction


@dataclass(eq=False)
class Activation:
    """One act of saying who is active; None as the target is nobody."""

    target: Target | None
    is_meant: bool = False
    outer: Activation | None = None


@dataclass
class Level:
    """An atomic block: what was written since it began, and the savepoints set by hand in it."""

    written: list[tuple[Target, str]] = field(default_factory=list)
    savepoints: list[tuple[str, int]] = field(default_factory=list)
    """Each with how much had been written when it was set."""


@dataclass
class Transaction:
    """
    Bound to a tenant by its first statement; bound anew where that is meant, or on the
    way back to an activation under which it was bound before.
    """

    levels: list[Level]
    bound: Target | None = None
    has_begun: bool = False
    has_failed: bool = False
    has_changed: bool = False
    known: set[Activation] = field(default_factory=set)

    def let_in(self, activation: Activation) -> type[Exception] | None:
        """Return how a statement is refused, or None if it runs for the activation's target."""
        assert activation.target is not None
        if self.has_failed:
            return InternalError
        if self.bound not in (None, activation.target):
            if not (activation.is_meant or activation in self.known):
                return TenantChangedInTransaction
            self.has_changed = True
        self._remember(activation)
        return None

    def _remember(self, activation: Activation) -> None:
        self.has_begun = True
        self.bound = activation.target
        self.known.add(activation)
        if activation.is_meant and activation.outer and activation.outer.target:
            self.known.add(activation.outer)
