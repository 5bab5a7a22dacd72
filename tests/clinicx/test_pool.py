"""The numbers of the pool come from the environment, and arrive at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from clinicx.settings import databases as settings
from clinicx.settings import pool
from tenancy.models import Organization
from tests.clinicx.test_settings import COMPLETE, ROOT
from tests.fixtures import servers

VARIABLES = (
    *("DB_POOL_SIZE", "DB_POOL_MIN_SIZE", "DB_POOL_TIMEOUT", "DB_POOL_MAX_IDLE"),
    *("DB_POOL_MAX_LIFETIME", "DB_CONN_MAX_AGE", "DB_ISOLATION_LEVEL", "DB_POOLER_MODE"),
    *("DB_CONN_MAX_TENANTS", "WEB_WORKERS"),
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def databases() -> dict[str, Any]:
    return settings.pooled(
        settings.databases(app_url="postgres://app@db/x", ddl_url="postgres://ddl@db/x")
    )


class TestPool:
    def test_of_a_pod_with_one_worker_has_the_numbers_that_were_agreed_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WEB_WORKERS", "1")

        assert pool.options() == {
            "min_size": 5,
            "max_size": 20,
            "timeout": 30,
            "max_idle": 600,
            "max_lifetime": 1800,
        }

    @pytest.mark.parametrize(
        ("variables", "sizes"),
        [
            ({}, (3, 10)),
            ({"WEB_WORKERS": "4"}, (2, 5)),
            ({"WEB_WORKERS": "20"}, (1, 1)),
            ({"WEB_WORKERS": "3", "DB_POOL_SIZE": "20", "DB_POOL_MIN_SIZE": "20"}, (6, 6)),
            ({"DB_POOL_SIZE": "2"}, (1, 1)),
            ({"DB_POOL_SIZE": "50", "DB_POOL_MIN_SIZE": "1"}, (1, 25)),
        ],
    )
    def test_is_divided_among_workers(
        self,
        monkeypatch: pytest.MonkeyPatch,
        variables: dict[str, str],
        sizes: tuple[int, int],
    ) -> None:
        set_all(monkeypatch, variables)

        options = pool.options()

        assert options is not None
        assert (options["min_size"], options["max_size"]) == sizes
        assert pool.connections_per_worker() == options["max_size"]

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({"DB_POOL_SIZE": "3", "WEB_WORKERS": "4"}, "DB_POOL_SIZE=3 .*DB_POOL_SIZE=4 or more"),
            ({"DB_POOL_MIN_SIZE": "21"}, "DB_POOL_MIN_SIZE=21 .*DB_POOL_MIN_SIZE=20 or less"),
            ({"DB_POOL_MIN_SIZE": "0"}, "DB_POOL_MIN_SIZE='0'; use a whole number, 1 or more"),
            ({"DB_POOL_SIZE": "-1"}, "DB_POOL_SIZE='-1'; use a whole number, 0 or more"),
            ({"DB_POOL_SIZE": "many"}, "DB_POOL_SIZE='many'; use a whole number"),
            ({"DB_POOL_TIMEOUT": "30s"}, "DB_POOL_TIMEOUT='30s'"),
            ({"DB_POOL_TIMEOUT": "0"}, "DB_POOL_TIMEOUT='0'"),
            ({"DB_POOL_MAX_IDLE": "0"}, "DB_POOL_MAX_IDLE='0'"),
            ({"DB_POOL_MAX_LIFETIME": "0"}, "DB_POOL_MAX_LIFETIME='0'"),
            ({"WEB_WORKERS": "0"}, "WEB_WORKERS='0'"),
            ({"DB_CONN_MAX_AGE": "60"}, "DB_CONN_MAX_AGE=60 .* remove it"),
            ({"DB_POOL_SIZE": "0", "DB_CONN_MAX_AGE": "-1"}, "DB_CONN_MAX_AGE='-1'"),
            (
                {"DB_ISOLATION_LEVEL": "serialisable"},
                "='serialisable'; use one of .*'serializable'",
            ),
        ],
    )
    def test_refuses_what_cannot_be(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
    ) -> None:
        set_all(monkeypatch, variables)

        with pytest.raises(ImproperlyConfigured, match=message):
            databases()


class TestDatabases:
    def test_have_a_pool_at_the_applications_address_only(self) -> None:
        application, owner = databases()["default"], databases()["ddl"]

        assert application["OPTIONS"]["pool"] == pool.options()
        assert application["CONN_MAX_AGE"] == 0
        assert application["CONN_HEALTH_CHECKS"] is False
        assert "pool" not in owner["OPTIONS"]
        assert owner["CONN_MAX_AGE"] == 600

    @pytest.mark.parametrize(("set_to", "age"), [("", 600), ("30", 30), ("0", 0)])
    def test_keep_connections_where_the_pool_is_turned_off(
        self, monkeypatch: pytest.MonkeyPatch, set_to: str, age: int
    ) -> None:
        set_all(monkeypatch, {"DB_POOL_SIZE": "0", "DB_CONN_MAX_AGE": set_to})

        application = databases()["default"]

        assert "pool" not in application["OPTIONS"]
        assert application["CONN_MAX_AGE"] == age
        assert application["CONN_HEALTH_CHECKS"] is True
        assert pool.connections_per_worker() == 10

    @pytest.mark.parametrize(("set_to", "most"), [("", 300), ("80", 80), ("0", None)])
    def test_serve_as_many_clinics_as_the_server_has_memory_for(
        self, monkeypatch: pytest.MonkeyPatch, set_to: str, most: int | None
    ) -> None:
        set_all(monkeypatch, {"DB_CONN_MAX_TENANTS": set_to})

        assert pool.max_tenants() == most

    def test_refuse_to_serve_fewer_clinics_than_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DB_CONN_MAX_TENANTS", "-1")

        with pytest.raises(ImproperlyConfigured, match="DB_CONN_MAX_TENANTS='-1'"):
            pool.max_tenants()

    def test_are_isolated_as_the_server_says_unless_set(self) -> None:
        assert "isolation_level" not in databases()["default"]["OPTIONS"]

    def test_are_isolated_as_is_set_at_the_applications_address_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DB_ISOLATION_LEVEL", "repeatable read")

        level = databases()["default"]["OPTIONS"]["isolation_level"]

        assert level.name == "REPEATABLE_READ"
        assert "isolation_level" not in databases()["ddl"]["OPTIONS"]

    def test_name_the_pooler_that_is_meant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert settings.pooler_modes() == {}

        monkeypatch.setenv("DB_POOLER_MODE", "transaction")

        assert settings.pooler_modes() == {"default": "transaction"}


# What a worker does: each thread serves one clinic after the other.
WORK = """
import json
from concurrent.futures import ThreadPoolExecutor

