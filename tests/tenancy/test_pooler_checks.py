"""What is said at start of a pooler, by real ones in both modes and by none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from django.core.checks import CheckMessage
from django.db import OperationalError, connections

from tenancy import checks, context
from tenancy.checks import poolers as pooler_checks
from tenancy.checks import probe
from tests.fixtures.pgbouncer import PgBouncer
from tests.tenancy import poolers


@pytest.fixture(params=[1, 3])
def pool_size(request: pytest.FixtureRequest) -> int:
    """With one connection there is nothing to give to a second client that waits."""
    return int(request.param)


@pytest.fixture(params=["transaction", "session"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pooler(
    committed: None, mode: str, pool_size: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgBouncer]:
    # Where the second client is let wait for the only session, it waits this long.
    monkeypatch.setattr(probe, "PATIENCE_SECONDS", 2)
    with poolers.running(monkeypatch, mode=mode, pool_size=pool_size) as pooler:
        yield pooler


@pytest.fixture
def through_pooler(pooler: PgBouncer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application's connection, through the pooler."""
    with poolers.leading("default", port=pooler.port, monkeypatch=monkeypatch) as connection:
        yield connection


@pytest.fixture
def owner_through_pooler(pooler: PgBouncer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with poolers.leading("ddl", port=pooler.port, monkeypatch=monkeypatch) as connection:
        yield connection


def check(alias: str) -> list[CheckMessage]:
    found = checks.check_servers(None, databases=[alias])
    # Of every PostgreSQL 15, whatever stands before it.
    return [message for message in found if message.id != "tenancy.W068"]


only_transaction = pytest.mark.parametrize("mode", ["transaction"], indirect=True)
only_session = pytest.mark.parametrize("mode", ["session"], indirect=True)
with_one = pytest.mark.parametrize("pool_size", [1], indirect=True)
with_three = pytest.mark.parametrize("pool_size", [3], indirect=True)


class TestMode:
    def test_of_no_pooler(self, committed: None) -> None:
        with context.override(context.PLATFORM):
            assert probe.mode(connections["default"]) == "none"

    def test_is_seen(self, through_pooler: Any, mode: str) -> None:
        with context.override(context.PLATFORM):
            assert probe.mode(through_pooler) == mode

    @with_three
    @only_transaction
    def test_is_seen_where_sessions_take_turns(
        self, pooler: PgBouncer, through_pooler: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next visitor does not get the session that we used, which is the last in turn."""
        monkeypatch.setattr(probe, "ATTEMPTS", 1)
        with closing(pooler.console()) as console:
            console.execute("SET server_round_robin = 1")
        clients = [psycopg.connect(pooler.url("app")) for _ in range(3)]
        for client in clients:
            client.execute("SELECT 'holds a session, so that there are three'")
        for client in clients:
            client.rollback()  # or the pooler would not keep the session
            client.close()

        with context.override(context.PLATFORM):
            assert probe.mode(through_pooler) == "transaction"

    @with_one
    @only_session
    def test_is_seen_after_one_wait(self, through_pooler: Any) -> None:
        """A visitor for whom there is no session is not followed by more of them."""
        began_at = time.monotonic()
        with context.override(context.PLATFORM):
            probe.mode(through_pooler)

        assert time.monotonic() - began_at < 4 * probe.PATIENCE_SECONDS

    @with_one
    @only_transaction
    def test_is_not_guessed_when_nobody_answers(
        self, pooler: PgBouncer, through_pooler: Any
    ) -> None:
        with context.override(context.PLATFORM), closing(psycopg.connect(pooler.url("app"))) as one:
            through_pooler.ensure_connection()
            one.execute("SELECT 'holds the only session'")

            with pytest.raises(probe.NoAnswer, match="no session in 2 seconds"):
                probe.mode(through_pooler)

            one.rollback()
            assert probe.mode(through_pooler) == "transaction"

    @with_three
    def test_leaves_no_client_behind(self, pooler: PgBouncer, through_pooler: Any) -> None:
        def count_clients() -> int:
            with closing(pooler.console()) as console:
                return len(console.execute("SHOW CLIENTS").fetchall())

        with context.override(context.PLATFORM):
            through_pooler.ensure_connection()
            before = count_clients()
            probe.mode(through_pooler)

        assert count_clients() == before


class TestPoolerOfTheApplication:
    def test_is_not_asked_for_unless_demanded(self, through_pooler: Any) -> None:
        assert check("default") == []

    def test_is_the_one_that_was_meant(self, through_pooler: Any, mode: str, settings: Any) -> None:
        settings.TENANCY_POOLER_MODES = {"default": mode}

        assert check("default") == []

    @with_three
    @only_session
    def test_e012_is_in_session_mode(self, through_pooler: Any, settings: Any) -> None:
        settings.TENANCY_POOLER_MODES = {"default": "transaction"}

        (message,) = check("default")

        assert message.id == "tenancy.E012"
        assert "'transaction', and the server is reached through a pooler in session" in message.msg
        assert "set pool_mode = transaction in pgbouncer.ini" in str(message.hint)

    def test_e012_is_not_there(self, committed: None, settings: Any) -> None:
        settings.TENANCY_POOLER_MODES = {"default": "transaction"}

        (message,) = check("default")

        assert message.id == "tenancy.E012"
        assert "without a pooler" in message.msg

    @with_three
    @pytest.mark.parametrize(
        ("meant", "mode", "remedy"),
        [
            ("session", "transaction", "set pool_mode = session in pgbouncer.ini"),
            ("none", "transaction", "the host and the port of PostgreSQL itself"),
            ("none", "session", "the host and the port of PostgreSQL itself"),
        ],
        indirect=["mode"],
    )
    def test_e013_is_another(
        self, through_pooler: Any, meant: str, mode: str, remedy: str, settings: Any
    ) -> None:
        settings.TENANCY_POOLER_MODES = {"default": meant}

        (message,) = check("default")

        assert message.id == "tenancy.E013"
        assert f"{meant!r}, and the server is reached through a pooler in {mode}" in message.msg
        assert remedy in str(message.hint)
        assert f"TENANCY_POOLER_MODES['default'] = {mode!r}" in str(message.hint)


class TestPoolerOfTheOwner:
    @with_three
    @only_transaction
    def test_e014_is_in_transaction_mode(self, owner_through_pooler: Any, settings: Any) -> None:
        """Nobody has to demand that it is not, and nobody can allow it."""
        unset = check("ddl")
        settings.TENANCY_POOLER_MODES = {"ddl": "transaction"}

        (message,) = check("ddl")

        assert message.id == "tenancy.E014"
        assert "DATABASE_DDL_URL" in str(message.hint)
        assert unset == [message]

    @with_three
    @only_session
    def test_may_be_in_session_mode(self, owner_through_pooler: Any) -> None:
        assert check("ddl") == []


class TestPreparedStatements:
    @pytest.fixture(autouse=True)
    def wanted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        options = connections["default"].settings_dict["OPTIONS"]
        monkeypatch.setitem(options, "prepare_threshold", 5)

    @only_transaction
    def test_e015_stay_behind(self, pooler: PgBouncer, through_pooler: Any) -> None:
        (message,) = check("default")

        assert message.id == "tenancy.E015"
        assert "prepare_threshold 5" in message.msg
        assert "del DATABASES['default']['OPTIONS']['prepare_threshold']" in str(message.hint)
        with psycopg.connect(pooler.url("app")) as client:
            left = client.execute("SELECT name FROM pg_catalog.pg_prepared_statements").fetchall()
        assert left == []

    @only_session
    def test_stay_with_their_client_in_session_mode(self, through_pooler: Any) -> None:
        assert check("default") == []

    def test_stay_with_their_client_without_a_pooler(self, committed: None) -> None:
        assert check("default") == []

    @only_transaction
    def test_are_not_asked_about_where_none_are_wanted(
        self, through_pooler: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(through_pooler.settings_dict["OPTIONS"], "prepare_threshold", None)

        assert check("default") == []


class TestServerThatIsAway:
    def test_is_djangos_own_error(self, committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
        with (
            poolers.leading("default", port=1, monkeypatch=monkeypatch),
            pytest.raises(OperationalError, match="refused"),
        ):
            check("default")

    @with_three
    @only_transaction
    def test_is_djangos_own_error_in_the_middle_too(
        self, pooler: PgBouncer, through_pooler: Any, settings: Any
    ) -> None:
        settings.TENANCY_POOLER_MODES = {"default": "transaction"}
        with context.override(context.PLATFORM):
            through_pooler.ensure_connection()
            pooler.stop()

            with pytest.raises(OperationalError, match="closed"):
                pooler_checks.check(through_pooler)
