"""The same message, without a tenant, at tenant-schemas-celery's worker and at ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import celery
import psycopg
import pytest

from tenancy import context
from tenancy.models import Organization
from tenancy.rejections import RejectedTask
from tests.benchmarks import names
from tests.fixtures import background, servers
from tests.fixtures.workers import ROOT, Worker

SETTINGS = "tests.benchmarks.project.settings.stock"


@pytest.fixture
def stock_database(committed: None) -> Iterator[str]:
    """A database as django-tenants has it, with one clinic."""
    superuser = os.environ["DATABASE_SUPERUSER_URL"]
    name = f"stock_tasks_{servers.database_name()}"
    address = urlsplit(superuser)._replace(path=f"/{name}").geturl()
    with psycopg.connect(superuser, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        with psycopg.connect(address, autocommit=True) as database:
            database.execute(f"CREATE SCHEMA {names.schema(1)}")
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.project.clinics.make", "1"],
            cwd=ROOT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": SETTINGS, "BENCH_DATABASE_URL": address},
            check=True,
        )
        yield address
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def stock_worker(stock_database: str, own_worker: Callable[..., Worker]) -> Iterator[Worker]:
    """tenant-schemas-celery's worker; ended before its database is dropped."""
    worker = own_worker(
        "--pool=solo",
        app="tests.fixtures.stock_background",
        DJANGO_SETTINGS_MODULE=SETTINGS,
        BENCH_DATABASE_URL=stock_database,
    )
    yield worker
    worker.stop()


def send(worker: Worker, label: str, **headers: Any) -> None:
    """Ask for a task with Celery alone, as another program would."""
    with celery.Celery("anybody", broker=background.ADDRESS, set_as_current=False) as plain:
        plain.conf.broker_transport_options = {"global_keyprefix": background.PREFIX}
        plain.send_task(background.look.name, [label], queue=worker.queue, headers=headers)


class TestMessageWithoutATenant:
    def test_runs_in_public_at_tenant_schemas_celery(self, stock_worker: Worker):
        label = uuid4().hex

        send(stock_worker, label, _schema_name=names.schema(1))
        send(stock_worker, label)

        told = [each["schema"] for each in background.wait_for(label, count=2)]
        assert told == [names.schema(1), "public"]

    def test_is_rejected_here(self, prefork: Worker, elm: Organization, committed: None):
        label = uuid4().hex

        send(prefork, label, _schema_name=elm.schema_name)
        send(prefork, label)
        with context.override(elm.as_active()):
            background.look.apply_async((f"{label}-next",), queue=prefork.queue)
        background.wait_for(f"{label}-next")

        with context.override(context.PLATFORM):
            rows = list(RejectedTask.objects.values_list("reason", "count"))
            RejectedTask.objects.all().delete()
        assert background.nothing_told(label)
        assert rows == [("unsigned", 2)]
