"""
What does it look like? Curves, for a page that may be light or dark.

`python -m tests.benchmarks.picture FOLDER` draws the fleet again, of the JSON in the folder.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pygal
from pygal.style import Style

from tests.benchmarks import memory
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import LIMIT, OURS, PLAIN, STOCK
from tests.benchmarks.targets import MOST_MEGABYTES

# What pygal looks for its maps with is of before Python 3.4, and each later import warns of it.
sys.meta_path[:] = [each for each in sys.meta_path if hasattr(each, "find_spec")]

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


# The fleet's curves: a system's colour is the same for both.
FLEET = (
    ("total_migrate_add_column", "add a column", {}),
    ("total_migrate_noop", "nothing to do", {"dasharray": "6, 6"}),
)
FLEET_SYSTEMS = {STOCK: "django-tenants", OURS: "tenancy", LIMIT: "raw SQL"}
FLEET_COLORS = ("#d1495b", "#2b9348", "#3a86c8") * len(FLEET)
SECONDS = (0.01, 0.1, 1, 10, 100, 1000)

Curve = list[tuple[float, float]]


def save(path: Path, measured: Sequence[Samples], size: memory.Size) -> None:
    """Draw what one connection's process takes, visit by visit, as SVG that loads nothing."""
    chart = _chart(
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
    _write(path, chart)


def save_fleet(folder: Path) -> None:
    """Draw how long the whole fleet takes, by its size, of the JSON that is in `folder`."""
    chart = _chart(
        style=Style(**STYLE.to_dict() | {"colors": FLEET_COLORS}),
        title="Work on all clinics",
        x_title="clinics",
        y_title="seconds",
        y_labels=SECONDS,
        logarithmic=True,
        show_dots=True,
        dots_size=4,
        value_formatter="{:g}".format,
        x_value_formatter="{:.0f}".format,
    )
    for metric, title, style in FLEET:
        file = folder / f"{metric.removeprefix('total_')}.json"
        rows = json.loads(file.read_text()) if file.exists() else []
        for system, name in FLEET_SYSTEMS.items():
            curve = [
                (row["size"], row[system.key])
                for row in rows
                if row["metric"] == metric and row[system.key]
            ]
            chart.add(f"{name}: {title}", curve, stroke_style=style)
    _write(folder / "fleet.svg", chart)


def _chart(**options: Any) -> Any:
    common = {
        "style": STYLE,
        "js": [],
        "no_prefix": True,
        "width": 900,
        "height": 480,
        "show_dots": False,
        "show_x_guides": False,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": 3,
    }
    return pygal.XY(**(common | options))


def _write(path: Path, chart: Any) -> None:
    path.write_text(SCRIPT.sub("", chart.render(is_unicode=True)) + "\n")


def _title(bound: memory.Bound, size: memory.Size) -> str:
    if bound.counts_tenants:
        return f"at most {size.tenants} tenants"
    return f"a lifetime of {size.seconds} s" if bound.has_lifetime else bound.title


def _curve(measured: Sequence[Samples], metric: str, system: str) -> Curve:
    return [
        (each.size, value)
        for each in measured
        if each.metric == metric and (value := each.value(system)) is not None
    ]


if __name__ == "__main__":
    save_fleet(Path(sys.argv[1]))
