"""
For how long is PostgreSQL away after a crash, when it has so many schemas?

It must know that everything is on the disk before it reads its journal again. Unless it is
told otherwise it opens every file for that, and a clinic has hundreds. The same server is
killed with our settings and with PostgreSQL's own, in turn; the clock stops when it has
taken a row.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from clinicx.local import account, ports, postgres, processes, state
from tests.benchmarks.errors import UnableToMeasure
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import LIMIT, OURS, PLAIN

STACK = "bench-crash"
# Seven files each: the table, its values that are too long for it, four indexes and theirs.
TABLES = 50
MEGABYTES_OF_TABLE = 0.065
SPARE = 1.5

OUR_SETTINGS = postgres.LASTING
# PostgreSQL's own way of making sure, where ours is left out.
ITS_OWN = {**OUR_SETTINGS, "recovery_init_sync_method": "fsync"}

SCHEMA = """
DO $$
BEGIN
    EXECUTE 'CREATE SCHEMA tenant_{number}';
    FOR each IN 1..{tables} LOOP
        EXECUTE format(
            'CREATE TABLE tenant_{number}.t%s '
            '(id bigint PRIMARY KEY, a text, b text, c text)', each);
        EXECUTE format('CREATE INDEX ON tenant_{number}.t%s (a)', each);
        EXECUTE format('CREATE INDEX ON tenant_{number}.t%s (b)', each);
        EXECUTE format('CREATE INDEX ON tenant_{number}.t%s (c)', each);
    END LOOP;
END $$
"""
WRITE = "INSERT INTO public.written VALUES (now())"

Progress = Callable[[], None]


def count_steps(sizes: Sequence[int], rounds: int) -> int:
    return sizes[-1] + len(sizes) * rounds * 3


def measure(
    sizes: Sequence[int], *, rounds: int, tables: int = TABLES, progress: Progress
) -> list[Samples]:
    """Return the seconds from the kill to the first row, for a server that grows by `sizes`."""
    measured = []
    with _server(sizes[-1] * tables) as server:
        made = 0
        for size in sizes:
            _make_schemas(server, range(made, size), tables, progress)
            made = size
            samples = Samples("crash_restart", size, "s")
            for _ in range(rounds):
                for system, settings in ((OURS, OUR_SETTINGS), (PLAIN, ITS_OWN)):
                    samples.add(system.key, crash(server, settings))
                    progress()
                samples.add(LIMIT.key, _restart(server))
                progress()
            measured.append(samples)
    return measured


def crash(server: postgres.Server, settings: Mapping[str, str]) -> float:
    """Kill `server` after a write, and return the seconds until it takes the next."""
    _write(server)
    process = server.get_process()
    if process is None:
        raise UnableToMeasure("The server had ended by itself.")
    began = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    processes.wait(process, patience=10)
    # On the command line of the start that recovers, which is where it counts.
    replace(server, settings=settings).start(patience=600)
    _write(server)
    return time.monotonic() - began


def _restart(server: postgres.Server) -> float:
    """Return the same seconds where the server was stopped politely: nothing is to be made sure."""
    server.stop()
    began = time.monotonic()
    server.start()
    _write(server)
    return time.monotonic() - began


def _make_schemas(server: postgres.Server, numbers: range, tables: int, progress: Progress) -> None:
    with _superuser(server) as connection:
        for number in numbers:
            connection.execute(SCHEMA.format(number=number, tables=tables))
            progress()
        # What the journal holds of all this would be read again, once.
        connection.execute("CHECKPOINT")


def _write(server: postgres.Server) -> None:
    with _superuser(server) as connection:
        connection.execute(WRITE)


def _superuser(server: postgres.Server) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.address, autocommit=True)


@contextmanager
def _server(tables: int) -> Iterator[postgres.Server]:
    """Make a server that keeps what it was given, and delete it at the end."""
    stack = state.prepare(state.folder_of(STACK))
    with state.lock(stack.folder, "bench", wait=False) as is_alone:
        if not is_alone:
            raise UnableToMeasure("Another one crashes servers in this folder; wait for its end.")
        owner = account.choose()
        build = postgres.find(flavour=os.environ.get("CLINICX_POSTGRES") or None)
        home = state.settle(stack, account=owner)
        _require_room(home.anchor, tables)
        server = postgres.Server(
            folder=home / build.name,
            build=postgres.make_reachable(build, account=owner, home=home),
            account=owner,
            port=ports.pick(preferred=0),
            password=stack.secrets["superuser"],
            settings=OUR_SETTINGS,
        )
        try:
            server.make()
            server.start()
            with _superuser(server) as connection:
                connection.execute("CREATE TABLE public.written (at timestamptz)")
            yield server
        finally:
            server.stop()
            state.remove(stack)


def _require_room(place: str, tables: int) -> None:
    free = shutil.disk_usage(place).free / 1_000_000
    needed = tables * MEGABYTES_OF_TABLE * SPARE
    if free < needed:
        raise UnableToMeasure(
            f"{tables} tables need {needed:.0f} MB on the disk, and {free:.0f} are free. "
            "Type fewer --sizes."
        )
