"""
How is something done for every tenant at once?

    from tenancy import fleet

    for result in fleet.each(count_patients):
        print(result.tenant, result.value or result.why)

Each tenant has a thread of its own, with connections and context variables of its own, so
that what one of them leaves behind is there for no other; a failure stops nobody else.
"""

from __future__ import annotations

from tenancy.fleet.commands import Output, call_command
from tenancy.fleet.running import JOBS, Result, each
from tenancy.fleet.selection import list_closed, select

__all__ = ["JOBS", "Output", "Result", "call_command", "each", "list_closed", "select"]
