"""The dashboard's panels ask for what there is, get an answer, and stand beside each other."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from tenancy.metrics import names
from tests.monitoring.expressions import (
    ROOT,
    alerts,
    dashboard,
    labels_in,
    metrics_in,
    panels,
    run_tests,
    shown,
)
from tests.monitoring.series import OTHERS, SCRAPED, series

EVERY = {**shown(), **{name: rule["expr"] for name, rule in alerts().items()}}
OURS = {
    name: set(metric.labels) | {"le"} | set(SCRAPED)
    for metric in names.ALL
    for name in (
        [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
        if metric.kind == "histogram"
        else [metric.name]
    )
}
THEIRS = {name: set(labels) for name, labels, _ in OTHERS}


class TestExpressions:
    @pytest.mark.parametrize("name", EVERY)
    def test_ask_for_what_is_there(self, name: str) -> None:
        """
        A name or a label that nobody has asks for nothing, and looks as if all were well.
        """
        asked = metrics_in(EVERY[name])
        known = OURS | THEIRS

        assert asked
        assert asked - known.keys() == set()
        assert labels_in(EVERY[name]) <= set().union(*(known[metric] for metric in asked))

    def test_all_get_an_answer(self, tmp_path: Path) -> None:
        """
        With one series of each name, no panel is empty.
        """
        run_tests(
            tmp_path,
            [
                {
                    "interval": "1m",
                    "input_series": [each.as_input() for each in series()],
                    "promql_expr_test": [
                        {
                            "expr": f"count({expression}) > bool 0",
                            "eval_time": "90m",
                            "exp_samples": [{"labels": "{}", "value": 1}],
                        }
                        for expression in shown().values()
                    ],
                }
            ],
        )

    def test_of_the_first_plan_without_buckets_has_none(self, tmp_path: Path) -> None:
        """
        The third panel as it was asked for, why it is written in another way.
        """
        run_tests(
            tmp_path,
            [
                {
                    "interval": "1m",
                    "input_series": [each.as_input() for each in series()],
                    "promql_expr_test": [
                        {
                            "expr": "histogram_quantile(0.95, schema_switch_duration_seconds)",
                            "eval_time": "90m",
                            "exp_samples": [],
                        }
                    ],
                }
            ],
        )


class TestPanels:
    def test_have_the_titles_of_the_first_plan(self) -> None:
        seed = (ROOT / "k8s" / "base" / "monitoring" / "clinicx-dashboard.json").read_text()

        assert dashboard()["title"] == "ClinicX Multi-Tenant Monitoring"
        assert [panel["title"] for panel in panels()[:3]] == [
            "Requests per Tenant",
            "Active Connections per Pod",
            "Schema Switch Performance",
        ]
        assert "db_connections_active" in seed

    def test_do_not_overlap(self) -> None:
        for one, other in itertools.combinations(dashboard()["panels"], 2):
            a, b = one["gridPos"], other["gridPos"]
            beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
            above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]

            assert beside or above, (one["title"], other["title"])

    def test_fit_into_the_width(self) -> None:
        for panel in dashboard()["panels"]:
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24

    def test_have_names_of_their_own(self) -> None:
        ids = [panel["id"] for panel in dashboard()["panels"]]
        titles = [panel["title"] for panel in panels()]

        assert len(set(ids)) == len(ids)
        assert len(set(titles)) == len(titles)

    @pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
    def test_say_what_they_show_and_in_which_unit(self, panel: dict) -> None:
        assert panel["description"].count(".") >= 1
        assert panel["fieldConfig"]["defaults"]["unit"]
        for runbook in re.findall(r"docs/runbooks/\w+\.md", panel["description"]):
            assert (ROOT / runbook).exists()

    def test_lead_to_every_runbook(self) -> None:
        told = " ".join(panel["description"] for panel in panels())

        assert [name for name in alerts() if f"docs/runbooks/{name}.md" not in told] == []
