"""Work for every tenant at once, and nothing of one of them with another."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from threading import Barrier, Event
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.management import get_commands
from django.db import connection, connections, transaction
from django.utils import translation

from tenancy import context, fleet
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.errors import TenantNotFound
from tenancy.fleet import commands
from tenancy.management import interrupts
from tenancy.models import Organization, State
from tests.tenancy.everywhere.management.commands import babble

LANGUAGE: ContextVar[str] = ContextVar("language", default="none")


def where() -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema(), current_user, pg_backend_pid()")
        return tuple(cursor.fetchone())


@pytest.fixture
def babbling(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that lets the command `babble` take turns for so many tenants."""
    monkeypatch.setitem(get_commands(), "babble", "tests.tenancy.everywhere")

    def take_turns(tenants: int) -> None:
        monkeypatch.setattr(babble, "together", Barrier(tenants, timeout=20))

    return take_turns


@pytest.fixture
def elm_and_oak(elms: ActiveTenant, oaks: ActiveTenant, committed: None) -> list[ActiveTenant]:
    return [elms, oaks]


class TestSelect:
    def test_takes_all_that_have_a_schema_in_order(
        self, scratch: Callable[..., Organization], elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        """
        A suspended one too: somebody has to look after it. One to come has nothing yet.
        """
        states = {"ash": State.SUSPENDED, "fir": State.PROVISIONING, "yew": State.DELETING}
        with context.override(PLATFORM):
            for slug, state in states.items():
                Organization.objects.filter(pk=scratch(slug).pk).update(state=state)

        assert [str(each) for each in fleet.select()] == ["ash", "elm", "oak"]
        assert fleet.list_closed(fleet.select()) == ["ash (suspended)"]
        with context.override(PLATFORM):  # so that scratch may delete them
            Organization.objects.filter(slug__in=states).update(state=State.ACTIVE)

    @pytest.mark.parametrize(
        ("chosen", "found"),
        [
            ({"only": ["elm"]}, ["elm"]),
            ({"only": ["tenant_oak"]}, ["oak"]),
            ({"exclude": ["elm"]}, ["oak"]),
            ({"only": ["elm", "oak"], "exclude": ["tenant_elm"]}, ["oak"]),
            ({"states": [State.SUSPENDED]}, []),
            ({"with_public": True}, ["elm", "oak"]),
        ],
    )
    def test_takes_some(
        self, elm_and_oak: list[ActiveTenant], chosen: dict[str, Any], found: list[str]
    ) -> None:
        assert [str(each) for each in fleet.select(**chosen)] == found

    @pytest.mark.parametrize("option", ["only", "exclude"])
    def test_refuses_a_name_that_nobody_has(self, committed: None, option: str) -> None:
        with pytest.raises(TenantNotFound, match="Did you mean 'elm'"):
            fleet.select(**{option: ["elmm"]})  # type: ignore[arg-type]

    def test_takes_the_public_schemas_row_where_there_is_one(self, on_platform: None) -> None:
        Organization.objects.create(slug="everybody", name="Everybody", schema_name="public")

        assert fleet.select(with_public=True)[0] is PLATFORM
        assert PLATFORM not in fleet.select()
        assert fleet.select(with_public=True, only=["public"]) == [PLATFORM]
        assert PLATFORM not in fleet.select(with_public=True, exclude=["public"])
        assert PLATFORM not in fleet.select(with_public=True, only=["elm"])


class TestEach:
    def test_works_for_each_as_its_role(self, elm_and_oak: list[ActiveTenant]) -> None:
        results = {str(result.tenant): result for result in fleet.each(where)}

        assert set(results) == {"elm", "oak"}
        for slug, result in results.items():
            assert result.value is not None
            schema, role, _ = result.value
            assert schema == f"tenant_{slug}"
            assert role.endswith(f"_tenant_{slug}")
            assert not result.is_failure
            assert result.why == ""

    def test_takes_rows_and_works_once_for_each(
        self, elm: Organization, elms: ActiveTenant, committed: None
    ) -> None:
        results = list(fleet.each(context.require_tenant, [elm, elms, elm], jobs=1))

        assert [result.value for result in results] == [elms]

    def test_works_at_the_same_time(self, elm_and_oak: list[ActiveTenant]) -> None:
        both = Barrier(2, timeout=10)

        assert not any(result.is_failure for result in fleet.each(both.wait))

    def test_works_for_no_more_at_once_than_it_was_told(
        self, elm_and_oak: list[ActiveTenant]
    ) -> None:
        alone = Barrier(2)

        results = list(fleet.each(lambda: alone.wait(timeout=0.2), jobs=1))

        assert all(result.is_failure for result in results)

    def test_one_failure_stops_nobody(self, elm_and_oak: list[ActiveTenant]) -> None:
        def fail_at_elm() -> str:
            if context.require_tenant().slug == "elm":
                raise ValueError("Elm is wrong.")
            return "fine"

        results = {str(result.tenant): result for result in fleet.each(fail_at_elm)}

        assert results["elm"].why == "ValueError: Elm is wrong."
        assert results["elm"].value is None
        assert results["oak"].value == "fine"

    @pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
    def test_an_end_of_the_thread_is_told(
        self, elm_and_oak: list[ActiveTenant], end: type[BaseException]
    ) -> None:
        """
        Whoever waits for its result would wait for ever.
        """

        def leave() -> None:
            raise end

        assert [type(result.error) for result in fleet.each(leave)] == [end] * 2

    def test_does_not_tell_what_postgresql_quotes_of_a_row(
        self, elm_and_oak: list[ActiveTenant]
    ) -> None:
        def clash() -> None:
            with transaction.atomic():
                for _ in range(2):
                    Group.objects.create(name="Jane Doe, born in 1970")

        for result in fleet.each(clash):
            assert "Jane" in str(result.error)
            assert "Jane" not in result.why
            assert "unique constraint" in result.why
            assert result.why.endswith("(23505)")

    def test_refuses_to_work_for_nobody_at_a_time(self, elm_and_oak: list[ActiveTenant]) -> None:
        with pytest.raises(ValueError, match="jobs = 0"):
            next(fleet.each(where, jobs=0))

    def test_begins_with_what_the_caller_set(self, elm_and_oak: list[ActiveTenant]) -> None:
        LANGUAGE.set("de")

        assert [result.value for result in fleet.each(LANGUAGE.get)] == ["de", "de"]

    def test_leaves_the_caller_as_it_was(self, elm_and_oak: list[ActiveTenant]) -> None:
        with context.override(PLATFORM):
            for _ in fleet.each(where):
                assert context.get_current() is PLATFORM

    def test_asks_once_for_all_of_them(
        self, elm_and_oak: list[ActiveTenant], django_assert_num_queries: Any
    ) -> None:
        with context.override(PLATFORM), django_assert_num_queries(1):
            list(fleet.each(int))


class TestStop:
    def test_begins_no_other(self, elm_and_oak: list[ActiveTenant]) -> None:
        stop = Event()
        results = fleet.each(where, jobs=1, stop=stop)
        first = next(results)
        stop.set()

        assert str(first.tenant) == "elm"
        assert list(results) == []

    def test_finishes_those_in_flight(self, elm_and_oak: list[ActiveTenant]) -> None:
        """
        Both are begun when it is said, and both are told of.
        """
        stop, both = Event(), Barrier(2, timeout=10)

        def work() -> None:
            both.wait()
            stop.set()

        assert len(list(fleet.each(work, stop=stop))) == 2

    def test_whoever_leaves_waits_for_those_in_flight(
        self, elm_and_oak: list[ActiveTenant]
    ) -> None:
        begun, may_end, ended = Event(), Event(), Event()

        def work() -> None:
            if context.require_tenant().slug == "oak":
                begun.set()
                may_end.wait(10)
                ended.set()

        results = fleet.each(work, jobs=2)
        next(results)
        assert begun.wait(10)
        threading.Timer(0.1, may_end.set).start()
        results.close()  # type: ignore[attr-defined]  # a generator

        assert ended.is_set()

    def test_after_a_second_interrupt_nobody_waits(self, elm_and_oak: list[ActiveTenant]) -> None:
        """
        The first sets the event and raises nothing.
        """
        may_end, ended = Event(), Event()

        def work() -> None:
            may_end.wait(20)
            ended.set()

        with interrupts.finishing() as stop:
            results = fleet.each(work, stop=stop)

            def interrupt_twice() -> None:
                for _ in range(2):
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    stop.wait(10)

            threading.Timer(0.2, interrupt_twice).start()
            with pytest.raises(KeyboardInterrupt):
                next(results)

        assert stop.is_set()
        assert not ended.is_set()
        may_end.set()

    def test_handlers_are_put_back(self) -> None:
        before = signal.getsignal(signal.SIGINT)

        with interrupts.finishing():
            assert signal.getsignal(signal.SIGINT) is not before

        assert signal.getsignal(signal.SIGINT) is before


class TestNothingIsLeftForTheNext:
    """One tenant after the other, jobs=1: what the first leaves behind, the next would find."""

    def test_of_connections(self, elm_and_oak: list[ActiveTenant]) -> None:
        connection_of: list[Any] = []

        def leave_a_transaction_open() -> int:
            transaction.set_autocommit(False)
            connection.include_public_schema = False
            connection_of.append(connection.connection)
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM patients_patient")
            return id(connections["default"])

        results = list(fleet.each(leave_a_transaction_open, jobs=1))

        assert not any(result.is_failure for result in results), results
        assert results[0].value != results[1].value
        assert all(each.closed for each in connection_of)

    def test_of_who_is_active(self, elm_and_oak: list[ActiveTenant]) -> None:
        def activate_for_good() -> str:
            said = str(context.get_current())
            context.activate(PLATFORM)
            translation.activate("de")
            LANGUAGE.set(said)
            return said

        before = translation.get_language()
        LANGUAGE.set("none")
        seen = [
            (result.value, LANGUAGE.get(), translation.get_language())
            for result in fleet.each(activate_for_good, jobs=1)
        ]

        assert seen == [("elm", "none", before), ("oak", "none", before)]

    def test_of_context_variables(self, elm_and_oak: list[ActiveTenant]) -> None:
        def look_and_set() -> str:
            found = LANGUAGE.get()
            LANGUAGE.set(str(context.get_current()))
            return found

        LANGUAGE.set("none")

        assert [result.value for result in fleet.each(look_and_set, jobs=1)] == ["none", "none"]

    def test_of_threads(self, elm_and_oak: list[ActiveTenant]) -> None:
        """
        What third-party code keeps for a thread is gone with it.
        """
        kept = threading.local()

        def look_and_keep() -> str | None:
            found = getattr(kept, "tenant", None)
            kept.tenant = str(context.get_current())
            return found

        assert [result.value for result in fleet.each(look_and_keep, jobs=1)] == [None, None]

    def test_of_the_cache(self, elm_and_oak: list[ActiveTenant]) -> None:
        def look_and_keep() -> Any:
            found = cache.get("answer")
            cache.set("answer", str(context.get_current()))
            return found, cache.get("answer")

        seen = {str(result.tenant): result.value for result in fleet.each(look_and_keep)}

        assert seen == {"elm": (None, "elm"), "oak": (None, "oak")}


class TestCallCommand:
    def test_keeps_apart_what_two_write_at_once(
        self,
        elm_and_oak: list[ActiveTenant],
        babbling: Callable[[int], None],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        Word by word in turns, by self.stdout, print, sys.stdout and a command that is called.
        """
        babbling(2)

        results = {str(each.tenant): each for each in fleet.call_command("babble")}

        for slug, result in results.items():
            assert result.value is not None, result
            assert result.why == ""
            assert result.value.stdout == "".join(
                f"{slug} {turn} begins, tenant_{slug}, {slug} ends\n{slug} calls {turn}\n"
                for turn in range(babble.TURNS)
            )
            assert result.value.stderr == f"{slug} warns\n" * babble.TURNS
        assert capsys.readouterr() == ("", "")

    def test_keeps_what_a_failing_one_wrote(
        self, elm_and_oak: list[ActiveTenant], babbling: Callable[[int], None]
    ) -> None:
        babbling(2)

        results = {str(each.tenant): each for each in fleet.call_command("babble", "--fail=elm")}

        assert results["elm"].why == "It is wrong."
        assert results["elm"].value is not None
        assert "elm 4 begins" in results["elm"].value.stdout
        assert not results["oak"].is_failure

    @pytest.mark.parametrize(
        ("option", "why"),
        [
            ("--fail=exit", "It ended with status 7."),
            ("--ask", "It asked something, and nobody is there to answer."),
        ],
    )
    def test_tells_why_it_ended(
        self,
        elm_and_oak: list[ActiveTenant],
        babbling: Callable[[int], None],
        option: str,
        why: str,
    ) -> None:
        babbling(2)

        assert {each.why for each in fleet.call_command("babble", option)} == {why}

    def test_an_exit_with_0_is_none(self, elms: ActiveTenant, committed: None) -> None:
        code = "import sys; sys.exit(0)"

        (result,) = fleet.call_command("shell", "-v0", "-c", code, targets=[elms])

        assert not result.is_failure

    def test_the_callers_own_output_stays_its_own(
        self,
        elm_and_oak: list[ActiveTenant],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
        before = sys.stdout
        for result in fleet.call_command("shell", "-v0", "-c", "print('theirs')"):
            print(f"{result.tenant} was told")  # noqa: T201
            if str(result.tenant) == "elm":
                assert input() == "yes"

        assert sys.stdout is before
        assert sorted(capsys.readouterr().out.split("\n")) == ["", "elm was told", "oak was told"]

    def test_runs_may_end_in_any_order(
        self, elm_and_oak: list[ActiveTenant], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        The one that began first is over while the other goes on.
        """
        before = sys.stdout
        one, other = (
            fleet.call_command("shell", "-v0", "-c", "print('a')", jobs=1) for _ in range(2)
        )

        results = [next(one), next(other), *one, *other]

        assert [result.value and result.value.stdout for result in results] == ["a\n"] * 4
        assert sys.stdout is before
        assert capsys.readouterr().out == ""

    def test_no_command_takes_itself_to_be_at_a_terminal(
        self, elms: ActiveTenant, committed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Or its colours and its questions would be for nobody.
        """

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        for name in ("stdin", "stdout"):
            monkeypatch.setattr(sys, name, Terminal())
        code = "import sys\nprint(sys.stdout.isatty(), sys.stdin.isatty())"

        (result,) = fleet.call_command("shell", "-v0", "-c", code, targets=[elms])

        assert result.value is not None
        assert result.value.stdout == "False False\n"

    def test_keeps_no_more_than_it_may(
        self, elms: ActiveTenant, committed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commands, "LIMIT", 10)

        (result,) = fleet.call_command("shell", "-v0", "-c", "print('x' * 2999)", targets=[elms])

        assert result.value is not None
        assert result.value.stdout == (
            "x" * 10 + "\n... 2,990 more characters were not kept; tenant_command shows all.\n"
        )
