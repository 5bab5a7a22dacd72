"""Each alert fires when it should, is silent when it should be, and has a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tenancy.metrics import names
from tests.monitoring.expressions import ROOT, Series, alerts, run_tests
from tests.monitoring.series import POD, SCRAPED, VALUES, series

RUNBOOKS = ROOT / "docs" / "runbooks"


class Case(NamedTuple):
    """What is otherwise than in a cluster that is well, and with which labels it is told."""

    changed: Sequence[Series]
    labels: dict[str, str]
    gone: Sequence[str] = ()
    """Metrics that nobody tells any more."""


def ours(name: str, values: str, **labels: str) -> Series:
    return Series(name, SCRAPED | labels, values)


def deployment(name: str, which: str, values: str) -> Series:
    labels = {"namespace": "clinicx", "deployment": name}
    return Series(f"kube_deployment_status_replicas_{which}", labels, values)


def tenant(**labels: str) -> dict[str, str]:
    return {"tenant_id": "elm", **labels}


USER = {"database": "clinicx", "user": "app"}
VOLUME = {"namespace": "clinicx", "persistentvolumeclaim": "postgres-1"}
POSTGRES = {"namespace": "clinicx", "pod": "postgres-1", "container": "postgres"}
KILLED = {"namespace": "clinicx", "pod": POD, "container": "backend"}
BOUNDS = [*map(str, names.RESPONSE_BUCKETS), "+Inf"]
# Nothing is answered within a second.
SLOW = [
    ours(
        "tenant_response_time_seconds_bucket",
        "0+0x120" if float(bound) <= 1 else "0+60x120",
        **tenant(endpoint="patients:list", le=bound),
    )
    for bound in BOUNDS
]

# One for each alert; a test asks that none is left out.
FIRING: dict[str, Case] = {
    "RequestsFail": Case(
        [ours("tenant_responses_total", "0+60x120", **tenant(status_class="5xx"))], {}
    ),
    "RequestsSlow": Case(SLOW, {}),
    "ClinicRefused": Case(
        [ours("tenant_refusals_total", "0+120x120", **tenant(reason="RateLimited"))],
        {"tenant_id": "elm"},
    ),
    "LimitsSkipped": Case([ours("rate_limits_skipped_total", "0+1x120")], {}),
    "CacheFails": Case([ours("cache_gets_total", "0+60x120", result="error")], {}),
    "PoolExhausted": Case([ours("db_pool_timeouts_total", "0+1x120")], {"pod": POD}),
    "PoolWaiting": Case([ours("db_pool_wait_seconds_total", "0+120x120")], {"pod": POD}),
    "PgBouncerWaiting": Case(
        [Series("pgbouncer_pools_client_maxwait_seconds", USER, "3+0x120")],
        {"database": "clinicx"},
    ),
    "PgBouncerDown": Case([Series("pgbouncer_up", {"pod": "pgbouncer-1"}, "0+0x120")], {}),
    "ConnectionsRunOut": Case([ours("database_backends", "290+0x120")], {}),
    "PostgresDown": Case([], {}, gone=["cnpg_collector_up"]),
    "ReplicationLag": Case(
        [Series("cnpg_pg_replication_lag", {"pod": "postgres-2"}, "60+0x120")],
        {"pod": "postgres-2"},
    ),
    "DiskFills": Case([Series("kubelet_volume_stats_available_bytes", VOLUME, "10+0x120")], VOLUME),
    "DatabaseErrors": Case(
        [ours("database_errors_total", "0+60x120", sqlstate_class="53")], {"sqlstate_class": "53"}
    ),
    "LocksWaiting": Case([ours("database_locks_waiting", "9+0x120")], {}),
    "BackendMemory": Case(
        [Series("container_memory_working_set_bytes", POSTGRES, "95+0x120")],
        {"pod": "postgres-1"},
    ),
    "BackendDown": Case(
        [deployment("clinicx-backend", "available", "0+0x120")],
        {"namespace": "clinicx", "deployment": "clinicx-backend"},
    ),
    "PodsNotReady": Case(
        [deployment("clinicx-backend", "unavailable", "1+0x120")],
        {"namespace": "clinicx", "deployment": "clinicx-backend"},
    ),
    "PodKilledForMemory": Case(
        [
            Series(
                "kube_pod_container_status_last_terminated_reason",
                KILLED | {"reason": "OOMKilled"},
                "1+0x120",
            ),
            Series("kube_pod_container_status_restarts_total", KILLED, "0+0x80 1+0x40"),
        ],
        {"pod": POD, "container": "backend"},
    ),
    "MetricsMissing": Case([Series("up", SCRAPED, "0+0x120")], SCRAPED),
    "CertificateExpires": Case(
        [
            Series(
                "certmanager_certificate_expiration_timestamp_seconds",
                {"namespace": "clinicx", "name": "public"},
                f"{10 * 24 * 3600}+0x120",
            )
        ],
        {"namespace": "clinicx", "name": "public"},
    ),
    "WorkerDown": Case(
        [deployment("clinicx-beat", "available", "0+0x120")],
        {"namespace": "clinicx", "deployment": "clinicx-beat"},
    ),
    "FleetNotMeasured": Case([ours("fleet_measured_timestamp_seconds", "0+60x30 1800+0x90")], {}),
    "QueueBacklog": Case(
        [ours("task_queue_length", "900+0x120", queue="celery")], {"queue": "celery"}
    ),
    "TasksFail": Case(
        [ours("tenant_tasks_total", "0+30x120", **tenant(task=VALUES["task"], state="failure"))],
        {"task": VALUES["task"]},
    ),
    "SchemasBehind": Case([ours("fleet_schemas_behind", "3+0x120")], {}),
    "MigrationRunFailed": Case(
        [ours("fleet_migration_run", "1+0x120", state="failed")], {"state": "failed"}
    ),
    "SchemasDrifted": Case(
        [
            Series(
                "kube_job_status_failed",
                {"namespace": "clinicx", "job_name": "clinicx-check-schemas-1"},
                "1+0x120",
            )
        ],
        {"namespace": "clinicx", "job_name": "clinicx-check-schemas-1"},
    ),
}

# As bad, and over before anybody should be called: what `for` is there for.
SHORT = {
    "RequestsFail": "0+0x86 0+60x4 240+0x30",
    "PoolWaiting": "0+0x88 0+120x1 120+0x30",
}


def inputs(changed: Sequence[Series], gone: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return the series of a cluster that is well, but for those that are changed or gone."""
    told = {(each.name, frozenset(each.labels.items())): each for each in [*series(), *changed]}
    return [each.as_input() for each in told.values() if each.name not in gone]


