"""A PgBouncer in either mode, of any size, which lets the owner in too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from tests.fixtures import pgbouncer
from tests.fixtures.pgbouncer import PgBouncer


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch, *, mode: str, pool_size: int) -> Iterator[PgBouncer]:
    configuration = pgbouncer.CONFIGURATION.replace(
        "pool_mode = transaction", f"pool_mode = {mode}"
    )
    assert f"pool_mode = {mode}" in configuration
    with monkeypatch.context() as patch:
        patch.setattr(pgbouncer, "CONFIGURATION", configuration)
        patch.setattr(pgbouncer, "LOGINS", ("app", "ddl_login"))
        with pgbouncer.running(pool_size=pool_size) as pooler:
            yield pooler


@contextmanager
def leading(alias: str, *, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Lead one address through the pooler at `port`, and give its connection."""
    connection = connections[alias]
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        patch.setitem(connection.settings_dict, "PORT", port)
        try:
            yield connection
        finally:
            connection.close()
