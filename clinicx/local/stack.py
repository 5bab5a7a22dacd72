"""
The story of the local stack: what is started, in which order, and how all of it ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

from clinicx.local import (
    console,
    logs,
    ports,
    postgres,
    processes,
    redis,
    servers,
    state,
    web,
)
from clinicx.local.errors import AlreadyRunning, LocalStackError, UnableToStart
from clinicx.local.state import ROOT, State
from tenancy import roles

DATABASE = "clinicx"
APP_LOGIN = roles.name(DATABASE, "app")
DDL_LOGIN = roles.name(DATABASE, "ddl_login")

# All of them set: the servers are somebody else's, and none is started here.
ADDRESSES = ("DATABASE_URL", "DATABASE_DDL_URL", "REDIS_URL")
OURSELVES = frozenset({"localhost", "127.0.0.1", "::1"})

CLINICS = {"elm": "Elm Street Clinic", "oak": "Oak Lane Clinic"}


def environment(name: str = "dev") -> dict[str, str]:
    """
    Return the addresses and the secret key of a stack as its last start wrote them down.

    An empty dictionary if it was never started; whether it runs now is not asked.
    """
    stack = state.load(state.folder_of(name))
    return _environment(stack) if stack.cluster else {}


def ensure_servers(name: str = "test") -> dict[str, str]:
    """
    Start, unless they run, a PostgreSQL and a Redis whose data may be lost at any time.

    Return the superuser's address and Redis'; making databases and roles is the caller's.
    They go on when the process ends: `stop_servers` or `make down` stop them.
    """
    stack = state.prepare(state.folder_of(name))
    database, cache = servers.ensure(stack, settings=postgres.THROW_AWAY, keep_last=False)
    stack.save()
    return {
        "DATABASE_SUPERUSER_URL": database.address,
        "REDIS_URL": cache.address,
        "SECRET_KEY": stack.secrets["secret_key"],
        "POSTGRES_FLAVOUR": database.build.flavour,
        "POSTGRES_BIN": str(database.build.folder),
    }


def stop_servers(name: str) -> None:
    """Stop the servers of a stack that run; their data stays."""
    stack = state.load(state.folder_of(name))
    if stack.folder.exists():
        servers.stop(stack)


def run(folder: Path, *, port: int) -> None:
    """Start everything, show what the web server says, and stop everything at Ctrl-C."""
    with _serving(folder, port=port) as (stack, server):
        console.note("Ctrl-C stops all of it. What follows is what the web server says.")
        _follow(stack, server)


def up(folder: Path, *, port: int) -> None:
    """Start everything and leave it running in the background."""
    with _serving(folder, port=port) as (stack, _):
        stack.is_background = True
        stack.save()
        console.note(
            "It runs in the background: 'make logs' shows what it says, 'make down' stops it."
        )


def down(folder: Path) -> bool:
    """Stop whatever runs of a stack, whoever started it; return whether anything did."""
    if not folder.exists():
        return False
    stack = state.load(folder)
    runner = stack.processes.get("runner")
    found = is_running(stack) or bool(servers.list_running(stack))
    # It stops the rest by itself, in the right order.
    processes.signal(runner, signal.SIGTERM)
    if not processes.wait(runner, patience=40):
        processes.signal(runner, signal.SIGKILL)
    _stop_all(state.load(folder))
    return found


def reset(folder: Path) -> None:
    """Stop a stack and delete its data, its passwords and its logs."""
    down(folder)
    if folder.exists():
        state.remove(state.load(folder))


@contextlib.contextmanager
def borrowed_servers(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the servers' addresses; start them if they do not run, then stop them again."""
    outside = _addresses_outside()
    stack = state.prepare(folder)
    with state.lock(folder, "running", wait=False) as is_ours:
        if outside or not is_ours or is_running(stack):
            yield _environment(state.load(folder)) | outside
            return
        try:
            _start_servers(stack)
            yield _environment(stack)
        finally:
            servers.stop(stack)


def manage(folder: Path, arguments: list[str]) -> int:
    """Run manage.py with the stack's servers, for as long as that takes; return its status."""
    with borrowed_servers(folder) as variables:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=os.environ | variables).returncode


