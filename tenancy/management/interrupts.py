"""
What does Ctrl-C mean while many tenants are worked for?
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAID = b"\nThose in flight are finished, no other is begun. Ctrl-C again does not wait.\n"


@contextmanager
def finishing() -> Iterator[Event]:
    """
    Yield an Event that the first Ctrl-C sets; a second ends as it always does.

    A SIGTERM counts as well, with which a pod is asked to go. Only the main thread is
    told of signals: in another the event is never set.
    """
    stop = Event()
    if current_thread() is not main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def interrupt(number: int, frame: Any) -> None:
        restore()
        stop.set()
        # Past Python's own streams, of which one may be writing just now.
        os.write(2, SAID)

    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        yield stop
    finally:
        restore()
