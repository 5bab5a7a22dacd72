"""`manage.py import_fhir`: take FHIR R4 files into one clinic."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from apps.fhir import importer, sources
from apps.fhir.chunk import Outcome
from apps.fhir.importer import FileResult
from tenancy import context, provisioning
from tenancy.errors import TenancyError

Counts = Counter[tuple[str, Outcome]]


class Command(BaseCommand):
    help = (
        "Import FHIR R4 into one clinic: transaction bundles (.json), bulk export (.ndjson), "
        "folders of them, or standard input (-). A file comes in whole or not at all, and what "
        "is here already is left alone, so an import can be stopped and started again at any "
        "time. Example: import_fhir elm ./bundles --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="The clinic, e.g. 'elm'.")
        parser.add_argument("paths", nargs="+", metavar="PATH", help="A file, a folder or '-'.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Do everything, report, and keep nothing."
        )
        parser.add_argument(
            "--source",
            default="",
            metavar="URL",
            help="The server that the files come from, where its ids are not UUIDs: it tells "
            "its Patient/1 from another server's.",
        )

    def handle(
        self, *, slug: str, paths: list[str], dry_run: bool, source: str, **options: Any
    ) -> None:
        try:
            clinic = provisioning.get_by_slug(slug).as_active()
            files = sources.find(paths)
        except (TenancyError, sources.UnableToRead) as error:
            raise CommandError(str(error)) from error

        started = time.monotonic()
        counts: Counts = Counter()
        refused = 0
        with ExitStack() as stack:
            for file in files:
                stack.callback(file.close)
            stack.enter_context(context.override(clinic))
            on_bytes = stack.enter_context(_progress(sum(file.size for file in files)))
            for result in importer.run(
                files,
                now=timezone.now(),
                base=source.rstrip("/"),
                dry_run=dry_run,
                on_bytes=on_bytes,
            ):
                counts.update(result.counts)
                if result.is_refused:
                    refused += 1
                    self._report(result)

        self._close(counts, len(files), time.monotonic() - started, dry_run=dry_run)
        if refused:
            raise CommandError(
                f"{refused} of {len(files)} files were refused; nothing of them was imported."
            )

    def _report(self, result: FileResult) -> None:
        for problem in result.problems:
            self.stderr.write(f"{result.label}: {problem}")
        if result.more_problems:
            self.stderr.write(f"{result.label}: and {result.more_problems} problems more")

    def _close(self, counts: Counts, files: int, seconds: float, *, dry_run: bool) -> None:
        for line in _table(counts):
            self.stdout.write(line)
        total = counts.total()
        rate = total / seconds if seconds else 0
        self.stdout.write(
            f"{total:,} resources of {files:,} files in {seconds:.1f} s, {rate:,.0f} a second."
        )
        if dry_run:
            self.stdout.write("This was a dry run: nothing was kept.")


def _table(counts: Counts) -> Iterator[str]:
    """Yield the closing table, a line for each resource type and one for their sum."""
    types = sorted({resource_type for resource_type, _ in counts})
    width = max([len("resource type"), *map(len, types)])
    yield "  ".join(
        [f"{'resource type':<{width}}", *(f"{outcome.value:>9}" for outcome in Outcome)]
    )
    for resource_type in types:
        cells = [f"{counts[resource_type, outcome]:>9,}" for outcome in Outcome]
        yield "  ".join([f"{resource_type:<{width}}", *cells])
    sums = [
        sum(count for (_, each), count in counts.items() if each is outcome) for outcome in Outcome
    ]
    yield "  ".join([f"{'all':<{width}}", *(f"{count:>9,}" for count in sums)])


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show how much has been read, where somebody is watching."""
    columns = [TextColumn("Importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn()]
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task("", total=total)
        yield lambda size: progress.advance(task, size)
