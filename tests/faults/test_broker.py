"""A broker that hangs or is gone keeps nobody who queues a task."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from kombu.exceptions import OperationalError

from clinicx.celery import app
from tenancy import context
from tenancy.models import Organization
from tenancy.tasks import owners
from tests.fixtures.own_redis import OwnRedis

# Three answers that do not come, of three seconds each, and time for a busy machine.
AT_MOST_SECONDS = 20


@pytest.fixture
def broker(own_redis: OwnRedis) -> Iterator[OwnRedis]:
    """A broker of the test's own, with an open connection to it."""
    before = app.conf.broker_url
    app.conf.broker_url = app.conf.broker_write_url = own_redis.url
    app.amqp._producer_pool = app._pool = None
    with context.override(context.PLATFORM):
        app.send_task("tenancy.fill_pool")
    yield own_redis
    app.amqp._producer_pool = app._pool = None
    app.conf.broker_url = app.conf.broker_write_url = before


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_is_an_error_in_seconds(how: str, broker: OwnRedis) -> None:
    {"frozen": broker.freeze, "killed": broker.kill}[how]()
    began = time.monotonic()

    with context.override(context.PLATFORM), pytest.raises(OperationalError):
        app.send_task("tenancy.fill_pool")

    assert time.monotonic() - began < AT_MOST_SECONDS


class TestClinicThatIsAskedFor:
    """Its row is committed, so that reconciliation finds it: nobody is shown an error."""

    def test_in_a_transaction(self, broker: OwnRedis, committed: None, caplog: Any) -> None:
        broker.kill()

        with context.override(context.PLATFORM), transaction.atomic():
            assert owners.queue_provisioning(Organization(slug="birch"))

        assert "reconcile_tenants" in caplog.text

    def test_outside_of_one(self, broker: OwnRedis, committed: None, caplog: Any) -> None:
        broker.kill()

        assert not owners.queue_provisioning(Organization(slug="birch"))

        assert "reconcile_tenants" in caplog.text