def asking(name: str, fired: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"alertname": name, "eval_time": "90m", "exp_alerts": list(fired)}]


def with_its_words(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return the alert as it is told; its summary is promtool's to compute, and not asked for."""
    return {"exp_labels": {**alerts()[name]["labels"], **labels}}


def as_asked_without_words(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key != "annotations"}


@pytest.fixture(autouse=True)
def _without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """promtool compares annotations too: they are looked at by themselves."""
    from tests.monitoring import expressions

    told = expressions.rules()
    for group in told["spec"]["groups"]:
        group["rules"] = [as_asked_without_words(rule) for rule in group["rules"]]
    monkeypatch.setattr(expressions, "rules", lambda: told)


class TestAlerts:
    def test_are_all_tried(self) -> None:
        assert list(FIRING) == list(alerts())

    @pytest.mark.parametrize("name", FIRING)
    def test_fire_when_they_should(self, name: str, tmp_path: Path) -> None:
        case = FIRING[name]
        run_tests(
            tmp_path,
            [
                {
                    "interval": "1m",
                    "input_series": inputs(case.changed, case.gone),
                    "alert_rule_test": asking(name, [with_its_words(name, case.labels)]),
                }
            ],
        )

    def test_are_silent_when_all_is_well(self, tmp_path: Path) -> None:
        run_tests(
            tmp_path,
            [
                {
                    "interval": "1m",
                    "input_series": inputs([]),
                    "alert_rule_test": [test for name in alerts() for test in asking(name, [])],
                }
            ],
        )

    @pytest.mark.parametrize("name", SHORT)
    def test_are_silent_where_it_is_over_in_a_moment(self, name: str, tmp_path: Path) -> None:
        (changed,) = FIRING[name].changed
        short = Series(changed.name, changed.labels, SHORT[name])
        run_tests(
            tmp_path,
            [
                {
                    "interval": "1m",
                    "input_series": inputs([short]),
                    "alert_rule_test": asking(name, []),
                }
            ],
        )


class TestRunbooks:
    def test_are_one_for_each_alert(self) -> None:
        pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}

        assert pages == set(alerts())

    @pytest.mark.parametrize("name", alerts())
    def test_are_where_the_alert_says(self, name: str) -> None:
        """
        Without a host: where the pages are served is for whoever runs the cluster to say.
        """
        rule = alerts()[name]

        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in ("critical", "warning")

    @pytest.mark.parametrize("name", alerts())
    def test_answer_what_is_asked_at_night(self, name: str) -> None:
        page = (RUNBOOKS / f"{name}.md").read_text()

        assert re.findall(r"^## (.+)$", page, re.MULTILINE) == [
            "What it means",
            "What users see",
            "What to look at",
            "What to type",
            "When it is over",
        ]
        assert f"Severity: {alerts()[name]['labels']['severity']}." in page
        assert f"| [{name}]({name}.md) |" in (RUNBOOKS / "README.md").read_text()
