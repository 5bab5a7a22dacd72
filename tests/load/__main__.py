"""
`python -m tests.load`: many people at many clinics, and a table of how long each thing took.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import django
from rich import box
from rich.console import Console
from rich.table import Table

from clinicx.local import ports, stack, state
from tests.load import roster

ROOT = Path(__file__).parent.parent.parent
# A password takes half a second of a core, on purpose: all at once would be all that is seen.
SIGN_INS_A_SECOND = 2
EPILOG = """\
Clinics that it made are called load-1 and so on, and stay; --clean deletes them, with all
that was registered there. No other clinic is written to, but for who has signed in."""


class Row(NamedTuple):
    kind: str
    requests: int
    failures: int
    each_second: float
    p50: float
    p95: float
    p99: float


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    screen = Console()
    port = options.port or _port_of_stack()
    if port is None:
        screen.print("ClinicX is not running. Type: make up")
        return 1
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinicx.settings.dev")
    django.setup()
    # Models can be imported only now.
    from tests.load import clinics

    if options.clean:
        screen.print(f"Deleted: {', '.join(clinics.remove()) or 'there was none'}.")
        return 0
    if options.clinics:
        with screen.status(f"Making sure that there are {options.clinics} clinics"):
            clinics.make(options.clinics)
    found = clinics.find()
    if not found:
        screen.print("No clinic has demo staff. Type: make seed")
        return 1
    return _ask(options, found, port, screen)


def _port_of_stack() -> int | None:
    current = state.load(state.folder_of("dev"))
    return current.ports["web"] if stack.is_running(current) else None


def _ask(
    options: argparse.Namespace, found: Sequence[roster.Clinic], port: int, screen: Console
) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        roster.save(found, folder / "clinics.json")
        with screen.status(
            f"{options.users} people at {len(found)} clinics, for {options.seconds} seconds"
        ):
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "locust", "--headless", "--only-summary"),
                    "--locustfile=tests/load/locustfile.py",
                    f"--host=http://{ports.HOST}:{port}",
                    f"--users={options.users}",
                    f"--spawn-rate={SIGN_INS_A_SECOND}",
                    # So long when everybody is there.
                    f"--run-time={options.seconds + math.ceil(options.users / SIGN_INS_A_SECOND)}s",
                    # Who waits for an answer at the end gets it.
                    "--stop-timeout=20",
                    f"--csv={folder}/load",
                ],
                cwd=ROOT,
                env=os.environ
                | {
                    "PYTHONPATH": str(ROOT),
                    "LOAD_ROSTER": str(folder / "clinics.json"),
                    "LOAD_DOMAIN": os.environ.get("BASE_DOMAIN") or "localhost",
                },
                capture_output=True,
                text=True,
            )
        # 1 is a failed request, which the table tells.
        if done.returncode not in (0, 1) or not (folder / "load_stats.csv").exists():
            screen.print(done.stdout + done.stderr, markup=False)
            return 1
        rows = list(_rows(folder / "load_stats.csv"))
        faults = list(_read(folder / "load_failures.csv"))
    _show(rows, screen)
    for fault in faults:
        screen.print(
            f"{fault['Occurrences']} x {fault['Name']}: {fault['Error']}",
            markup=False,
            soft_wrap=True,
        )
    total = rows[-1]
    screen.print(
        f"{options.users} people at {len(found)} clinics: {total.requests:,} answers, each read "
        f"for whose it is; {total.failures:,} failed."
    )
    return 1 if total.failures or not total.requests or done.returncode else 0


def _rows(path: Path) -> Iterator[Row]:
    """Yield what each kind of request took; the last is all together."""
    for row in _read(path):
        yield Row(
            kind=row["Name"] if row["Name"] != "Aggregated" else "all",
            requests=int(row["Request Count"]),
            failures=int(row["Failure Count"]),
            each_second=float(row["Requests/s"]),
            # Where nothing was asked, there is no number.
            p50=_milliseconds(row["50%"]),
            p95=_milliseconds(row["95%"]),
            p99=_milliseconds(row["99%"]),
        )


def _milliseconds(text: str) -> float:
    return float(text) if text != "N/A" else 0.0


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _show(rows: Sequence[Row], screen: Console) -> None:
    heads = ("request", "asked", "failed", "a second", "p50 ms", "p95 ms", "p99 ms")
    table = Table(*heads, box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(
            row.kind,
            f"{row.requests:,}",
            f"[red]{row.failures:,}[/]" if row.failures else "0",
            f"{row.each_second:.1f}",
            *(f"{value:.0f}" for value in row[4:]),
            end_section=row is rows[-2] if len(rows) > 1 else False,
        )
    screen.print(table)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description="Let people work at many clinics of the local stack at once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=20, metavar="N", help="people (20)")
    parser.add_argument(
        "--seconds", type=int, default=30, metavar="N", help="for how long, all together (30)"
    )
    parser.add_argument(
        "--clinics", type=int, default=0, metavar="N",
        help="make what is missing of N clinics of its own; without, those that are there",
    )  # fmt: skip
    parser.add_argument("--clean", action="store_true", help="delete the clinics it made, and end")
    parser.add_argument("--port", type=int, help="of a server that is no local stack's")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
