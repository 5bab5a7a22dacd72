"""
Which schemas are not what the code's migrations make, and what would bring them back?

A hand-made index, a right that was granted in an incident, a restore of half a schema: no
migration knows of it, and the next one may fail for this one tenant.
"""

from __future__ import annotations

from tenancy.drift.checking import Report, check
from tenancy.drift.comparing import Difference
from tenancy.drift.repairing import Repair, repair, repair_all
from tenancy.drift.strays import Stray

__all__ = ["Difference", "Repair", "Report", "Stray", "check", "repair", "repair_all"]
