"""
What can be typed after `python -m clinicx.local`?
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from clinicx.local import console, image, logs, processes, servers, shell, stack, state
from clinicx.local.errors import AlreadyRunning, LocalStackError

DESCRIPTION = """\
PostgreSQL, Redis and ClinicX itself, on this machine and for this machine only.

'make run' is 'python -m clinicx.local run', and so on: see the Makefile."""

EPILOG = """\
environment:
  PORT              where the web server listens (8000)
  CLINICX_POSTGRES  'system' or 'wheel': use this PostgreSQL and no other
  DATABASE_URL, DATABASE_DDL_URL, REDIS_URL
                    servers of your own: with all three set, none is started here

Passwords and data are in var/, which git does not see. Sign in as doctor, password clinicx."""


def main(arguments: list[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A terminal without a tick or a frame shows '?', which is no reason to fail.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # they are text files
    options = _parser().parse_args(arguments)
    try:
        return _dispatch(options)
    except AlreadyRunning as error:
        console.complain(str(error))
        return 0 if options.verb == "up" else 1
    except LocalStackError as error:
        console.complain(str(error))
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


def _dispatch(options: argparse.Namespace) -> int:
    dev = options.state.resolve()
    # With another folder, the tests' servers are not what was meant.
    folders = [dev] if dev != state.folder_of("dev") else [dev, state.folder_of("test")]
    match options.verb:
        case "run":
            stack.run(dev, port=options.port)
        case "up":
            stack.up(dev, port=options.port)
        case "worker":
            stack.work(dev)
        case "down":
            found = [stack.down(folder) for folder in folders]
            print("Stopped." if any(found) else "Nothing was running.")
        case "reset":
            return _reset(folders, is_sure=options.yes)
        case "status":
            _show_status(folders)
        case "logs":
            return _show_logs(dev)
        case "shell":
            return shell.open_psql(dev, clinic=options.clinic)
        case "health":
            flags = {"--watch": options.watch, "--json": options.json}
            return stack.ask_health(dev, [flag for flag, is_on in flags.items() if is_on])
        case "image":
            _build_image(base=options.base)
        case "manage":
            return stack.manage(dev, options.arguments)
    return 0


def _build_image(*, base: str | None) -> None:
    built = image.build(base=base)
    print(f"{built.name}, {built.megabytes} MB. 'docs/howto/run-with-compose.md' starts it.")


def _reset(folders: list[Path], *, is_sure: bool) -> int:
    existing = [folder for folder in folders if folder.exists()]
    if not existing:
        print("There is nothing to delete.")
        return 0
    print("This deletes the local clinics with all their patients, users and settings:")
    for folder in existing:
        stack_state = state.load(folder)
        for place in dict.fromkeys((folder, stack_state.home or folder)):
            print(f"  {place}")
    if not is_sure and _ask("Type 'reset' to go on: ") != "reset":
        print("Nothing was deleted.")
        return 1
    for folder in existing:
        stack.reset(folder)
    print("Deleted. 'make run' begins anew.")
    return 0


def _ask(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        print()
        return ""


def _show_status(folders: list[Path]) -> None:
    is_serving = False
    for folder in folders:
        current = state.load(folder)
        running = servers.list_running(current) if folder.exists() else {}
        is_serving = is_serving or stack.is_running(current)
        if stack.is_running(current):
            running |= {"web": current.processes["web"]} if "web" in current.processes else {}
            for name, place in stack.addresses(current.ports["web"]).items():
                print(f"{name:<20}{place}")
        for name, process in running.items():
            megabytes = processes.memory_of(process) / 1_000_000
            port = current.ports.get(name, "")
            print(
                f"{folder.name}/{name:<24} process {process.pid:<8} port {port:<6} "
                f"{megabytes:6.0f} MB"
            )
    if not is_serving:
        print("ClinicX is not running; 'make run' starts it.")


def _show_logs(folder: Path) -> int:
    log = folder / "web.log"
    if not log.exists():
        print("Nothing was said yet; 'make run' starts ClinicX.")
        return 1
    print(logs.tail(log, lines=40))
    for said in logs.follow(log, position=logs.size(log)):
        print(said, end="", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clinicx.local",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--state", type=Path, default=state.folder_of("dev"), metavar="FOLDER",
        help="where data, passwords and logs are kept (var/dev)",
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, text in (
        ("run", "start everything, show what it says, stop everything at Ctrl-C"),
        ("up", "start everything and leave it running in the background"),
    ):
        verb = verbs.add_parser(name, help=text, description=text.capitalize() + ".")
        verb.add_argument("--port", type=_port, default=os.environ.get("PORT") or "8000")
    verbs.add_parser(
        "worker",
        help="do background tasks, with the servers of 'run'",
        description="Do background tasks and start the periodic ones, until Ctrl-C.",
    )
    verbs.add_parser("down", help="stop everything, whoever started it, the tests' servers too")
    reset = verbs.add_parser("reset", help="stop everything and delete the data, after asking")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    verbs.add_parser("status", help="say what runs, where, and how much memory it has")
    verbs.add_parser("logs", help="show what the web server said, and what it goes on to say")
    psql = verbs.add_parser("shell", help="open psql")
    psql.add_argument("clinic", nargs="?", help="as this clinic, 'elm' for example")
    health = verbs.add_parser("health", help="ask the web server how it is")
    health.add_argument("--watch", action="store_true", help="look again until Ctrl-C")
    health.add_argument("--json", action="store_true", help="write it for a program")
    built = verbs.add_parser("image", help="build the image that pods run")
    built.add_argument(
        "--base", default=os.environ.get("BASE_IMAGE") or None, metavar="IMAGE",
        help="on this base (BASE_IMAGE), not on the Dockerfile's or one that is made here",
    )  # fmt: skip
    manage = verbs.add_parser("manage", help="run manage.py, with the servers started if need be")
    manage.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; use a number such as 8001")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
