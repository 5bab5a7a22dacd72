"""
How files of FHIR become rows of the active clinic, all of a file or nothing of it.

A file is a transaction, and goes through it a chunk at a time (see `chunk`). Any problem
rolls the transaction back. Files of NDJSON that refer to each other in both directions
share one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, connection, transaction

from apps.fhir import identity, references, sources
from apps.fhir.chunk import Chunk, Outcome
from apps.fhir.problems import Problem
from apps.fhir.sources import Entry, Kind, Source, UnreadableFile

# Two imports into one clinic wait for each other: both may bring the same practitioner.
LOCK = "LOCK TABLE fhir_importedresource IN SHARE ROW EXCLUSIVE MODE"

# Enough to see what is wrong with a file; the rest is counted.
MOST_PROBLEMS = 50


@dataclass(slots=True)
class FileResult:
    """What became of one file."""

    label: str
    counts: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    more_problems: int = 0

    @property
    def is_refused(self) -> bool:
        return bool(self.problems)

    @property
    def only_lacks_others(self) -> bool:
        """Return whether the file may be fine once other files are in."""
        return self.is_refused and all(problem.is_dangling for problem in self.problems)

    def add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append(problem)
            else:
                self.more_problems += 1

    def skip_what_was_not_written(self) -> None:
        written = [key for key in self.counts if key[1] is not Outcome.FAILED]
        for resource_type, outcome in written:
            count = self.counts.pop((resource_type, outcome))
            self.counts[resource_type, Outcome.SKIPPED] += count


class _Refused(Exception):
    """Leaves a file's transaction, so that it is rolled back."""


def run(
    files: list[Source],
    *,
    now: datetime,
    base: str = "",
    dry_run: bool = False,
    on_bytes: Callable[[int], None] = lambda size: None,
) -> Iterator[FileResult]:
    """
    Import `files` into the active clinic; yield what became of each as soon as it is known.

    A file that lacks only what another may bring is tried again after the others. `base`
    is the address of the server that relative references of these files mean. With
    `dry_run` everything is done and nothing remains.
    """
    with ExitStack() as stack:
        if dry_run:
            stack.enter_context(_rolled_back())
        waiting: list[_Unit] = [
            *(_Unit([each], now, base) for each in files if each.kind is Kind.BUNDLE),
            *_units_of_ndjson([each for each in files if each.kind is Kind.NDJSON], now, base),
        ]
        while waiting:
            put_aside = []
            for unit in waiting:
                unit.import_all(on_bytes)
                if unit.only_lacks_others:
                    put_aside.append(unit)
                else:
                    yield from unit.results
            if len(put_aside) == len(waiting):
                for unit in put_aside:
                    yield from unit.results
                return
            waiting = put_aside
            on_bytes = _count_nothing  # these bytes were counted the first time


@contextmanager
def _rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _count_nothing(size: int) -> None:
    """Take the place of `on_bytes` when a file is read again."""


# A unit is what one transaction imports


