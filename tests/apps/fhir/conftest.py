"""Small files of FHIR, each showing quirks of real ones, and ways to import and read back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.fhir import importer, mapping, sources
from apps.fhir.importer import FileResult
from apps.fhir.models import RawResource
from apps.patients.fields import loads

FILES = Path(__file__).parents[2] / "fixtures" / "fhir"
NOW = datetime(2024, 6, 15, 12, tzinfo=UTC)

# María's own resources in maria.json, by type and in the file's order.
PATIENT = 2
ENCOUNTER = 3
CONDITION = 4


@pytest.fixture
def files() -> Path:
    """
    Where the files are.

    maria.json: María Luisa O'Hara-Núñez, her doctor and all that happened in one visit, with
    urn:uuid references. directory.json: the same doctor and place in other words.
    conditional.json: Åsa Lindqvist, who refers to them by their identifiers. relative.json:
    a server's own addresses. export: three people in NDJSON, and a visit and a problem
    that refer to each other.
    """
    return FILES


@pytest.fixture
def maria() -> dict[str, Any]:
    """María's bundle, to be changed and written elsewhere."""
    bundle: dict[str, Any] = loads((FILES / "maria.json").read_bytes())
    return bundle


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a bundle, lines of NDJSON, text or bytes into a file."""

    def write(content: Any, name: str = "file.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content)
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(line, default=float) + "\n" for line in content))
        else:
            path.write_text(json.dumps(content, default=float))
        return path

    return write


@pytest.fixture
def take_in() -> Callable[..., list[FileResult]]:
    """A function that imports paths into the active clinic and returns what became of each."""

    def take_in(*paths: Path, **options: Any) -> list[FileResult]:
        found = sources.find(map(str, paths))
        return list(importer.run(found, **{"now": NOW, **options}))

    return take_in


def totals(results: Iterable[FileResult]) -> dict[str, int]:
    """Return how many resources had each outcome, without those that none had."""
    counts: Counter[str] = Counter()
    for result in results:
        for (_, outcome), count in result.counts.items():
            counts[outcome.value] += count
    return dict(counts)


def said(results: Iterable[FileResult]) -> list[str]:
    """Return the problems as they are reported, without the files' names."""
    return [str(problem) for result in results for problem in result.problems]


def stored(resource_type: str, key: Any) -> dict[str, Any]:
    """Return a row of the active clinic as FHIR."""
    mapped = mapping.TYPES.get(resource_type)
    if mapped is None:
        content: dict[str, Any] = RawResource.objects.get(pk=key).content
        return content
    row = mapped.model._default_manager.get(pk=key)
    parts = [
        part
        for model, owner in mapped.parts.items()
        for part in model._default_manager.filter(**{owner: row})
    ]
    return mapped.write(row, parts)
