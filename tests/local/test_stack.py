"""`make run` from the first line to the last, as it is typed and as it is ended."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinicx.local import ports, postgres, processes, servers, stack, state
from clinicx.local.state import ROOT, State
from tests.local.conftest import make_project


class Terminal:
    """A terminal in which somebody typed a verb of the local stack."""

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        self.said_in = folder.parent / f"said-{time.monotonic_ns()}"
        with self.said_in.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clinicx.local", "--state", folder, *words],
                cwd=ROOT,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self.said_in.read_text()

    def wait_for(self, words: str, *, patience: float = 120) -> None:
        deadline = time.monotonic() + patience
        while words not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def press(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def wait(self) -> int:
        return self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def journey() -> Iterator[Path]:
    """The folder of a stack that each test starts and ends in its own way; it keeps its data."""
    with make_project() as project:
        yield project / "dev"
        stack.reset(project / "dev")


@pytest.fixture
def port() -> int:
    return ports.pick(preferred=0)


def status_of(port: int, host: str) -> int:
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=10)
    try:
        connection.request("GET", "/sign-in/", headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def run(folder: Path, port: int, **variables: str) -> Terminal:
    terminal = Terminal(folder, "run", "--port", str(port), **variables)
    terminal.wait_for("is ready after")
    return terminal


def is_quiet(folder: Path, port: int) -> bool:
    return not servers.list_running(state.load(folder)) and ports.is_free(port)


class TestRun:
    def test_serves_two_clinics_until_ctrl_c_and_is_back_in_ten_seconds(self, journey, port):
        first = run(journey, port)
        assert status_of(port, "elm.localhost") == status_of(port, "oak.localhost") == 200
        assert status_of(port, "nowhere.localhost") == 404
        assert f"http://elm.localhost:{port}/" in first.said
        assert first.press(signal.SIGINT) == 0
        assert is_quiet(journey, port)

        second = run(journey, port)
        assert second.press(signal.SIGTERM) == 0
        assert is_quiet(journey, port)
        (seconds,) = re.findall(r"ready after (\S+) seconds", second.said)
        assert float(seconds) < 10

    def test_is_ended_from_another_terminal_and_not_begun_twice(self, journey, port):
        first = run(journey, port)

        twice = Terminal(journey, "run", "--port", str(port))
        assert twice.wait() == 1
        assert f"running already, at http://elm.localhost:{port}/" in twice.said
        assert status_of(port, "elm.localhost") == 200

        down = Terminal(journey, "down")
        assert down.wait() == first.wait() == 0
        assert is_quiet(journey, port)

    def test_recovers_from_kill_9(self, journey, port):
        """
        The servers that a killed `make run` left are used again, its web server is replaced.
        """
        first = run(journey, port)
        before = state.load(journey)
        left_behind = servers.list_running(before)
        first.press(signal.SIGKILL)

        second = run(journey, port)
        after = state.load(journey)
        assert servers.list_running(after) == left_behind
        assert after.processes["web"] != before.processes["web"]
        assert not processes.is_alive(before.processes["web"])
        assert status_of(port, "elm.localhost") == 200
        assert second.press(signal.SIGINT) == 0
        assert is_quiet(journey, port)

    def test_ends_when_nobody_reads_what_it_says(self, journey, port):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "clinicx.local", "--state", journey),
                *("run", "--port", str(port)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()

        process.wait(timeout=60)

        assert is_quiet(journey, port)

    def test_ends_when_a_server_ends(self, journey, port):
        terminal = run(journey, port)
        stack_state = state.load(journey)

        database = servers.list_running(stack_state)[stack_state.cluster]
        processes.signal(database, signal.SIGKILL)

        assert terminal.wait() == 1
        assert f"{stack_state.cluster} has ended; 'make run' starts it again" in terminal.said
        assert is_quiet(journey, port)

    def test_names_a_taken_port_before_anything_starts(self, made: State):
        with socket.create_server((ports.HOST, 0)) as listener:
            port = listener.getsockname()[1]

            terminal = Terminal(made.folder, "run", "--port", str(port))

            assert terminal.wait() == 1
            assert f"Port {port} is taken" in terminal.said
            assert f"'make run PORT={port + 1}'" in terminal.said
        assert servers.list_running(state.load(made.folder)) == {}

    def test_names_the_addresses_that_are_missing(self, made: State, port):
        terminal = Terminal(made.folder, "run", DATABASE_URL="postgresql://127.0.0.1/clinicx")

        assert terminal.wait() == 1
        assert "Missing: DATABASE_DDL_URL, REDIS_URL" in terminal.said


class TestUp:
    def test_stays_and_serves_another_stack_s_servers_to_us(self, journey, made, port):
        """
        With all three addresses in the environment, a stack starts no server of its own.
        """
        up = Terminal(journey, "up", "--port", str(port))
        assert up.wait() == 0
        assert status_of(port, "oak.localhost") == 200

        again = Terminal(journey, "up", "--port", str(port))
        assert again.wait() == 0
        assert "running already" in again.said

        other_port = ports.pick(preferred=0)
        addresses = stack._environment(state.load(journey))
        ours = run(made.folder, other_port, **addresses)
        assert status_of(other_port, "elm.localhost") == 200
        assert servers.list_running(state.load(made.folder)) == {}
        assert ours.press(signal.SIGINT) == 0

        assert status_of(port, "oak.localhost") == 200
        assert Terminal(journey, "down").wait() == 0
        assert is_quiet(journey, port)


class TestShell:
    def test_has_the_clinics_rights_and_names_the_clinics_there_are(self, journey):
        assert Terminal(journey, "manage", "prepare_local").wait() == 0
        asked = "SELECT current_user || ' ' || current_schema()"

        elm = subprocess.run(
            [sys.executable, "-m", "clinicx.local", "--state", journey, "shell", "elm"],
            cwd=ROOT,
            input=asked,
            capture_output=True,
            text=True,
        )
        ash = Terminal(journey, "shell", "ash")

        assert "clinicx_tenant_elm tenant_elm" in elm.stdout
        assert ash.wait() == 1
        assert "no clinic 'ash'. There are: elm, oak" in ash.said
        assert servers.list_running(state.load(journey)) == {}


class TestReset:
    def test_deletes_nothing_unless_the_word_is_typed(self, started):
        terminal = Terminal(started.folder, "reset")

        assert terminal.wait() == 1
        assert "Nothing was deleted" in terminal.said
        assert started.folder.exists()

    def test_deletes_everything_when_it_is_sure(self, made):
        database, _ = servers.ensure(made, settings=postgres.THROW_AWAY, keep_last=True)

        terminal = Terminal(made.folder, "reset", "--yes")

        assert terminal.wait() == 0
        assert not made.folder.exists()
        assert database.get_process() is None


class TestAddressesOutside:
    def test_another_machine_s_database_is_not_ours_to_change(self):
        here, there = "postgresql://a:b@127.0.0.1:1/x", "postgresql://a:b@db.example.org/x"

        assert stack._is_ours_to_change({})
        assert stack._is_ours_to_change({"DATABASE_URL": here, "DATABASE_DDL_URL": here})
        assert not stack._is_ours_to_change({"DATABASE_URL": there, "DATABASE_DDL_URL": here})
        assert not stack._is_ours_to_change({"DATABASE_URL": here, "DATABASE_DDL_URL": there})