class _Unit:
    """Files that come in together or not at all: a bundle, or some NDJSON."""

    def __init__(
        self, files: list[Source], now: datetime, base: str, coming: frozenset[int] = frozenset()
    ) -> None:
        self.files = files
        self.now = now
        self.base = base
        self.results: list[FileResult] = []
        #: Fingerprints of the addresses that these files bring, sooner or later.
        self._coming = coming
        #: Those of them that something written already refers to.
        self._promised: set[int] = set()
        self._is_locked = False

    @property
    def only_lacks_others(self) -> bool:
        refused = [result for result in self.results if result.is_refused]
        return bool(refused) and all(result.only_lacks_others for result in refused)

    def import_all(self, on_bytes: Callable[[int], None]) -> None:
        """Write everything, or report why nothing was written."""
        self.results = [FileResult(source.label) for source in self.files]
        self._promised.clear()
        self._is_locked = False
        result = self.results[0]
        try:
            with transaction.atomic():
                for source, result in zip(self.files, self.results, strict=True):
                    self._import_file(source, result, on_bytes)
                if self._is_refused():
                    raise _Refused
                connection.check_constraints()
        except _Refused:
            self._say_that_nothing_was_written()
        except DatabaseError as error:
            result.add([Problem(_reason(error))])
            self._say_that_nothing_was_written()

    def promise(self, name: str) -> UUID | None:
        """Return the id that a resource will have which comes later; None if it does not."""
        fingerprint = identity.fingerprint(name)
        if fingerprint not in self._coming:
            return None
        self._promised.add(fingerprint)
        return identity.new_id(name)

    def is_promised(self, name: str) -> bool:
        return identity.fingerprint(name) in self._promised

    def _import_file(
        self, source: Source, result: FileResult, on_bytes: Callable[[int], None]
    ) -> None:
        try:
            for entries, size in _read(source):
                chunk = Chunk(entries, self)
                chunk.validate()
                # After a problem nothing will be kept: the rest is only looked at.
                if not self._is_refused():
                    self._lock()
                    chunk.recognise_and_resolve()
                    chunk.map()
                result.add(chunk.problems)
                result.counts.update(chunk.counts)
                if not self._is_refused():
                    chunk.write()
                on_bytes(size)
        except UnreadableFile as error:
            result.add([error.problem])

    def _lock(self) -> None:
        """
        Wait for other imports, the first time in this transaction.

        Not before the first chunk has been validated: until a statement is sent there is no
        transaction, and a long one that says nothing is ended by PostgreSQL.
        """
        if not self._is_locked:
            with connection.cursor() as cursor:
                cursor.execute(LOCK)
            self._is_locked = True

    def _is_refused(self) -> bool:
        return any(result.is_refused for result in self.results)

    def _say_that_nothing_was_written(self) -> None:
        for result in self.results:
            result.skip_what_was_not_written()
            if not result.is_refused:
                reason = "was left out with the file that it refers to"
                result.add([Problem(reason, is_dangling=True)])


def _read(source: Source) -> Iterator[tuple[list[Entry], int]]:
    if source.kind is Kind.NDJSON:
        yield from sources.read_lines(source)
    else:
        yield sources.read_bundle(source), source.size


def _reason(error: DatabaseError) -> str:
    """Return what PostgreSQL objected to, without the values that it quotes."""
    diagnosis = getattr(error.__cause__, "diag", None)
    constraint = getattr(diagnosis, "constraint_name", None)
    state = getattr(diagnosis, "sqlstate", None)
    if state == "55P03":
        return "another import into this clinic is running; try again when it has ended"
    return f"the database refused it ({constraint or state or type(error).__name__})"


def _units_of_ndjson(files: list[Source], now: datetime, base: str) -> list[_Unit]:
    """
    Return the units that NDJSON files form.

    Each file is one, unless it refers to a file that comes after it: then all up to that
    one are, as neither can be written without the other.
    """
    brought: dict[int, int] = {}
    wanted = []
    for position, source in enumerate(files):
        wanted.append(_scan(source, position, base, brought))

    units, start = [], 0
    while start < len(files):
        end = position = start
        while position <= end:
            end = max([end, *(brought[name] for name in wanted[position] if name in brought)])
            position += 1
        coming = frozenset(name for name, file in brought.items() if start <= file <= end)
        units.append(_Unit(files[start : end + 1], now, base, coming))
        start = end + 1
    return units


def _scan(source: Source, position: int, base: str, brought: dict[int, int]) -> set[int]:
    """Add what a file brings to `brought`; return what it refers to and nothing has brought."""
    wanted: set[int] = set()
    try:
        for entries, _ in sources.read_lines(source):
            for entry in entries:
                source_id = entry.resource.get("id")
                if isinstance(source_id, str):
                    name = references.address_name(entry.resource_type, source_id, base=base)
                    brought[identity.fingerprint(name)] = position
                for reference in references.find(entry.resource):
                    named = references.name_of(reference.text, base=base)
                    if named:
                        wanted.add(identity.fingerprint(named))
    except UnreadableFile:
        pass  # the import will come to this line, too, and report it
    return {name for name in wanted if name not in brought}
