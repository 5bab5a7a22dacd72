"""
What does the person at the terminal see while the stack starts?

Progress goes to standard error: standard output belongs to whoever called us.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

WIDTH = 58


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Show `text` while the block runs, and then how long that took."""
    began = time.monotonic()
    if sys.stderr.isatty():
        _print(f"  {_dim('·')} {text} ...", end="\r")
    try:
        yield
    except BaseException:
        _finish(_red("✗"), text, began)
        raise
    _finish(_green("✓"), text, began)


def note(text: str) -> None:
    _print(f"    {_dim(text)}")


def complain(text: str) -> None:
    """Say why nothing more will happen."""
    _print(f"\n{_red('✗')} {text}")


def box(lines: Sequence[str]) -> None:
    """Print `lines` in a frame, as wide as the longest."""
    width = max(map(len, lines)) + 2
    print(f"\n  ╭{'─' * width}╮")
    for line in lines:
        print(f"  │ {line:<{width - 2}} │")
    print(f"  ╰{'─' * width}╯\n", flush=True)


def _finish(mark: str, text: str, began: float) -> None:
    seconds = f"{time.monotonic() - began:.1f} s"
    _print(f"  {mark} {text:<{WIDTH}}{_dim(f'{seconds:>7}')}")


def _print(text: str, end: str = "\n") -> None:
    # A terminal that was closed, or a pipe that nobody reads, must not keep us from stopping.
    with contextlib.suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)


def _colour(code: int, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stderr.isatty() else text


def _red(text: str) -> str:
    return _colour(31, text)


def _green(text: str) -> str:
    return _colour(32, text)


def _dim(text: str) -> str:
    return _colour(2, text)
