"""What an operator types to run a command for every clinic, and what is answered."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import Any, NamedTuple

import pytest
from django.core.management import call_command, execute_from_command_line, get_commands
from django.core.management.base import CommandError

from tenancy import context
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.management import progress
from tenancy.management.commands import all_tenants_command
from tenancy.models import Organization, State
from tests.tenancy.everywhere.management.commands import babble

ROOT = Path(__file__).parent.parent.parent


class Told(NamedTuple):
    status: object
    out: str
    err: str


@pytest.fixture
def typed(
    elm: Organization, oak: Organization, committed: None, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Told]:
    """A function that types `all_tenants_command` and the words that follow."""

    def typed(*words: str) -> Told:
        status: object = 0
        try:
            execute_from_command_line(["manage.py", "all_tenants_command", *words])
        except SystemExit as ended:
            status = ended.code
        return Told(status, *capsys.readouterr())

    return typed


@pytest.fixture(autouse=True)
def _babble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(get_commands(), "babble", "tests.tenancy.everywhere")
    monkeypatch.setattr(babble, "together", Barrier(1))


class TestCommand:
    def test_runs_for_every_tenant_and_tells_whose_each_line_is(
        self, typed: Callable[..., Told]
    ) -> None:
        told = typed("babble")

        lines = told.out.splitlines()
        assert told.status == 0
        for slug in ("elm", "oak"):
            assert [line for line in lines if line.startswith(f"{slug}: ")] == [
                *(
                    line
                    for turn in range(babble.TURNS)
                    for line in (
                        f"{slug}: {slug} {turn} begins, tenant_{slug}, {slug} ends",
                        f"{slug}: {slug} calls {turn}",
                    )
                ),
                f"{slug}: done",
            ]
        assert lines[-1].startswith("2 of 2 tenants done, 0 failed, in ")
        assert sorted(set(told.err.splitlines())) == ["elm: elm warns", "oak: oak warns"]

    def test_leaves_nobody_active(self, typed: Callable[..., Told]) -> None:
        typed("clearsessions")

        assert context.get_current() is None

    def test_one_failure_stops_no_other_and_is_told_at_the_end(
        self, typed: Callable[..., Told]
    ) -> None:
        told = typed("babble", "--fail", "elm")

        assert told.status == 1
        assert "elm: failed: It is wrong." in told.err
        assert "CommandError: It failed for 1 of 2 tenants." in told.err
        assert "oak: done" in told.out
        assert "1 of 2 tenants done, 1 failed, in " in told.out
        (row,) = [line for line in told.out.splitlines() if line.startswith("       1 ")]
        assert row.split() == ["1", "elm", "It", "is", "wrong."]

    def test_failures_of_one_kind_are_one_row(self, typed: Callable[..., Told]) -> None:
        told = typed("babble", "--fail", "exit")

        assert told.status == 1
        (row,) = [line for line in told.out.splitlines() if "status 7" in line and ":" not in line]
        assert row.split()[0] == "2"
        assert {"elm,", "oak"} == set(row.split()[1:3]) or {"oak,", "elm"} == set(row.split()[1:3])
        assert max(map(len, told.out.splitlines())) <= 80

    def test_shows_tracebacks_when_asked(
        self, typed: Callable[..., Told], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "Traceback" not in typed("babble", "--fail", "elm").err
        with pytest.raises(CommandError):  # as Django does it, for the last word
            typed("--traceback", "babble", "--fail", "elm")
        assert "elm: Traceback (most recent call last):" in capsys.readouterr().err

    def test_tells_of_those_that_are_not_served(
        self, typed: Callable[..., Told], scratch: Callable[..., Organization]
    ) -> None:
        ash = scratch("ash")
        with context.override(PLATFORM):
            Organization.objects.filter(pk=ash.pk).update(state=State.SUSPENDED)

        told = typed("clearsessions")

        assert told.out.startswith("1 of them are not served now: ash (suspended).\n")
        assert "ash: done" in told.out
        assert "ash" not in typed("--state", "active", "clearsessions").out

    def test_says_that_there_is_nobody(self, typed: Callable[..., Told]) -> None:
        told = typed("--state", "offboarding", "clearsessions")

        assert told.status == 0
        assert told.out.startswith("There is no tenant to work for.\n")


class TestOptions:
    """Those before the command are ours, those behind it are its own."""

    def test_before_the_command_are_ours(self, typed: Callable[..., Told]) -> None:
        told = typed("--jobs", "1", "--only", "elm", "-v", "0", "babble", "-v", "2")

        assert told.status == 0
        assert "oak" not in told.out

    def test_behind_it_are_its_own(self, typed: Callable[..., Told]) -> None:
        """
        babble has a --jobs too.
        """
        assert typed("babble", "--jobs", "many").status == 1
        assert typed("babble", "--jobs", "7").status == 0
        assert typed("--jobs", "many", "babble").status == 2

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            (["--only", "elm"], {"elm"}),
            (["--only", "elm,oak"], {"elm", "oak"}),
            (["--only", "elm", "--only=tenant_oak"], {"elm", "oak"}),
            (["--exclude", "tenant_elm"], {"oak"}),
            (["--no-public"], {"elm", "oak"}),
        ],
    )
    def test_choose_tenants(
        self, typed: Callable[..., Told], words: list[str], found: set[str]
    ) -> None:
        told = typed(*words, "clearsessions")

        assert {line.split(":")[0] for line in told.out.splitlines()[:-1]} == found

    def test_of_django_tenants_may_stand_anywhere(
        self, typed: Callable[..., Told], on_platform: None
    ) -> None:
        assert typed("clearsessions", "--no-public").status == 0

    @pytest.mark.parametrize(
        ("words", "status", "sentence"),
        [
            ([], 1, "Say what to run: all_tenants_command COMMAND"),
            (["--jobs", "0", "check"], 1, "--jobs 0: at least one"),
            (["--jbos", "4", "check"], 2, "--jbos"),
            (["clearsesions"], 1, "Did you mean 'clearsessions'?"),
            (["clearsessions", "--nothing"], 1, "unrecognized arguments: --nothing"),
            (["--only", "elmm", "check"], 1, "Did you mean 'elm'?"),
            (["--exclude", "elmm", "check"], 1, "Did you mean 'elm'?"),
            (["--state", "sleepy", "check"], 2, "invalid choice: 'sleepy'"),
            (["migrate"], 1, "Type: manage.py migrate_schemas"),
            (["migrate_schemas"], 1, "Type: manage.py migrate_schemas"),
            (["tenant_command", "elm"], 1, "Type: manage.py all_tenants_command COMMAND"),
            (["all_tenants_command"], 1, "Type: manage.py all_tenants_command COMMAND"),
        ],
    )
    def test_that_are_wrong_are_told_once(
        self, typed: Callable[..., Told], words: list[str], status: int, sentence: str
    ) -> None:
        told = typed(*words)

        assert told.status == status
        assert told.err.count(sentence) == 1
        assert "done" not in told.out

    def test_of_the_command_are_explained_by_it(self, typed: Callable[..., Told]) -> None:
        told = typed("clearsessions", "--help")

        assert told.status == 0
        assert told.out.count("usage: manage.py clearsessions") == 1

    def test_stop_after_failures(self, typed: Callable[..., Told]) -> None:
        told = typed("--jobs=1", "--stop-after-failures=1", "babble", "--fail=exit")

        assert told.status == 1
        assert "0 of 2 tenants done, 1 failed, 1 not begun, in " in told.out
        assert "It failed for 1 of 2 tenants." in told.err

    def test_json_is_an_object_on_each_line_and_nothing_else(
        self, typed: Callable[..., Told]
    ) -> None:
        told = typed("--json", "babble", "--fail", "elm")

        found = {each["tenant"]: each for each in map(json.loads, told.out.splitlines())}
        assert told.status == 1
        assert set(found) == {"elm", "oak"}
        assert found["elm"]["error"] == "It is wrong."
        assert found["elm"]["is_done"] is False
        assert found["oak"]["is_done"] is True
        assert found["oak"]["error"] is None
        assert found["oak"]["schema"] == "tenant_oak"
        assert found["oak"]["stderr"] == "oak warns\n" * babble.TURNS
        assert found["oak"]["stdout"].startswith("oak 0 begins, tenant_oak")
        assert found["oak"]["seconds"] >= 0


class TestInterrupted:
    def test_finishes_those_in_flight_and_ends_like_it(self, typed: Callable[..., Told]) -> None:
        """
        Elm sends itself what Ctrl-C sends, and Oak is not begun.
        """
        code = (
            "import os, signal, threading\n"
            "signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)\n"
            "from time import sleep; sleep(0.2)\n"
            "print('still there')"
        )

        told = typed("--jobs=1", "shell", "-v0", "-c", code)

        assert told.status == 130
        assert "elm: still there\nelm: done\n" in told.out
        assert "1 of 2 tenants done, 0 failed, 1 not begun, in " in told.out
        assert "Interrupted, with 1 of 2 not begun." in told.err

    def test_says_at_once_that_it_heard(self, elm: Organization, oak: Organization) -> None:
        code = "import os, signal, time; os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.5)"
        done = subprocess.run(
            [
                *(sys.executable, "manage.py", "all_tenants_command"),
                *("--jobs=1", "shell", "-v0", "-c", code),
            ],
            cwd=ROOT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "clinicx.settings.test"},
            capture_output=True,
            text=True,
        )

        assert done.returncode == 130, done.stderr
        assert "Those in flight are finished, no other is begun." in done.stderr


class TestBar:
    @pytest.fixture
    def terminal(self) -> Any:
        """A terminal, and a function that returns what stood on it."""
        mine, theirs = pty.openpty()
        stream = os.fdopen(theirs, "w")

        def read() -> str:
            stream.flush()
            os.set_blocking(mine, False)
            shown = b""
            with suppress(BlockingIOError):
                while True:
                    shown += os.read(mine, 4096)
            return shown.decode()

        yield stream, read
        stream.close()
        os.close(mine)

    def test_is_shown_once_it_takes_long(
        self, terminal: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream, read = terminal
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)

        with progress.Bar(2, stream=stream) as bar:
            bar._timer.join()
            bar.advance(note="1 failed")
            bar.write("elm: done\n", to=stream)
            bar._progress.refresh()

        shown = read()
        assert "elm: done" in shown
        assert "1/2" in shown
        assert "1 failed" in shown

    def test_is_not_shown_before(self, terminal: Any) -> None:
        stream, read = terminal

        with progress.Bar(1, stream=stream) as bar:
            bar.advance()
            bar.write("elm: done\n", to=stream)

        assert read() == "elm: done\r\n"

    def test_is_not_shown_where_nobody_watches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
        stream = io.StringIO()

        with progress.Bar(1, stream=stream) as bar:
            bar.advance()
            bar.write("elm: done\n", to=stream)

        assert stream.getvalue() == "elm: done\n"


class TestOfAProjectWithItsOwnModel:
    def test_works_for_its_public_row_too(
        self, on_platform: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        As django-tenants' own does, unless it is told not to, in front or behind.
        """
        Organization.objects.create(slug="everybody", name="Everybody", schema_name="public")
        asked: list[list[Any]] = []

        def call(*words: str, targets: list[Any], **options: Any) -> list[Any]:
            asked.append(targets)
            return []

        monkeypatch.setattr(all_tenants_command.fleet, "call_command", call)
        for words in (["check"], ["--no-public", "check"], ["check", "--no-public"]):
            call_command("all_tenants_command", *words, stdout=io.StringIO())

        assert [PLATFORM in targets for targets in asked] == [True, False, False]
        assert all(isinstance(each, ActiveTenant) for each in asked[1])


def test_a_call_from_code_raises(elm: Organization, committed: None) -> None:
    with pytest.raises(CommandError, match="It failed for 1 of 1 tenants"):
        call_command(
            "all_tenants_command", "--only=elm", "loaddata", "nothing", stdout=io.StringIO()
        )
