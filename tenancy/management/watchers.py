"""
What is said of a run of migrations while it goes on, on a terminal and in a log?
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any

from tenancy.ledger import How, MigrationRun
from tenancy.management.progress import Bar
from tenancy.rollout.plan import Group
from tenancy.rollout.run import Result


class Log:
    """A line for each schema; nothing at verbosity 0."""

    def __init__(self, command: Any, *, may_ask: bool) -> None:
        self._out = command.stdout
        self._verbosity = command.options["verbosity"]
        self._has_tracebacks = command.options["traceback"]
        self._may_ask = may_ask
        self._total = self._done = 0

    def begins(self, run: MigrationRun | None, *, schemas: int, jobs: int) -> None:
        self._total = schemas
        if run is not None:
            self._say(f"{run}: {schemas} tenants to migrate, {jobs} at once.")

    def prepares(self, group: Group) -> None:
        if group.how == How.REPLAY and len(group.targets) > 1:
            self._say(f"Comparing {len(group.targets)} schemas with the reference.")

    def wave_begins(self, number: int, sizes: Sequence[int], schemas: Sequence[str]) -> None:
        self._total = sum(sizes)
        if len(sizes) > 1:
            self._say(f"Wave {number} of {len(sizes)}: {_span(schemas)}")

    def finished(self, result: Result, error: BaseException | None) -> None:
        self._done += bool(self._total)
        place = f"[{self._done}/{self._total}] " if self._total else ""
        self._say(f"{place}{_told(result)}")
        if error is not None and self._has_tracebacks:
            self._say("".join(traceback.format_exception(error)))

    def postponed(self, schema: str, *, attempts: int, pause: float) -> None:
        self._say(f"{schema} is in use; once more in {pause:.1f} s.")

    def may_go_on(self, *, done: int, remaining: int) -> bool:
        if not self._may_ask:
            return False
        question = f"{done} migrated. Look at them: shall the other {remaining} follow? [y/N] "
        self._out.write(question, ending="")
        self._out.flush()
        return input().strip().lower() in ("y", "yes")

    def close(self) -> None:
        """Take away what is shown only while it goes on."""

    def _say(self, text: str) -> None:
        if self._verbosity:
            self._out.write(text)


class Screen(Log):
    """A bar with the pace and the remaining time, and a line for what failed."""

    _bar: Bar | None = None

    def wave_begins(self, number: int, sizes: Sequence[int], schemas: Sequence[str]) -> None:
        self.close()
        super().wave_begins(number, sizes, schemas)
        self._failed = 0
        self._bar = Bar(len(schemas), stream=sys.stderr, what="schemas")
        self._bar.__enter__()

    def finished(self, result: Result, error: BaseException | None) -> None:
        if self._bar is None:
            super().finished(result, error)
            return
        self._done += 1
        self._failed += bool(result.error)
        self._bar.advance(note=f"{self._failed} failed" if self._failed else "")
        if result.error:
            self._say(_told(result))
            if error is not None and self._has_tracebacks:
                self._say("".join(traceback.format_exception(error)))

    def postponed(self, schema: str, *, attempts: int, pause: float) -> None:
        """The bar goes on with the others."""

    def may_go_on(self, *, done: int, remaining: int) -> bool:
        self.close()
        return super().may_go_on(done=done, remaining=remaining)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None

    def _say(self, text: str) -> None:
        if self._bar is None:
            super()._say(text)
        else:
            self._bar.write(f"{text}\n", to=self._out)


def _span(schemas: Sequence[str]) -> str:
    if len(schemas) < 4:
        return ", ".join(schemas)
    return f"{len(schemas)}, from {schemas[0]} to {schemas[-1]}"


def _told(result: Result) -> str:
    again = f", attempt {result.attempts}" if result.attempts > 1 else ""
    if result.error:
        return f"{result.schema} ... failed{again}: {result.error}"
    return f"{result.schema} ... done ({result.how}, {result.milliseconds / 1000:.2f} s{again})"