def ask_health(folder: Path, arguments: list[str]) -> int:
    """Ask the web server how it is; raise where none runs. The status is 1 if it is not ready."""
    stack = state.load(folder)
    if not is_running(stack):
        raise UnableToStart("ClinicX is not running. Type 'make up', then this again.")
    address = f"http://{ports.HOST}:{stack.ports['web']}"
    command = [sys.executable, "manage.py", "health", f"--url={address}", *arguments]
    variables = _environment(stack) | _addresses_outside()
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables).returncode


def work(folder: Path) -> NoReturn:
    """Become a worker that starts the periodic tasks, too; raise where no server runs."""
    outside = _addresses_outside()
    stack = state.load(folder)
    if not outside and "redis" not in servers.list_running(stack):
        raise UnableToStart(
            "No server of the local stack runs, so there are no tasks; type 'make run' in another "
            "terminal, or 'make up', and then 'make worker' again."
        )
    variables = {
        **_environment(stack),
        **outside,
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "clinicx.settings.dev"),
    }
    console.note("Ctrl-C stops the worker. What follows is what it says.")
    os.chdir(ROOT)
    os.execve(  # noqa: S606  # the worker takes our place, and so the terminal's Ctrl-C
        sys.executable,
        [
            *(sys.executable, "-m", "celery", "--app=clinicx", "worker", "--beat"),
            # Threads of one process: two more processes would take as much memory again.
            *("--pool=threads", "--concurrency=2", "--loglevel=INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            f"--schedule-filename={folder / 'beat'}",
        ],
        os.environ | variables,
    )


def is_running(stack: State) -> bool:
    """Whether somebody serves the application from this stack."""
    runner, server = stack.processes.get("runner"), stack.processes.get("web")
    return processes.is_alive(runner) or (stack.is_background and processes.is_alive(server))


def addresses(port: int) -> dict[str, str]:
    """Return where a browser finds what."""
    domain = os.environ.get("BASE_DOMAIN") or "localhost"
    clinics = {name: f"http://{slug}.{domain}:{port}/" for slug, name in CLINICS.items()}
    return clinics | {"Operators": f"http://{domain}:{port}/admin/"}


@contextlib.contextmanager
def _serving(folder: Path, *, port: int) -> Iterator[tuple[State, subprocess.Popen[bytes]]]:
    """
    Start everything; when the block ends, stop it all, unless it shall stay in the background.
    """
    outside = _addresses_outside()
    state.prepare(folder)
    with state.lock(folder, "running", wait=False) as is_ours, _signals_interrupt():
        stack = state.load(folder)
        if is_running(stack):
            raise AlreadyRunning(_where(stack))
        if not is_ours:
            raise AlreadyRunning("Another command of this folder is at work; wait for its end.")
        began = time.monotonic()
        # What a killed `make run` left behind; its servers are used again.
        web.stop(stack.processes.get("web"))
        other = port + 1 if 1024 <= port < 65535 else 8000
        ports.require_free(port, name="Port", remedy=f"make run PORT={other}")
        stack.processes = {"runner": processes.identify(os.getpid())}
        stack.ports["web"] = port
        stack.is_background = False
        stack.save()
        try:
            server = _start_all(stack, outside)
            _announce(stack, port, seconds=time.monotonic() - began)
            yield stack, server
        finally:
            if not stack.is_background:
                _stop_all_undisturbed(stack)
            stack.forget("runner")


def _start_all(stack: State, outside: Mapping[str, str]) -> subprocess.Popen[bytes]:
    port = stack.ports["web"]
    if not outside:
        _start_servers(stack)
    variables = {
        **_environment(stack),
        **outside,
        "PORT": str(port),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "clinicx.settings.dev"),
    }
    if _is_ours_to_change(outside):
        _prepare(variables)
    else:
        console.note("DATABASE_URL is another machine's: nothing is migrated, no demo clinic made.")
    log = stack.folder / "web.log"
    with console.step(f"Web server on port {port}"):
        server = web.start(port=port, log=log, environment=variables)
        stack.processes["web"] = processes.identify(server.pid)
        stack.save()
        status = web.wait(server, port=port, log=log)
    if status >= 500:
        console.note(f"The first page was answered with status {status}; {log} says why.")
    return server


