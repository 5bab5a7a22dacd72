"""
What is known of this process's health, and is it ready?

Values only; nothing is asked here. What is in them may be shown to anybody: numbers and the
sentences below, never a name, an address or what a server said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MODE = "schema-per-tenant"


class State(StrEnum):
    """How something is; UNKNOWN is what could not be asked, as something else is down."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why something is not up."""

    AWAY = "nothing answers at its address"
    BUSY = "it lets nobody else in"
    LATE = "it has not answered in time"
    REFUSED = "it refused the question"
    ELSEWHERE = "a statement ran in another schema or role than it was bound to"
    SOME_CLINICS = "it failed for some clinics"
    EVERY_CLINIC = "it failed for every clinic that was tried"
    SCHEMAS_MISSING = "clinics in service have no schema"
    BEHIND = "schemas are behind the code"


POSTGRESQL = "postgresql"
METADATA = "metadata"
SCHEMA_SWITCH = "schema_switch"
TENANT_SCHEMAS = "tenant_schemas"
MIGRATIONS = "migrations"
REDIS = "redis"

CHECKS = (POSTGRESQL, METADATA, SCHEMA_SWITCH, TENANT_SCHEMAS, MIGRATIONS, REDIS)

# Without these no page can be answered. The others make some pages slower, or some clinics
# fail, and a pod that is taken away for that helps nobody.
VITAL = (POSTGRESQL, METADATA, SCHEMA_SWITCH)


@dataclass(frozen=True)
class Check:
    """One of CHECKS; `milliseconds` is what asking took, None where nothing was asked."""

    name: str
    state: State
    milliseconds: float | None = None
    reason: Reason | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def as_facts(self) -> dict[str, Any]:
        took = None if self.milliseconds is None else round(self.milliseconds, 1)
        told: dict[str, Any] = {"state": str(self.state), "milliseconds": took, **self.counts}
        return told | ({"reason": str(self.reason)} if self.reason else {})


@dataclass(frozen=True)
class Readiness:
    """All of CHECKS, and how many schemas are in service, None where that is not known."""

    checks: Mapping[str, Check]
    schemas: int | None = None
    is_draining: bool = False

    @property
    def failed(self) -> list[str]:
        """What keeps this process from answering requests."""
        down = [name for name in VITAL if self.checks[name].state == State.DOWN]
        return ["draining", *down] if self.is_draining else down

    @property
    def state(self) -> State:
        if self.failed:
            return State.DOWN
        is_up = all(check.state in (State.UP, State.UNKNOWN) for check in self.checks.values())
        return State.UP if is_up else State.DEGRADED

    @property
    def is_ready(self) -> bool:
        return not self.failed

    def as_facts(self) -> dict[str, Any]:
        """Return what `/health/ready` answers, to be written as JSON."""
        return {
            "state": str(self.state),
            "mode": MODE,
            "schemas": self.schemas,
            "failed": self.failed,
            "checks": {name: self.checks[name].as_facts() for name in CHECKS},
        }


def collect(
    *found: Mapping[str, Check], schemas: int | None = None, is_draining: bool = False
) -> Readiness:
    """Return what `found` says together; what is in none of them is not known."""
    checks = {name: Check(name, State.UNKNOWN) for name in CHECKS}
    for each in found:
        checks |= each
    return Readiness(checks, schemas, is_draining)
