"""
Which program is each word of a pod, and with which options? `python -m clinicx WORD`.

One image runs them all. The program takes this one's place, so that it is the container's
first process: SIGTERM reaches it, and its end is the container's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from clinicx import exposition

MANAGE = str(Path(__file__).resolve().parent.parent / "manage.py")
# Of Celery, what is neither asked for by its name alone nor for the owner.
QUEUE, OWNERS_QUEUE = "celery", "tenancy-owner"

# Who serves no pages does one thing at a time in each process, with one connection.
NO_POOL = {"DB_POOL_SIZE": "0"}


@dataclass(frozen=True)
class Program:
    """What a word stands for; `arguments` are Python's own."""

    help: str
    arguments: Sequence[str]
    variables: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Variables without which it would start and be of no use."""
    prepare: Callable[[], None] | None = None
    """What is done before it takes this one's place."""


def _worker(name: str, *, queue: str, help: str, needs: tuple[str, ...] = ()) -> Program:
    arguments = [
        # Without the picture with which it begins: each line is the log's.
        *("-m", "celery", "--app=clinicx", "--quiet", "worker"),
        f"--queues={queue}",
        # %h is the pod: two workers of one name would take each other for themselves.
        f"--hostname={name}@%h",
        # Processes and not threads: one that grew too large is replaced, and one that is
        # killed loses its own task only. How many and how large: CELERY_WORKER_* in settings.
        "--pool=prefork",
        "--loglevel=INFO",
        # Workers need not know of each other, and nobody listens to what they tell.
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    return Program(help, arguments, NO_POOL, needs, prepare=exposition.prepare)


PROGRAMS = {
    "web": Program(
        "serve pages and the API on port 8080",
        ["-m", "gunicorn", "--config=python:clinicx.gunicorn", "clinicx.wsgi:application"],
    ),
    "worker": _worker("worker", queue=QUEUE, help="do the clinics' background tasks"),
    "owner-worker": _worker(
        "owner-worker",
        queue=OWNERS_QUEUE,
        help="make and delete clinics in the background; needs DATABASE_DDL_URL",
        needs=("DATABASE_DDL_URL",),
    ),
    "beat": Program(
        "queue the periodic tasks when they are due; one replica only, or each is queued twice",
        [
            *("-m", "celery", "--app=clinicx", "beat"),
            # Tenancy's, which says that it lives.
            "--scheduler=clinicx.alive:Scheduler",
            # What ran when. The root file system is read-only, and with an empty one nothing
            # is lost but what was due while beat was away.
            "--schedule=/tmp/celerybeat-schedule",
            # A pod has one beat, and a file with its number would outlive it.
            "--pidfile=",
            # Seconds between two looks at the schedule, each a sign that it lives.
            "--max-interval=20",
            "--loglevel=INFO",
        ],
        NO_POOL,
    ),
    "migrate": Program(
        "bring every schema up to date; takes the options of manage.py migrate_schemas",
        [MANAGE, "migrate_schemas"],
        NO_POOL,
    ),
    "check-migrated": Program(
        "end with status 1 while a schema lacks migrations of this release",
        [MANAGE, "migrate_schemas", "--check"],
        NO_POOL,
    ),
}

ALIVE = "alive"
ALIVE_HELP = "ask whether this container's process is alive, for a probe; no process itself"
WORDS = (*PROGRAMS, ALIVE)

HELP = """\
usage: python -m clinicx WORD [OPTION ...]

One image, and a word for what a container of it does:

{words}

Options after the word go to the program; 'python -m clinicx WORD --help' shows them.
What each reads from its environment: docs/reference/settings.md.
Another command of manage.py: 'python manage.py COMMAND' in place of the word.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Become the program of the first argument; return a status where there is none."""
    word, *options = (sys.argv[1:] if arguments is None else list(arguments)) or [""]
    if word in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if word == ALIVE:
        return _ask_whether_alive()
    if word not in PROGRAMS:
        said = f"There is no {word!r}." if word else "What shall it do?"
        sys.stderr.write(f"{said} Say one of: {', '.join(WORDS)}.\n")
        sys.stderr.write("'python -m clinicx --help' tells what each does.\n")
        return 2
    program = PROGRAMS[word]
    missing = [name for name in program.needs if not os.environ.get(name)]
    if missing and "--help" not in options:
        sys.stderr.write(f"{word} needs {', '.join(missing)}, which is not set; set it.\n")
        return 2
    _become(program, options)


def _become(program: Program, options: Sequence[str]) -> NoReturn:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinicx.settings.production")
    os.environ.update(program.variables)
    if program.prepare:
        program.prepare()
    # What was written until now would be lost with this program's buffers.
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *program.arguments, *options])  # noqa: S606  # no shell


def _ask_whether_alive() -> int:
    from clinicx import probe

    fault = probe.find_fault()
    if fault:
        sys.stderr.write(f"{fault}\n")
    return 1 if fault else 0


def _help() -> str:
    told = {word: program.help for word, program in PROGRAMS.items()} | {ALIVE: ALIVE_HELP}
    width = max(map(len, told))
    words = [f"  {word:<{width}}  {text}" for word, text in told.items()]
    return HELP.format(words="\n".join(words))


if __name__ == "__main__":
    sys.exit(main())