import django

django.setup()

from django.db import connection, transaction

from tenancy import conf, context
from tenancy.context import ActiveTenant
from tenancy.models import Organization

WHERE = "SELECT current_schema(), current_setting('transaction_isolation'), pg_backend_pid()"


def serve(schema):
    try:
        with context.override(ActiveTenant(None, schema)), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(WHERE)
                return schema, *cursor.fetchone()
    finally:
        connection.close()


with ThreadPoolExecutor(connection.pool.max_size) as threads:
    served = list(threads.map(serve, ["tenant_elm", "tenant_oak"] * 50))

pool = connection.pool
print(json.dumps({
    "served": served,
    "pool": [pool.min_size, pool.max_size, pool.timeout, pool.max_idle, pool.max_lifetime],
    "tenants": conf.settings.CONN_MAX_TENANTS,
}))
"""


class TestProductionWithThePool:
    def serve(self, variables: dict[str, str]) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", WORK],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                **COMPLETE,
                "DATABASE_URL": servers.database_url(servers.database_name(), "app"),
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def test_serves_each_clinic_its_own(self, elm: Organization, oak: Organization) -> None:
        answer = self.serve({})

        assert answer["pool"] == [3, 10, 30, 600, 1800]
        assert answer["tenants"] == 300
        assert [schema for _, schema, *_ in answer["served"]] == ["tenant_elm", "tenant_oak"] * 50
        assert {level for _, _, level, _ in answer["served"]} == {"read committed"}
        assert len({session for *_, session in answer["served"]}) <= 10

    def test_takes_all_numbers_from_the_environment(
        self, elm: Organization, oak: Organization
    ) -> None:
        answer = self.serve(
            {
                "WEB_WORKERS": "1",
                "DB_POOL_SIZE": "4",
                "DB_POOL_MIN_SIZE": "2",
                "DB_POOL_TIMEOUT": "7",
                "DB_POOL_MAX_IDLE": "70",
                "DB_POOL_MAX_LIFETIME": "700",
                "DB_CONN_MAX_TENANTS": "70",
                "DB_ISOLATION_LEVEL": "repeatable read",
            }
        )

        assert answer["pool"] == [2, 4, 7, 70, 700]
        assert answer["tenants"] == 70
        assert {level for _, _, level, _ in answer["served"]} == {"repeatable read"}
