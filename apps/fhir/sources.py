"""
Which files are there to import, in which order, and what do they hold?

A `.json` file is a bundle, a `.ndjson` file has a resource a line. Files are read one
after the other and line by line; only a bundle, which is one transaction, is in memory
as a whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeGuard

from apps.fhir.problems import Problem
from apps.patients.fields import loads

Json: TypeAlias = dict[str, Any]

# People and places that many bundles repeat, before the patients who refer to them.
DIRECTORY = [
    "Organization",
    "Endpoint",
    "Location",
    "Practitioner",
    "HealthcareService",
    "PractitionerRole",
    "Medication",
]
_FIRST = [*DIRECTORY, "Patient", "RelatedPerson", "Device", "Encounter", "Condition"]

CHUNK = 500
_PEEK = 64 * 1024
_RESOURCE_TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]+)"')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_BUNDLES = ("transaction", "batch", "collection")


class UnableToRead(Exception):
    """What was asked for cannot be read; nothing was imported."""


class UnreadableFile(Exception):
    """One file is not what its name says; it holds nothing that could be imported."""

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        super().__init__(reason)
        self.problem = Problem(reason, line=line)


class Kind(Enum):
    BUNDLE = "bundle"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or what came on standard input, which is kept in `stream`."""

    label: str
    kind: Kind
    path: Path = Path("-")
    stream: BinaryIO | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        if self.stream is not None:
            return os.fstat(self.stream.fileno()).st_size
        return self.path.stat().st_size

    def open(self) -> BinaryIO:
        """Return the content from its beginning."""
        if self.stream is not None:
            # Whoever closes this leaves ours open, for the next time.
            again = os.dup(self.stream.fileno())
            os.lseek(again, 0, os.SEEK_SET)
            return os.fdopen(again, "rb")
        return self.path.open("rb")

    def close(self) -> None:
        """Let go of what came on standard input."""
        if self.stream is not None:
            self.stream.close()


@dataclass(slots=True)
class Entry:
    """One resource of a file: what was written there, and where."""

    resource: Json
    full_url: str = ""
    method: str = "POST"
    if_none_exist: str = ""
    index: int | None = None
    line: int | None = None
    problems: list[Problem] = field(default_factory=list)

    def complain(self, reason: str, path: str = "", *, is_dangling: bool = False) -> None:
        self.problems.append(
            Problem(reason, path=path, entry=self.index, line=self.line, is_dangling=is_dangling)
        )

    @property
    def resource_type(self) -> str:
        return str(self.resource["resourceType"])


def find(paths: Iterable[str]) -> list[Source]:
    """
    Return the files that `paths` name, folders searched through, in the order to import.

    Raise UnableToRead if a path does not exist or names nothing that could be imported.
    """
    found: dict[Path, Source] = {}
    others: list[Source] = []
    for given in paths:
        if given == "-":
            others.append(_standard_input(sys.stdin.buffer))
            continue
        path = Path(given)
        if not path.exists():
            raise UnableToRead(f"{given!r} does not exist.")
        files = _files_below(path) if path.is_dir() else [path]
        if not files:
            raise UnableToRead(f"{given!r} has no .json or .ndjson files.")
        for file in files:
            source = Source(label=str(file), kind=_kind(file), path=file)
            found.setdefault(file.resolve(), source)
    sources = [*found.values(), *others]
    bundles = [source for source in sources if source.kind is Kind.BUNDLE]
    lines = [source for source in sources if source.kind is Kind.NDJSON]
    return [*sorted(bundles, key=_rank), *sorted(lines, key=_rank)]


def _files_below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in (".json", ".ndjson") and path.is_file()
    )


def _kind(path: Path) -> Kind:
    return Kind.NDJSON if path.suffix.lower() in (".ndjson", ".jsonl") else Kind.BUNDLE


def _standard_input(stream: BinaryIO) -> Source:
    """Keep standard input in a file without a name: NDJSON is read twice."""
    kept: Any = tempfile.TemporaryFile()  # noqa: SIM115  # open until the import has ended
    shutil.copyfileobj(stream, kept)
    kept.flush()
    kept.seek(0)
    first_line = kept.readline()
    try:
        is_bundle = loads(first_line).get("resourceType") == "Bundle"
    except (ValueError, AttributeError):
        is_bundle = True  # a bundle over many lines, or no JSON at all: the reader will say
    kind = Kind.BUNDLE if is_bundle else Kind.NDJSON
    return Source(label="standard input", kind=kind, stream=kept)


