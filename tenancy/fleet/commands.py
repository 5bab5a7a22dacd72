"""
How does a management command run for every tenant at once, and who hears what it says?

A command writes to its own `stdout`, or prints. Neither may end up with another tenant's:
while commands run here, `sys.stdout` and `sys.stderr` are streams that ask for whom the text
is, and `sys.stdin` has nothing for them, because nobody could tell who asked.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Lock
from typing import Any, TextIO

from django.core import management
from django.core.management.base import CommandError

from tenancy.context import Target
from tenancy.fleet.running import JOBS, Outcome, Result, run
from tenancy.tenants import Tenant

# Of each stream of each tenant, in characters; all that is in flight is in memory.
LIMIT = 1_000_000

STREAMS = ("stdout", "stderr", "stdin")


class Output:
    """What a command wrote for one tenant; of each stream no more than the first LIMIT."""

    def __init__(self) -> None:
        self._parts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._sizes = dict.fromkeys(self._parts, 0)

    def write(self, stream: str, text: str) -> None:
        room = LIMIT - self._sizes[stream]
        self._sizes[stream] += len(text)
        if room > 0:
            self._parts[stream].append(text[:room])

    @property
    def stdout(self) -> str:
        return self._read("stdout")

    @property
    def stderr(self) -> str:
        return self._read("stderr")

    def _read(self, stream: str) -> str:
        text = "".join(self._parts[stream])
        if (lost := self._sizes[stream] - LIMIT) > 0:
            text += f"\n... {lost:,} more characters were not kept; tenant_command shows all.\n"
        return text


_output: ContextVar[Output | None] = ContextVar("tenancy.fleet.output", default=None)


def call_command(
    name: str,
    *arguments: str,
    targets: Iterable[Target | Tenant] | None = None,
    jobs: int = JOBS,
    stop: Event | None = None,
    **options: Any,
) -> Iterator[Result[Output]]:
    """
    Run a management command for each tenant, as `each` does, and yield what it wrote.

    Each result has the Output as its value, also where the command failed. The command
    runs in threads of this process: whatever it keeps for the whole process, such as a
    working directory, is everybody's. One that wants to ask something fails, and so does
    one that ends with another status than 0.
    """

    def attempt() -> Outcome[Output]:
        output = Output()
        _output.set(output)
        return output, _fail(lambda: management.call_command(name, *arguments, **options))

    with _streams_of_tenants():
        yield from run(attempt, targets, jobs=jobs, stop=stop)


def _fail(command: Callable[[], object]) -> BaseException | None:
    """Return what `command` raised, unless it ended well."""
    try:
        command()
    except SystemExit as error:
        return error if error.code else None
    except EOFError as error:
        asked = CommandError("It asked something, and nobody is there to answer.")
        asked.__cause__ = error
        return asked
    except Exception as error:  # noqa: BLE001  # told, with its tenant
        return error
    return None


class _OfTenant(io.TextIOBase):
    """Stands in for one of the process' streams; text of a tenant's goes to its Output."""

    def __init__(self, name: str, original: TextIO) -> None:
        self.name = name
        self.original = original

    def write(self, text: str) -> int:
        if (output := _output.get()) is None:
            return self.original.write(text)
        output.write(self.name, text)
        return len(text)

    def readline(self, size: int = -1) -> str:  # type: ignore[override]  # as TextIO has it
        return self.original.readline(size) if _output.get() is None else ""

    def read(self, size: int | None = -1) -> str:
        return self.original.read(-1 if size is None else size) if _output.get() is None else ""

    def readable(self) -> bool:
        return self.name == "stdin"

    def writable(self) -> bool:
        return self.name != "stdin"

    def isatty(self) -> bool:
        return _output.get() is None and self.original.isatty()

    def flush(self) -> None:
        if _output.get() is None:
            self.original.flush()

    def fileno(self) -> int:
        return self.original.fileno()

    def __getattr__(self, name: str) -> Any:
        if _output.get() is None:
            return getattr(self.original, name)
        raise AttributeError(f"What a tenant's command writes has no {name!r}: it is text.")

    @property
    def encoding(self) -> str:  # type: ignore[override]  # what a stream in memory has none of
        return self.original.encoding


_lock = Lock()
_users = 0


@contextmanager
def _streams_of_tenants() -> Iterator[None]:
    """Put the streams in place for as long as anybody iterates; they may end in any order."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            for name in STREAMS:
                setattr(sys, name, _OfTenant(name, getattr(sys, name)))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for name in STREAMS:
                    # Whoever replaced it meanwhile puts back what was there before.
                    if isinstance(stream := getattr(sys, name), _OfTenant):
                        setattr(sys, name, stream.original)
