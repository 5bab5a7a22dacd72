"""
What have the servers said?
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

LARGEST_BYTES = 5_000_000
INTERVAL_SECONDS = 0.2


def limit(path: Path) -> None:
    """Put a large log aside, so that what is kept has an upper bound."""
    if size(path) > LARGEST_BYTES:
        path.replace(path.with_name(f"{path.name}.old"))


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def since(path: Path, position: int) -> str:
    """Return what was said after `position`, without an end that is still being written."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(position)
        return file.read().decode(errors="replace").strip()


def tail(path: Path, *, lines: int) -> str:
    said = since(path, max(0, size(path) - 200 * lines))
    return "\n".join(said.splitlines()[-lines:])


def follow(path: Path, *, position: int) -> Iterator[str]:
    """
    Yield what is said from `position` on, forever; an empty text while there is nothing new.

    A log that was put aside or cut is read from its beginning.
    """
    while True:
        length = size(path)
        if length < position:
            position = 0
        if length == position:
            time.sleep(INTERVAL_SECONDS)
            yield ""
            continue
        with path.open("rb") as file:
            file.seek(position)
            said = file.read(length - position)
        position = length
        yield said.decode(errors="replace")