def _start_servers(stack: State) -> None:
    database, _ = servers.ensure(stack, settings=postgres.LASTING, keep_last=True)
    with console.step("Roles and database"):
        database.make_database(DATABASE)
        script = roles.bootstrap_sql(
            database=DATABASE,
            app_password=stack.secrets["app"],
            ddl_password=stack.secrets["ddl"],
        )
        database.run_sql(script, database=DATABASE)
    stack.save()


def _prepare(variables: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "prepare_local"], cwd=ROOT, env=os.environ | variables
    )
    if done.returncode != 0:
        raise UnableToStart("The database could not be prepared; see above.")


def _follow(stack: State, server: subprocess.Popen[bytes]) -> None:
    log = stack.folder / "web.log"
    expected = servers.list_running(stack)
    checked = time.monotonic()
    for said in logs.follow(log, position=logs.size(log)):
        print(said, end="", flush=True)
        if time.monotonic() - checked < 1:
            continue
        checked = time.monotonic()
        if server.poll() is not None:
            raise LocalStackError("The web server has ended; 'make run' starts it again.")
        for name, process in expected.items():
            if not processes.is_alive(process):
                raise LocalStackError(f"{name} has ended; 'make run' starts it again.")


def _stop_all_undisturbed(stack: State) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    console.note("")
    with console.step("Stopping"):
        _stop_all(stack)


def _stop_all(stack: State) -> None:
    web.stop(stack.processes.get("web"))
    stack.forget("web")
    servers.stop(stack)


def _environment(stack: State) -> dict[str, str]:
    variables = {"SECRET_KEY": os.environ.get("SECRET_KEY") or stack.secrets["secret_key"]}
    if not stack.cluster:
        return variables
    port, secrets = stack.ports[stack.cluster], stack.secrets
    return variables | {
        "DATABASE_URL": postgres.url(
            user=APP_LOGIN, password=secrets["app"], port=port, database=DATABASE
        ),
        "DATABASE_DDL_URL": postgres.url(
            user=DDL_LOGIN, password=secrets["ddl"], port=port, database=DATABASE
        ),
        "REDIS_URL": redis.url(password=secrets["redis"], port=stack.ports["redis"]),
    }


def _addresses_outside() -> dict[str, str]:
    given = {name: os.environ[name] for name in ADDRESSES if os.environ.get(name)}
    missing = [name for name in ADDRESSES if name not in given]
    if given and missing:
        raise UnableToStart(
            f"Set: {', '.join(given)}. Missing: {', '.join(missing)}. "
            "Set all three to use servers of your own, or none to have them started."
        )
    return given


def _is_ours_to_change(outside: Mapping[str, str]) -> bool:
    """
    Whether the database may be migrated and given clinics whose password everybody knows.

    Somebody who has another machine's address in the environment may well have forgotten it.
    """
    databases = [outside[name] for name in ("DATABASE_URL", "DATABASE_DDL_URL") if outside]
    return all(urlsplit(address).hostname in OURSELVES for address in databases)


def _announce(stack: State, port: int, *, seconds: float) -> None:
    places = addresses(port)
    width = max(map(len, places))
    console.box(
        [
            f"ClinicX is ready after {seconds:.1f} seconds.",
            "",
            *(f"{name:<{width}}   {place}" for name, place in places.items()),
            "",
            "At a clinic: receptionist, nurse, doctor, billing or admin.",
            "Operators: operator. The password is clinicx for all of them.",
        ]
    )


def _where(stack: State) -> str:
    place = next(iter(addresses(stack.ports.get("web", 0)).values()))
    return (
        f"ClinicX is running already, at {place} "
        "('make logs' shows what it says, 'make down' stops it)."
    )


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """
    Let a polite kill and a closed terminal do what Ctrl-C does.

    Ctrl-C itself, too: what a script starts with '&' inherits that it is ignored, and then
    Python does nothing about it. A closed terminal is ignored where nohup asked for that.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
