"""
Who works for how long, at which address and in which way of switching clinics?

The test writes a plan to a file; the herd of client processes reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.db import connections

from tenancy import context
from tenancy.context import ActiveTenant


@dataclass(frozen=True)
class Plan:
    """`clinics` are schemas by what the rows in them say; a doomed process is killed early."""

    folder: str
    seconds: float
    way: str
    address: str
    clinics: dict[str, str]
    processes: int = 2
    threads: int = 18
    doomed_threads: int = 4

    @property
    def clients(self) -> int:
        return self.processes * self.threads + self.doomed_threads

    def write(self) -> Path:
        path = Path(self.folder) / "plan.json"
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        return cls(**json.loads(path.read_text()))


class Way(Protocol):
    """How clients say for whom they work, at the address named `alias`."""

    alias: str

    def prepare(self, address: str) -> None:
        """Lead `alias` to `address`, in this process."""

    def work_for(self, schema: str, *, is_meant: bool = False) -> AbstractContextManager[None]:
        """Work for `schema` in the block; `is_meant` also in another's open transaction."""

    def work_for_nobody(self) -> AbstractContextManager[None]:
        """Work for nobody in the block."""


class Ours:
    """tenancy.backend."""

    alias = "default"

    def prepare(self, address: str) -> None:
        connections.settings[self.alias].update(_parts_of(address))

    def work_for(self, schema: str, *, is_meant: bool = False) -> AbstractContextManager[None]:
        return context.override(ActiveTenant(None, schema), in_transaction=is_meant)

    def work_for_nobody(self) -> AbstractContextManager[None]:
        return context.override(None)


class Stock:
    """django-tenants' own backend, which sets the path on the session."""

    alias = "stock"

    def prepare(self, address: str) -> None:
        connections.settings[self.alias] = {
            **connections.settings["default"],
            **_parts_of(address),
            "ENGINE": "django_tenants.postgresql_backend",
            "OPTIONS": {},
            "DISABLE_SERVER_SIDE_CURSORS": True,
        }

    @contextmanager
    def work_for(self, schema: str, *, is_meant: bool = False) -> Iterator[None]:
        wrapper: Any = connections[self.alias]
        outer = wrapper.schema_name
        wrapper.set_schema(schema)
        try:
            yield
        finally:
            wrapper.set_schema(outer)

    def work_for_nobody(self) -> AbstractContextManager[None]:
        return self.work_for("public")


WAYS: dict[str, Way] = {"ours": Ours(), "stock": Stock()}


def _parts_of(address: str) -> dict[str, Any]:
    parts = urlsplit(address)
    return {
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": parts.password,
        "NAME": parts.path.strip("/"),
    }
