"""
Which way does a tenant go, once it is made, until nothing of it is left?

    lifecycle.suspend(organization, reason="The contract ended in May.")

Each of these may be asked for twice, at once, and after it was killed; each is in the audit
log, in the transaction of what it did.
"""

from __future__ import annotations

from tenancy.lifecycle.cloning import clone
from tenancy.lifecycle.deletion import abandon, delete, delete_when_due, purge
from tenancy.lifecycle.edges import (
    EDGES,
    Edge,
    begin_maintenance,
    hold,
    offboard,
    release,
    resume,
    suspend,
)
from tenancy.lifecycle.reconciliation import Finding, reconcile
from tenancy.lifecycle.renaming import rename

__all__ = [
    "EDGES",
    "Edge",
    "Finding",
    "abandon",
    "begin_maintenance",
    "clone",
    "delete",
    "delete_when_due",
    "hold",
    "offboard",
    "purge",
    "reconcile",
    "release",
    "rename",
    "resume",
    "suspend",
]
