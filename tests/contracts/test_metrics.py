"""The reference names every metric with its labels, and no other; labels are of bounded sets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenancy.metrics import names
from tenancy.metrics.names import Metric

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()

# Where the values of a label come from. Whoever adds a label says so here, and adds it to the
# table of labels in the reference.
BOUNDED = {
    "tenant_id": "slugs with a seat, platform, unknown, other",
    "pod_name": "the pod's own name",
    "status_class": "five",
    "endpoint": "names of routes, at most TENANCY_METRICS_ENDPOINTS",
    "reason": "classes of tenancy.errors",
    "sqlstate_class": "PostgreSQL's classes, connection, pool, other",
    "result": "hit, miss, error",
    "task": "names of the application's tasks",
    "state": "words of tenancy and Celery",
    "queue": "the queues that tenancy and the project declare",
    "version": "the release",
}


def told() -> dict[str, tuple[str, str]]:
    """Return the kind and the labels that the reference gives for each metric."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", PAGE, re.MULTILINE)
    return {name: (kind, labels.strip()) for name, kind, labels in rows}


class TestReference:
    def test_names_every_metric_and_no_other(self) -> None:
        assert sorted(told()) == sorted(metric.name for metric in names.ALL)

    @pytest.mark.parametrize("metric", names.ALL, ids=lambda metric: str(metric.name))
    def test_tells_kind_and_labels(self, metric: Metric) -> None:
        labels = ", ".join(f"`{label}`" for label in metric.labels)

        assert told()[metric.name] == (metric.kind, labels)

    def test_tells_where_each_labels_values_come_from(self) -> None:
        rows = re.findall(r"^\| `(\w+)` \| [^|`]*[^|]* \|$", PAGE, re.MULTILINE)

        assert set(BOUNDED) <= set(rows)


class TestLabels:
    def test_are_of_bounded_sets(self) -> None:
        """
        A value that a client sends may be a patient's name.
        """
        assert {label for metric in names.ALL for label in metric.labels} == set(BOUNDED)


class TestRefusals:
    def test_are_counted_wherever_somebody_is_refused(self) -> None:
        """
        Whoever asks for TENANCY_REFUSAL_VIEW has told before whom it turns away.
        """
        for module in (ROOT / "tenancy").rglob("*.py"):
            source = module.read_text()
            asked = source.count("settings.REFUSAL_VIEW)")

            assert source.count("metrics.refused(") >= asked, module.name
