"""
What does it look like? Curves, for a page that may be light or dark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pygal
from pygal.style import Style

from tests.benchmarks import memory
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import OURS, PLAIN
from tests.benchmarks.targets import MOST_MEGABYTES

# Read on white and on black alike: nothing is darker or lighter than in the middle.
INK = "#7d8590"
STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground=INK,
    foreground_strong=INK,
    foreground_subtle=INK,
    guide_stroke_color=f"{INK}44",
    major_guide_stroke_color=f"{INK}44",
    guide_stroke_dasharray="none",
    major_guide_stroke_dasharray="none",
    opacity="1",
    stroke_width="2.5",
    colors=("#d1495b", "#c98a1b", "#2b9348", "#3a86c8", "#8a63d2", INK),
    font_family="sans-serif",
    label_font_size=14,
    major_label_font_size=14,
    legend_font_size=14,
    title_font_size=17,
)
# For tooltips, which a picture in a page cannot show: one from elsewhere, and one that it reads.
SCRIPT = re.compile(r"<script.*?</script>|<script[^>]*/>", re.DOTALL)


def save(path: Path, measured: Sequence[Samples], size: memory.Size) -> None:
    """Draw what one connection's process takes, visit by visit, as SVG that loads nothing."""
    chart = pygal.XY(
        style=STYLE,
        js=[],
        no_prefix=True,
        width=900,
        height=480,
        show_dots=False,
        show_x_guides=False,
        legend_at_bottom=True,
        legend_at_bottom_columns=3,
        title=(
            f"The largest of {size.connections} server processes, "
            f"{size.schemas:,} schemas of {memory.TABLES} tables"
        ),
        x_title="visits of each process, to random tenants",
        y_title="MB of its own",
        include_x_axis=True,
        value_formatter="{:.0f}".format,
        x_value_formatter="{:.0f}".format,
    )
    for bound in memory.BOUNDS[1:]:
        chart.add(_title(bound, size), _curve(measured, f"largest_{bound.key}", OURS.key))
    floor = _curve(measured, f"largest_{memory.NONE.key}", PLAIN.key)
    chart.add(memory.FLOOR.title, floor)
    chart.add(
        f"{MOST_MEGABYTES} MB",
        [(0, MOST_MEGABYTES), (size.visits, MOST_MEGABYTES)],
        stroke_style={"dasharray": "6, 6"},
    )
    path.write_text(SCRIPT.sub("", chart.render(is_unicode=True)) + "\n")


def _title(bound: memory.Bound, size: memory.Size) -> str:
    if bound.counts_tenants:
        return f"at most {size.tenants} tenants"
    return f"a lifetime of {size.seconds} s" if bound.has_lifetime else bound.title


def _curve(measured: Sequence[Samples], metric: str, system: str) -> list[tuple[float, float]]:
    return [
        (each.size, value)
        for each in measured
        if each.metric == metric and (value := each.value(system)) is not None
    ]