def _rank(source: Source) -> tuple[int, str]:
    """Return where in the order a file comes: by the type of its first resource."""
    try:
        with source.open() as opened:
            beginning = opened.read(_PEEK)
    except OSError:
        beginning = b""  # whoever reads it will report it
    types = [match.decode() for match in _RESOURCE_TYPE.findall(beginning) if match != b"Bundle"]
    first = types[0] if types else ""
    return (_FIRST.index(first) if first in _FIRST else len(_FIRST), source.label)


def read_bundle(source: Source) -> list[Entry]:
    """Return the entries of a bundle, or raise UnreadableFile. An entry may have problems."""
    try:
        with source.open() as opened:
            content = opened.read()
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from error
    bundle = _parse(content)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise UnreadableFile("is not a Bundle; single resources can be imported from .ndjson")
    if bundle.get("type") not in _BUNDLES:
        raise UnreadableFile("Bundle.type is not one of batch, collection, transaction")
    listed = bundle.get("entry", [])
    if not isinstance(listed, list):
        raise UnreadableFile("Bundle.entry must be a list")
    entries = [_entry(index, item) for index, item in enumerate(listed)]
    _refuse_duplicates(entries)
    return entries


def _entry(index: int, item: Any) -> Entry:
    if not isinstance(item, dict):
        return _broken(index, "must be an object")
    resource = item.get("resource")
    if not _has_type(resource):
        return _broken(index, "has no resource with a resourceType")
    request = item.get("request", {})
    full_url = item.get("fullUrl", "")
    if not isinstance(request, dict) or not isinstance(full_url, str):
        return _broken(index, "has a request or fullUrl of the wrong type")

    entry = Entry(resource, full_url=full_url, index=index)
    method = request.get("method", "POST")
    if method not in ("POST", "PUT"):
        entry.complain("asks for something else than POST or PUT", "request.method")
    condition = request.get("ifNoneExist", "")
    if isinstance(condition, str):
        entry.if_none_exist = condition
    if entry.resource_type == "Bundle":
        entry.complain("is a Bundle inside a Bundle", "resource")
    return entry


def _broken(index: int, reason: str) -> Entry:
    entry = Entry({"resourceType": "(unknown)"}, index=index)
    entry.complain(reason)
    return entry


def _has_type(resource: Any) -> TypeGuard[Json]:
    return isinstance(resource, dict) and isinstance(resource.get("resourceType"), str)


def _refuse_duplicates(entries: list[Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.full_url and entry.full_url in seen:
            entry.complain("is also that of another entry", "fullUrl")
        seen.add(entry.full_url)


def read_lines(source: Source) -> Iterator[tuple[list[Entry], int]]:
    """
    Yield the entries of an NDJSON file in chunks, each with the bytes it took.

    Raise UnreadableFile at the first line that is not a resource.
    """
    chunk: list[Entry] = []
    size = 0
    is_empty = True
    try:
        with source.open() as opened:
            for number, line in enumerate(opened, 1):
                size += len(line)
                text = line.removeprefix(_BYTE_ORDER_MARK).strip() if number == 1 else line.strip()
                if not text:
                    continue
                is_empty = False
                chunk.append(_line(number, text))
                if len(chunk) == CHUNK:
                    yield chunk, size
                    chunk, size = [], 0
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from error
    if is_empty:
        raise UnreadableFile("is empty")
    yield chunk, size


def _line(number: int, text: bytes) -> Entry:
    resource = _parse(text, line=number)
    if not _has_type(resource):
        raise UnreadableFile("is not a resource", line=number)
    entry = Entry(resource, line=number)
    if entry.resource_type == "Bundle":
        entry.complain("is a Bundle, which belongs into a .json file")
    return entry


def _parse(content: bytes, *, line: int | None = None) -> Any:
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if not content.strip():
        raise UnreadableFile("is empty", line=line)
    try:
        return loads(content.decode())
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"is not UTF-8 at byte {error.start}", line=line) from error
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if line else f"line {error.lineno}, column {error.colno}"
        raise UnreadableFile(f"is not JSON at {place}", line=line) from error
    except ValueError as error:
        raise UnreadableFile("has a number that is not JSON", line=line) from error
    except RecursionError as error:
        raise UnreadableFile("is nested too deeply", line=line) from error
