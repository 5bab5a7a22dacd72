"""
What does the person at the terminal see at the end?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import methodcaller

from rich.console import Console
from rich.table import Table

from tests.benchmarks import systems, targets
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import LIMIT, OURS, PLAIN, STOCK
from tests.benchmarks.targets import Verdict


def show(console: Console, benchmark: str, measured: Sequence[Samples]) -> None:
    """Print what was measured, and which targets were met."""
    verdicts = list(targets.judge(measured))
    console.print(_table(benchmark, measured, verdicts))
    for line in _list_notes(measured):
        console.print(line)
    missed = [verdict for verdict in verdicts if not verdict.is_met]
    for verdict in missed:
        console.print(f"[red]missed[/]  {verdict}")
    console.print(f"[green]met[/]     {len(verdicts) - len(missed)} of {len(verdicts)} targets\n")


def _list_notes(measured: Sequence[Samples]) -> Iterator[str]:
    """Yield how far the proxies may be believed."""
    waited = [each.waited[key] / each.rounds[key][0] for each in measured for key in each.waited]
    if waited:
        yield (
            "Round trips are counted; of the time, each took "
            f"{min(waited):.2f} to {max(waited):.2f} times the proxy's delay there and back."
        )
    for system in systems.WITH_DJANGO:
        loads = [each.proxy_load[system.key] for each in measured if system.key in each.proxy_load]
        if loads:
            yield (
                f"At 1 ms, the proxy took {min(loads):.0%} to {max(loads):.0%} of a core "
                f"for {system.title}."
            )


def _table(benchmark: str, measured: Sequence[Samples], verdicts: Sequence[Verdict]) -> Table:
    table = Table(
        title=benchmark,
        caption="Medians over the rounds; in brackets the middle half of the rounds.",
    )
    table.add_column("metric", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    shown = [each for each in systems.ALL if any(map(methodcaller("value", each.key), measured))]
    rivals = (PLAIN, STOCK) if PLAIN in shown else (LIMIT, STOCK)
    for system in shown:
        table.add_column(system.title.replace(" ", "\n"), justify="right", no_wrap=True)
    for rival in rivals:
        table.add_column(f"to\n{rival.title}", justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    before = ""
    for samples in sorted(measured, key=lambda each: (each.metric, each.size)):
        if before and samples.metric != before:
            table.add_section()
        before = samples.metric
        table.add_row(
            samples.metric,
            str(samples.size),
            samples.unit,
            *(_value(samples, system.key) for system in shown),
            *(_ratio(samples, rival.key) for rival in rivals),
            _marks([verdict for verdict in verdicts if verdict.samples is samples]),
        )
    return table


def _marks(verdicts: Sequence[Verdict]) -> str:
    return ", ".join("[green]met[/]" if each.is_met else "[red]missed[/]" for each in verdicts)


def _value(samples: Samples, system: str) -> str:
    value = samples.value(system)
    if value is None:
        return "-"
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def _ratio(samples: Samples, rival: str) -> str:
    ratio = samples.ratio(OURS.key, rival)
    if ratio is None:
        return "-"
    spread = samples.spread(OURS.key, rival)
    return f"{ratio:.3f}" + (f" ({spread[0]:.2f}-{spread[1]:.2f})" if spread else "")
