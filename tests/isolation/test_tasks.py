"""
Attack 63: somebody can write to the broker, and has no SECRET_KEY.

Each message goes to a real worker, as bytes in its queue, beside one that is genuine.
"""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core import signing

from tenancy import context
from tenancy.models import Organization
from tenancy.rejections import RejectedTask
from tests.fixtures import background
from tests.fixtures.workers import Worker

LOOK = background.look.name


@pytest.fixture
def label() -> str:
    return uuid4().hex


@pytest.fixture
def rejected(committed: None) -> Iterator[Callable[[], list[tuple[str, str, str, int]]]]:
    def rows() -> list[tuple[str, str, str, int]]:
        with context.override(context.PLATFORM):
            return list(RejectedTask.objects.values_list("task", "reason", "tenant", "count"))

    yield rows
    with context.override(context.PLATFORM):
        RejectedTask.objects.all().delete()


class Broker:
    """The worker's queue, for somebody who can read and write Redis."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.key = f"{background.PREFIX}{worker.queue}"
        self.client = background.observed()

    def catch(self, organization: Organization, label: str) -> dict[str, Any]:
        """Return a genuine message of `organization`, which no worker will see."""
        elsewhere = f"caught-{uuid4().hex}"
        with context.override(organization.as_active()):
            background.look.apply_async((label,), queue=elsewhere)
        message: dict[str, Any] = json.loads(
            str(self.client.lpop(f"{background.PREFIX}{elsewhere}"))
        )
        message["properties"]["delivery_info"]["routing_key"] = self.worker.queue
        return message

    def send(self, message: dict[str, Any]) -> None:
        self.client.lpush(self.key, json.dumps(message))

    def settle(self, organization: Organization) -> None:
        """Return once the worker has done with everything that was sent before."""
        label = uuid4().hex
        with context.override(organization.as_active()):
            background.look.apply_async((label,), queue=self.worker.queue)
        background.wait_for(label)


@pytest.fixture
def broker(any_worker: Worker) -> Broker:
    return Broker(any_worker)


def body(*args: Any) -> str:
    embedded = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
    return base64.b64encode(json.dumps([args, {}, embedded]).encode()).decode()


def without_a_tenant(message: dict[str, Any]) -> str:
    del message["headers"]["tenancy_tenant"]
    return "unsigned"


def without_a_signature(message: dict[str, Any]) -> str:
    del message["headers"]["tenancy_signature"]
    return "unsigned"


def without_headers_at_all(message: dict[str, Any]) -> str:
    """The protocol before headers: everything is in the body, which Celery would decode."""
    message["headers"] = {}
    message["body"] = base64.b64encode(
        json.dumps({"task": LOOK, "id": "one", "args": ["x"], "kwargs": {}}).encode()
    ).decode()
    return "unsigned"


def signed_with_another_key(message: dict[str, Any]) -> str:
    signer = signing.Signer(key="guessed", salt="tenancy.tasks")
    message["headers"]["tenancy_signature"] = signer.signature("digest")
    return "forged"


def with_another_task(message: dict[str, Any]) -> str:
    message["headers"]["task"] = background.fail.name
    return "forged"


def with_another_body(message: dict[str, Any]) -> str:
    message["body"] = body("of somebody else")
    return "forged"


def as_the_platform(message: dict[str, Any]) -> str:
    message["headers"]["tenancy_tenant"] = "platform"
    return "forged"


def as_pickle(message: dict[str, Any]) -> str:
    class Bomb:
        def __reduce__(self) -> Any:
            return (print, ("the bomb went off",))

    message["content-type"] = "application/x-python-serialize"
    message["content-encoding"] = "binary"
    message["body"] = base64.b64encode(pickle.dumps(([Bomb()], {}, {}))).decode()
    return "not_json"


CHANGES = [
    without_a_tenant,
    without_a_signature,
    without_headers_at_all,
    signed_with_another_key,
    with_another_task,
    with_another_body,
    as_the_platform,
    as_pickle,
]


class TestForgedMessage:
    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
    def test_is_rejected_and_recorded(
        self,
        change: Callable[[dict[str, Any]], str],
        broker: Broker,
        elm: Organization,
        label: str,
        rejected: Callable[[], list[tuple[str, str, str, int]]],
    ):
        message = broker.catch(elm, label)
        reason = change(message)

        broker.send(message)
        broker.settle(elm)

        assert background.nothing_told(label)
        ((task, recorded, tenant, count),) = rejected()
        assert (recorded, tenant, count) == (reason, "", 1)
        assert task in ("", LOOK, background.fail.name)
        assert "the bomb went off" not in broker.worker.said()

    def test_with_the_header_of_another_clinic_is_rejected(
        self,
        broker: Broker,
        elm: Organization,
        oak: Organization,
        label: str,
        rejected: Callable[[], list[tuple[str, str, str, int]]],
    ):
        """
        All of Elm's headers, signature and all, on the body of Oak's.
        """
        elms, oaks = broker.catch(elm, f"{label}-elm"), broker.catch(oak, label)

        broker.send({**oaks, "headers": elms["headers"], "properties": elms["properties"]})
        broker.send({**oaks, "headers": {**oaks["headers"], "tenancy_tenant": str(elm.pk)}})
        broker.settle(elm)

        assert background.nothing_told(label)
        assert rejected() == [(LOOK, "forged", "", 2)]

    def test_is_one_row_however_many_names_it_makes_up(
        self,
        broker: Broker,
        elm: Organization,
        label: str,
        rejected: Callable[[], list[tuple[str, str, str, int]]],
    ):
        message = broker.catch(elm, label)
        for number in range(20):
            message["headers"] |= {
                "task": f"made.up.{number}\n\0",
                "id": f"{number}\0",
                "tenancy_tenant": f"tenant {number}\0" + "x" * 1000,
            }
            broker.send(message)
        broker.settle(elm)

        assert rejected() == [("", "forged", "", 20)]

    def test_leaves_no_word_of_its_body_in_the_log(
        self, broker: Broker, elm: Organization, label: str, rejected: Any
    ):
        message = broker.catch(elm, f"secret-{label}")
        without_a_signature(message)

        broker.send(message)
        broker.settle(elm)

        assert f"secret-{label}" not in broker.worker.said()
        assert "Rejected task" in broker.worker.said()


class TestGenuineMessage:
    def test_that_was_caught_runs_for_its_own_clinic(
        self, broker: Broker, oak: Organization, label: str
    ):
        """
        The control: what the forger starts from is good, and sent again it is Oak's still.
        """
        broker.send(broker.catch(oak, label))

        assert background.wait_for(label)[0]["schema"] == "tenant_oak"

    def test_of_a_task_that_nobody_knows_is_rejected_without_its_arguments(
        self,
        broker: Broker,
        oak: Organization,
        label: str,
        rejected: Callable[[], list[tuple[str, str, str, int]]],
    ):
        with context.override(oak.as_active()):
            background.app.send_task("no.such", [f"secret-{label}"], queue=broker.worker.queue)
        broker.settle(oak)

        assert rejected() == [("", "unknown_task", str(oak.pk), 1)]
        assert f"secret-{label}" not in broker.worker.said()
