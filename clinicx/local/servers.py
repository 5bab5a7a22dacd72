"""
Which PostgreSQL and Redis belong to a stack, and are they running?
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from clinicx.local import account, console, ports, postgres, processes, redis, state
from clinicx.local.errors import UnableToStart
from clinicx.local.state import State

FLAVOUR = "CLINICX_POSTGRES"
ATTEMPTS = 3

AnyServer = TypeVar("AnyServer", postgres.Server, redis.Server)


def ensure(
    stack: State, *, settings: Mapping[str, str], keep_last: bool
) -> tuple[postgres.Server, redis.Server]:
    """
    Start what does not run yet, and return both.

    With `keep_last` the PostgreSQL that was used last is used again, since the data is in
    it, and any other is stopped; without, several builds may run side by side.
    """
    with state.lock(stack.folder, "servers", wait=True):
        database = _find_postgres(stack, settings, last=stack.cluster if keep_last else "")
        if keep_last:
            _leave_other_postgres(stack, database)
        stack.cluster = database.build.name
        return _ensure_postgres(stack, database), _ensure_redis(stack)


def stop(stack: State) -> None:
    """Stop every server of the stack that runs."""
    with state.lock(stack.folder, "servers", wait=True):
        redis.stop(_redis_folder(stack))
        for folder in _list_postgres(stack):
            postgres.stop(folder)


def list_running(stack: State) -> dict[str, processes.Process]:
    """Return the processes of the servers that run, by name."""
    found = {folder.name: postgres.get_process(folder) for folder in _list_postgres(stack)}
    found["redis"] = redis.get_process(_redis_folder(stack))
    return {name: process for name, process in found.items() if process is not None}


def _find_postgres(stack: State, settings: Mapping[str, str], *, last: str) -> postgres.Server:
    owner = account.choose()
    build = postgres.find(flavour=os.environ.get(FLAVOUR) or None, last=last)
    home = state.settle(stack, account=owner)
    folder = home / build.name
    return postgres.Server(
        folder=folder,
        build=postgres.make_reachable(build, account=owner, home=home),
        account=owner,
        port=postgres.get_port(folder) or stack.ports.get(build.name, 0),
        password=stack.secrets["superuser"],
        settings=settings,
    )


def _leave_other_postgres(stack: State, database: postgres.Server) -> None:
    for folder in _list_postgres(stack):
        if folder == database.folder:
            continue
        postgres.stop(folder)
        if folder.name == stack.cluster:
            console.note(
                f"The data of {folder.name} stays where it is; "
                f"{FLAVOUR}={folder.name.rsplit('-', 1)[-1]} goes back to it."
            )


def _ensure_postgres(stack: State, database: postgres.Server) -> postgres.Server:
    if database.get_process() is not None:
        stack.ports[database.build.name] = database.port
        stack.save()
        return database
    if not database.is_made:
        with console.step(f"{database.build}: a new server"):
            database.make()
    with console.step(str(database.build)):
        return _start(stack, database, name=database.build.name)


def _ensure_redis(stack: State) -> redis.Server:
    server = redis.Server(
        folder=_redis_folder(stack),
        build=redis.find(),
        port=stack.ports.get("redis", 0),
        password=stack.secrets["redis"],
    )
    if redis.get_process(server.folder) is not None and server.answers():
        return server
    redis.stop(server.folder)
    with console.step(str(server.build)):
        return _start(stack, server, name="redis")


def _start(stack: State, server: AnyServer, *, name: str) -> AnyServer:
    for attempt in range(1, ATTEMPTS + 1):
        server = server.at(ports.pick(preferred=server.port))
        stack.ports[name] = server.port
        stack.save()
        try:
            server.start()
        except UnableToStart:
            # Between our asking and its listening, somebody else may have taken the port.
            if attempt == ATTEMPTS or ports.is_free(server.port):
                raise
        else:
            break
    return server


def _redis_folder(stack: State) -> Path:
    return stack.folder / "redis"


def _list_postgres(stack: State) -> list[Path]:
    return sorted(stack.home.glob("postgres-*")) if stack.home else []
