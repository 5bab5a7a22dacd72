"""
What did the leak kit cover, what did it find, and what could it not look at?
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import pytest

CHECK = re.compile(r"leaks::(?P<kind>\w+)\[(?P<subject>.*?)(?:::(?P<way>[^:\]]+))?\]$", re.DOTALL)
NOT_COVERED = "not covered: "
# Kind, what one and several of its subjects are called.
NOUNS = {
    "model": ("model", "models"),
    "shared": ("shared table", "shared tables"),
    "url": ("URL", "URLs"),
    "cache": ("cache", "caches"),
    "storage": ("storage", "storages"),
    "session": ("kind of session", "kinds of session"),
    "task": ("task", "tasks"),
    "process": ("package in memory", "packages in memory"),
    "catalogue": ("look at the catalogue", "looks at the catalogue"),
}


class Report:
    """Hears of each check, also of those that ran in another process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.covered: dict[str, set[str]] = defaultdict(set)
        self.checks: dict[str, int] = defaultdict(int)
        self.leaks: dict[str, str] = {}
        self.not_covered: dict[str, str] = {}
        self.seconds = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        matched = CHECK.match(report.nodeid)
        if matched is None:
            return
        check = report.nodeid.removeprefix("leaks::")
        self.seconds += report.duration
        if report.failed:
            self._note_failure(check, _message(report))
        elif report.skipped:
            self.not_covered[check] = _message(report).partition(NOT_COVERED)[2]
        if report.when == "call" and not report.skipped:
            self.checks[matched["kind"]] += 1
            self.covered[matched["kind"]].add(matched["subject"])

    def _note_failure(self, check: str, message: str) -> None:
        if message.startswith(NOT_COVERED):
            self.not_covered[check] = message.removeprefix(NOT_COVERED)
        else:
            self.leaks[check] = message

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("leak kit")
        for check, message in sorted(self.leaks.items()):
            terminalreporter.line(f"LEAK {check}: {message}", red=True)
        for reason, checks in self._reasons().items():
            terminalreporter.line(f"not covered ({len(checks)} checks, as {checks[0]}): {reason}")
        terminalreporter.line(f"leak kit: {self.summary()}", bold=True)

    def pytest_sessionfinish(self) -> None:
        if (file := self.config.option.leak_report) and not hasattr(self.config, "workerinput"):
            file.write_text(json.dumps(self.as_dict(), indent=2, sort_keys=True) + "\n")

    def summary(self) -> str:
        """Return one line: how many of what were looked at in how many ways, and the outcome."""
        parts = [
            f"{len(subjects)} {NOUNS[kind][len(subjects) != 1]} ({self.checks[kind]} checks)"
            for kind in NOUNS
            if (subjects := self.covered.get(kind))
        ]
        outcome = f"{len(self.leaks)} {'leak' if len(self.leaks) == 1 else 'leaks'}"
        if self.not_covered:
            outcome += f", {len(self.not_covered)} checks not covered"
        return f"{', '.join(parts) or 'nothing was looked at'}: {outcome}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "covered": {
                kind: {"subjects": sorted(subjects), "checks": self.checks[kind]}
                for kind, subjects in self.covered.items()
            },
            "leaks": self.leaks,
            "not_covered": self.not_covered,
            "seconds": round(self.seconds, 1),
        }

    def _reasons(self) -> dict[str, list[str]]:
        reasons: dict[str, list[str]] = defaultdict(list)
        for check, reason in sorted(self.not_covered.items()):
            reasons[reason].append(check)
        return reasons


def _message(report: pytest.TestReport) -> str:
    longrepr: Any = report.longrepr
    if isinstance(longrepr, tuple):
        return str(longrepr[2])
    crash = getattr(longrepr, "reprcrash", None)
    return str(crash.message if crash else longrepr).strip().removeprefix("Failed: ")
