"""
Is a process alive that nobody can ask over HTTP, a worker or beat?

Its main loop says so by the time of a file, and a probe reads it: `python -m clinicx alive`.
A message from outside, as `celery inspect ping` sends one, is what ClinicX's workers do not
listen to, and would need Redis, whose absence is no reason to restart anybody.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from celery import bootsteps
from django.conf import settings

from tenancy.tasks import beat

PULSE_SECONDS = 3


class Heart:
    """Touches the file every few seconds, while the loop turns or waits for Redis."""

    # Beat looks at its schedule every twenty seconds, a worker's loop turns all the time.
    PATIENCE_SECONDS = 60

    def __init__(self, file: Path) -> None:
        self._file = file
        self._turned_at: float | None = None
        self._file.touch()
        threading.Thread(target=self._beat, name="alive", daemon=True).start()

    def turn(self) -> None:
        """Say that the loop turns; it has to say so again in time."""
        self._turned_at = time.monotonic()

    def wait(self) -> None:
        """Say that the loop waits for Redis, however long that takes."""
        self._turned_at = None

    def _beat(self) -> None:
        while True:
            time.sleep(PULSE_SECONDS)
            turned_at = self._turned_at
            if turned_at is None or time.monotonic() - turned_at < self.PATIENCE_SECONDS:
                self._file.touch()


class Pulse(bootsteps.StartStopStep):
    """A worker's loop says that it turns, from when it is connected until it is not."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        file = settings.CLINICX_ALIVE_FILE
        self.enabled = file is not None
        if file is not None:
            self._heart = Heart(file)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        self._heart.turn()
        self._timer = consumer.timer.call_repeatedly(PULSE_SECONDS, self._heart.turn)

    def stop(self, consumer: Any) -> None:
        self._heart.wait()
        if self._timer is not None:
            self._timer.cancel()


class Scheduler(beat.Scheduler):
    """Tenancy's, which says each time that it looked at its schedule."""

    _heart: Heart | None = None

    def setup_schedule(self) -> None:
        super().setup_schedule()
        if settings.CLINICX_ALIVE_FILE is not None:
            self._heart = Heart(settings.CLINICX_ALIVE_FILE)

    def tick(self, *args: Any, **options: Any) -> Any:
        if self._heart is not None:
            self._heart.turn()
        return super().tick(*args, **options)

    def _ensure_connected(self) -> Any:
        if self._heart is not None:
            self._heart.wait()
        return super()._ensure_connected()  # type: ignore[misc]  # not in the stubs
