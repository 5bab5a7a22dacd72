"""
Which clinics are there to work at, and whose is each patient?

Without Django, whose sockets locust would change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

# Made for this and for nothing else: only here are patients registered, and these are removed.
OURS = re.compile(r"load-\d+")


@dataclass(frozen=True)
class Clinic:
    slug: str
    name: str
    # By id the family name, invented like all of them: by it a page is known.
    patients: dict[str, str]

    @property
    def is_ours(self) -> bool:
        return OURS.fullmatch(self.slug) is not None


def save(clinics: Iterable[Clinic], path: Path) -> None:
    path.write_text(json.dumps([asdict(clinic) for clinic in clinics]))


def load(path: Path) -> list[Clinic]:
    return [Clinic(**clinic) for clinic in json.loads(path.read_text())]
