"""PostgreSQL and Redis on a laptop: found, started, found again, stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from clinicx.local import account, ports, postgres, processes, redis, servers, state
from clinicx.local.errors import UnableToStart
from clinicx.local.state import State

is_root = os.geteuid() == 0
as_root = pytest.mark.skipif(not is_root, reason="is about what only root meets")


def ensure(stack: State) -> tuple[postgres.Server, redis.Server]:
    return servers.ensure(stack, settings=postgres.THROW_AWAY, keep_last=True)


def postmaster(stack: State) -> psutil.Process:
    return psutil.Process(servers.list_running(stack)[stack.cluster].pid)


def kill(stack: State) -> None:
    """Do to PostgreSQL what the kernel does when memory is short."""
    victim = servers.list_running(stack)[stack.cluster]
    processes.signal(victim, signal.SIGKILL)
    assert processes.wait(victim, patience=5)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not ours to end; it runs as the database does."""
    process = subprocess.Popen(["sleep", "60"], **account.choose().identity)
    yield process
    process.kill()
    process.wait()


class TestEnsure:
    def test_starts_both_in_a_path_with_a_space(self, made):
        database, cache = ensure(made)

        database.run_sql("SELECT 1", database="postgres")
        assert " " in str(database.folder)
        assert cache.answers()

    def test_finds_what_runs(self, started):
        before = servers.list_running(started)

        ensure(started)

        assert servers.list_running(started) == before

    def test_is_told_the_last_ports_after_a_stop(self, started):
        before = dict(started.ports)
        servers.stop(started)

        ensure(started)

        assert {name: started.ports[name] for name in before} == before

    def test_takes_other_ports_when_somebody_has_these(self, started):
        servers.stop(started)
        taken = {started.ports[started.cluster], started.ports["redis"]}
        with socket.socket() as first, socket.socket() as second:
            for intruder, port in zip((first, second), taken, strict=True):
                intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                intruder.bind((ports.HOST, port))
                intruder.listen()

            ensure(started)

            assert taken.isdisjoint(started.ports.values())

    def test_keeps_the_data_over_a_stop(self, started):
        database, _ = ensure(started)
        database.make_database("kept")
        servers.stop(started)

        database, _ = ensure(started)

        database.run_sql("SELECT 1", database="kept")

    def test_runs_postgresql_as_somebody_who_is_not_root(self, started):
        assert postmaster(started).uids().real == account.choose().uid != 0

    def test_shows_no_password_to_the_other_users_of_the_machine(self, started):
        secrets = started.secrets.values()
        for process in servers.list_running(started).values():
            shown = " ".join(processes.command_line(process.pid))
            assert not any(secret in shown for secret in secrets)
        for path in (started.folder / "state.json", started.folder / "redis" / "redis.conf"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestRecovery:
    def test_starts_again_after_kill_9(self, started):
        kill(started)

        database, _ = ensure(started)

        database.run_sql("SELECT 1", database="postgres")

    def test_spares_whoever_has_the_killed_servers_process_id(self, started, bystander):
        data = started.home / started.cluster / "data"
        kill(started)
        left_behind = (data / "postmaster.pid").read_text().split("\n")
        left_behind[0] = str(bystander.pid)
        (data / "postmaster.pid").write_text("\n".join(left_behind))

        servers.stop(started)
        ensure(started)

        assert bystander.poll() is None
        assert postmaster(started).pid != bystander.pid

    def test_spares_whoever_has_the_killed_caches_process_id(self, started, bystander):
        servers.stop(started)
        (started.folder / "redis" / "redis.pid").write_text(f"{bystander.pid}\n")

        ensure(started)
        servers.stop(started)

        assert bystander.poll() is None

    def test_a_copy_of_the_folder_leaves_the_original_running(self, started, project):
        copied = project / "copy" / "dev"
        shutil.copytree(started.folder, copied, ignore=shutil.ignore_patterns("postgres-*"))

        servers.stop(state.load(copied))

        assert set(servers.list_running(started)) == {started.cluster, "redis"}

    def test_an_interrupted_first_start_is_begun_anew(self, started):
        servers.stop(started)
        cluster = started.home / started.cluster
        (cluster / "data").rename(cluster / "data.draft")

        database, _ = ensure(started)

        assert database.is_made
        assert not (cluster / "data.draft").exists()


class TestFlavour:
    def test_wheel_can_be_forced_and_left_again(self, made, monkeypatch):
        monkeypatch.setenv(servers.FLAVOUR, "wheel")
        in_wheel, _ = ensure(made)
        in_wheel.make_database("in_wheel")

        monkeypatch.delenv(servers.FLAVOUR)
        again, _ = ensure(made)

        assert in_wheel.build.flavour == "wheel"
        assert again == in_wheel

    @pytest.mark.skipif(not postgres._list_system(), reason="there is no other PostgreSQL here")
    def test_the_other_one_has_data_of_its_own(self, made, monkeypatch):
        monkeypatch.setenv(servers.FLAVOUR, "wheel")
        in_wheel, _ = ensure(made)
        monkeypatch.setenv(servers.FLAVOUR, "system")

        system, _ = ensure(made)

        assert system.folder != in_wheel.folder
        assert in_wheel.is_made
        assert in_wheel.get_process() is None

    def test_an_unknown_one_is_refused(self):
        with pytest.raises(UnableToStart, match="CLINICX_POSTGRES=oracle; use 'system', 'wheel'"):
            postgres.find(flavour="oracle")

    def test_a_system_without_one_is_told_what_to_type(self, monkeypatch):
        monkeypatch.setattr(postgres, "SYSTEM_FOLDERS", ())
        monkeypatch.setenv("PATH", "/nonexistent")

        with pytest.raises(UnableToStart, match="apt-get install postgresql"):
            postgres.find(flavour="system")
        assert postgres.find(flavour=None).flavour == "wheel"

    def test_a_machine_without_the_wheel_is_told_what_to_type(self, monkeypatch):
        monkeypatch.setattr(postgres, "WHEEL_PACKAGE", "no_such_package")

        with pytest.raises(UnableToStart, match="unset CLINICX_POSTGRES"):
            postgres.find(flavour="wheel")

    def test_an_old_one_is_named_and_passed_over(self, monkeypatch):
        monkeypatch.setattr(postgres, "OLDEST_MAJOR", 99)

        with pytest.raises(UnableToStart, match="Found only PostgreSQL"):
            postgres.find(flavour=None)


@as_root
class TestAsRoot:
    def test_keeps_the_files_elsewhere_when_the_project_is_closed(self, made, project):
        project.chmod(0o700)

        database, _ = ensure(made)

        assert project not in database.folder.parents
        database.run_sql("SELECT 1", database="postgres")
        servers.stop(made)
        state.remove(made)
        assert not database.folder.exists()

    def test_copies_the_wheel_when_it_is_closed(self, made, project):
        build = postgres.find(flavour="wheel")
        closed = project / "closed"
        closed.mkdir(mode=0o700)
        package = build.folder.parents[1]
        for name in (package.name, f"{package.name}.libs"):
            (closed / name).symlink_to(package.with_name(name))
        moved = postgres.Build(
            closed / package.name / postgres.WHEEL_PROGRAMS, build.flavour, build.version
        )
        owner = account.choose()
        home = state.settle(made, account=owner)

        copy = postgres.make_reachable(moved, account=owner, home=home)

        assert home in copy.folder.parents
        assert owner.can_run(copy.folder / "initdb")

    def test_refuses_a_stranger_s_folder(self, made):
        os.chown(made.folder, 12345, 12345)

        with pytest.raises(state.LocalStackError, match="belongs to user 12345"):
            state.prepare(made.folder)


class TestRedis:
    def test_answers_to_its_password_only(self, started):
        port = started.ports["redis"]

        assert redis.Server(started.folder, redis.find(), port, started.secrets["redis"]).answers()
        assert not redis.Server(started.folder, redis.find(), port, "guessed").answers()

    def test_keeps_nothing_on_disk(self, started):
        servers.stop(started)

        assert {path.name for path in (started.folder / "redis").iterdir()} == {"log", "redis.conf"}


class TestProcesses:
    def test_a_process_with_the_same_id_is_another_one(self, bystander):
        same = processes.identify(bystander.pid)
        other = replace(same, seconds_after_boot=same.seconds_after_boot - 60)

        processes.stop(other, name="It", patience=1)
        processes.signal(other, signal.SIGKILL)

        assert processes.is_alive(same)
        assert bystander.poll() is None

    def test_a_clock_that_was_set_changes_nothing(self, bystander, monkeypatch):
        identity = processes.identify(bystander.pid)
        create_time, boot_time = psutil.Process.create_time, psutil.boot_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + 3600)
        monkeypatch.setattr(psutil, "boot_time", lambda: boot_time() + 3600)

        assert processes.is_alive(identity)

    def test_one_that_does_not_listen_is_ended_with_its_children(self):
        deaf = (
            "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); "
            "print(flush=True); time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            (child,) = psutil.Process(process.pid).children()
            child = processes.identify(child.pid)

            processes.stop(processes.identify(process.pid), name="It", patience=0.1)

            assert process.wait() == -signal.SIGKILL
        assert processes.wait(child, patience=5)

    def test_one_that_ended_without_being_fetched_is_not_alive(self):
        with subprocess.Popen(["true"]) as process:
            identity = processes.identify(process.pid)
            deadline = time.monotonic() + 5
            while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < deadline

            assert not processes.is_alive(identity)


class TestPorts:
    def test_one_with_a_listener_is_taken(self):
        with socket.create_server((ports.HOST, 0)) as listener:
            port = listener.getsockname()[1]

            assert not ports.is_free(port)
            with pytest.raises(UnableToStart, match=rf"Port {port} is taken.*'make run PORT=1'"):
                ports.require_free(port, name="Port", remedy="make run PORT=1")

        assert ports.is_free(port)

    def test_one_with_a_listener_on_every_address_is_taken(self):
        with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104  # as others do
            assert not ports.is_free(listener.getsockname()[1])


class TestState:
    def test_an_unreadable_one_says_what_to_do(self, made: State):
        path: Path = made.folder / "state.json"
        path.write_text("{")

        with pytest.raises(state.LocalStackError, match="make reset"):
            state.load(made.folder)
        path.unlink()
