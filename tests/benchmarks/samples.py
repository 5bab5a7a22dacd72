"""
What came out, and may it be believed?
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.benchmarks import systems


@dataclass
class Samples:
    """What each round measured of one thing, for each system in turn."""

    metric: str
    size: int
    unit: str
    rounds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # Of round trips: how many delays the operation took, which is a little more.
    waited: dict[str, float] = field(default_factory=dict)
    # Of requests: the share of a core that the proxy before the database took at most.
    proxy_load: dict[str, float] = field(default_factory=dict)

    def add(self, system: str, value: float) -> None:
        self.rounds[system].append(value)

    def value(self, system: str) -> float | None:
        """Return the median over the rounds; None for a system that this does not apply to."""
        return median(self.rounds[system]) if self.rounds.get(system) else None

    def ratio(self, system: str, to: str) -> float | None:
        """Return how many times `to`'s value the system's is."""
        value, other = self.value(system), self.value(to)
        return value / other if value is not None and other else None

    def spread(self, system: str, to: str) -> tuple[float, float] | None:
        """Return between what that ratio was in the middle half of the rounds: the noise."""
        pairs = zip(self.rounds.get(system, ()), self.rounds.get(to, ()), strict=False)
        ratios = [value / other for value, other in pairs if other]
        if len(ratios) < 2:
            return None
        low, _, high = quantiles(ratios, n=4, method="inclusive")
        return low, high

    def row(self) -> dict[str, Any]:
        values = {system.key: self.value(system.key) for system in systems.ALL}
        return {
            "metric": self.metric,
            "size": self.size,
            "unit": self.unit,
            **{key: None if value is None else round(value, 3) for key, value in values.items()},
        }


def save(path: Path, samples: Iterable[Samples]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps(each.row()) for each in samples]
    path.write_text("[\n  " + ",\n  ".join(rows) + "\n]\n")
