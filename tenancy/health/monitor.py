"""
What does this process answer, who asks after its health?
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

from tenancy.health import draining, facts, questions
from tenancy.health.asking import Asked
from tenancy.health.facts import POSTGRESQL, REDIS, Check, Readiness, Reason, State
from tenancy.health.questions import Checks, Database, Visits

# An answer may be so old: whoever asks a thousand times a second, this process asks once.
FRESH_SECONDS = 1.0
# Likewise for what is asked of all clinics together.
FLEET_FRESH_SECONDS = 30.0
# What has not been answered by then is told as late, and nobody is kept waiting.
PATIENCE_SECONDS = 0.8
# For so long PostgreSQL may be late before nobody is sent here any more. Where a pooler is
# full the question waits behind all others, and that passes: were it a reason to leave, all
# pods would leave at once. Where PostgreSQL hangs, nobody is served meanwhile anyway.
LATE_SECONDS = 10.0


class Monitor:
    """
    The three things that are asked, each by itself: one that hangs keeps no other.

    `patience` is for how many seconds whoever asks may be kept waiting.
    """

    def __init__(self, *, patience: float = PATIENCE_SECONDS) -> None:
        visits = Visits()
        self.database: Asked[Database] = Asked(
            lambda: questions.ask_database(visits), fresh=FRESH_SECONDS, patience=patience
        )
        self.fleet: Asked[Checks] = Asked(
            lambda: questions.ask_fleet(visits),
            fresh=FLEET_FRESH_SECONDS,
            patience=patience,
        )
        self.redis: Asked[Checks] = Asked(
            questions.ask_redis, fresh=FRESH_SECONDS, patience=patience
        )
        self._answered_at = float("-inf")

    def readiness(self) -> Readiness:
        """Return what is known, within `patience` and whatever hangs."""
        # All are asked before one is waited for: they take as long as the slowest.
        for asked in (self.database, self.fleet, self.redis):
            asked.ask_if_old()
        database, fleet, redis = self._database(), self.fleet.latest(), self._redis()
        # Without PostgreSQL, what was known of the schemas says nothing of now.
        is_away = database.checks[POSTGRESQL].state is State.DOWN
        return facts.collect(
            {} if is_away else fleet.value or {},
            redis,
            database.checks,
            schemas=database.schemas,
            is_draining=draining.is_on,
        )

    def _database(self) -> Database:
        answer = self.database.latest()
        if answer.late:
            return self._while_late(_late(POSTGRESQL, answer.late))
        if answer.value is None:
            return Database({POSTGRESQL: Check(POSTGRESQL, State.DOWN, reason=Reason.REFUSED)})
        check = answer.value.checks[POSTGRESQL]
        if check.reason is Reason.LATE:
            return self._while_late(check)
        if check.state is not State.DOWN:
            self._answered_at = monotonic()
        return answer.value

    def _while_late(self, check: Check) -> Database:
        if monotonic() - self._answered_at < LATE_SECONDS:
            check = replace(check, state=State.DEGRADED)
        return Database({POSTGRESQL: check})

    def _redis(self) -> Checks:
        answer = self.redis.latest()
        if answer.late:
            return {REDIS: replace(_late(REDIS, answer.late), state=State.DEGRADED)}
        return answer.value or {}


def _late(name: str, seconds: float) -> Check:
    return Check(name, State.DOWN, seconds * 1000, Reason.LATE)


# This process's own. Nothing is asked before somebody wants to know, so that each of the
# processes that a server forks asks for itself.
monitor = Monitor()
