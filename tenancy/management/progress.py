"""
How far is work on many tenants, for whoever watches a terminal?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# What takes less is over before anybody wonders.
PATIENCE_SECONDS = 2.0


class Bar:
    """
    Counts to `total`, with rate and remaining time, once it takes longer than two seconds.

    Written to `stream`, and only where that is a terminal; what is told meanwhile goes
    through `write`, so that the bar stays below it.
    """

    def __init__(self, total: int, *, stream: TextIO, what: str = "tenants") -> None:
        self._progress = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(what),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=stream),
            disable=not stream.isatty(),
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=total, note="")
        self._timer = Timer(PATIENCE_SECONDS, self._progress.start)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if not self._progress.disable:
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._progress.stop()

    def advance(self, *, note: str = "") -> None:
        """Count one more; `note` stands behind the bar, such as how many failed."""
        self._progress.update(self._task, advance=1, note=note)

    def write(self, text: str, *, to: Any) -> None:
        """Write lines to the stream `to`; above the bar where both are one terminal."""
        if self._progress.live.is_started and to.isatty():
            self._progress.console.print(Text(text.rstrip("\n")), soft_wrap=True)
        else:
            to.write(text)


class _Rate(ProgressColumn):
    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {self._what}/s" if speed else "")


@contextmanager
def told_when_slow(text: str, *, write: Callable[[str], object]) -> Iterator[None]:
    """Write `text` once the block takes longer than two seconds."""
    timer = Timer(PATIENCE_SECONDS, write, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
