"""What happens to a task before a worker has it, and where no worker takes part."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.test import TestCase

from apps.accounts.models import User
from tenancy import context, tenants
from tenancy.context import ActiveTenant
from tenancy.errors import NoActiveTenant, TaskRejected, TenantChangedInTransaction
from tenancy.models import Organization
from tenancy.rejections import RejectedTask
from tenancy.tasks import publishing, testing
from tenancy.tasks.testing import Message, held_back
from tests.fixtures import background

NUMBER = 424_242


@pytest.fixture
def messages() -> Iterator[list[Message]]:
    """What would travel; nothing reaches a broker."""
    with held_back(background.app) as messages:
        yield messages


@pytest.fixture
def of_elm(elm: Organization, messages: list[Message]) -> Message:
    with context.override(elm.as_active()):
        background.look.delay("label")
    return messages[0]


class TestMessage:
    def test_names_whoever_is_active(
        self, elm: Organization, oak: Organization, messages: list[Message]
    ):
        for target in (elm.as_active(), oak.as_active(), context.PLATFORM):
            with context.override(target):
                background.look.delay("label")

        assert [each.tenant for each in messages] == [str(elm.pk), str(oak.pk), "platform"]

    @pytest.mark.parametrize(
        "queue",
        [
            lambda: background.look.delay("label"),
            lambda: background.look.apply_async(("label",), countdown=60),
            lambda: background.app.send_task(background.look.name, ["label"]),
            lambda: background.app.send_task("of.another.project"),
            lambda: chain(background.look.si("label"), background.look.si("label"))(),
        ],
        ids=["delay", "countdown", "by name", "unknown name", "chain"],
    )
    def test_is_refused_where_nobody_is_active(
        self, queue: Callable[[], Any], messages: list[Message]
    ):
        with pytest.raises(NoActiveTenant, match=r"nothing was queued.*as_active\(\)"):
            queue()

        assert messages == []

    def test_is_refused_for_a_tenant_without_an_id(self, messages: list[Message]):
        with (
            context.override(ActiveTenant(None, "tenant_elm")),
            pytest.raises(NoActiveTenant, match="needs its id"),
        ):
            background.look.delay("label")

        assert messages == []

    @pytest.mark.parametrize("serializer", ["pickle", "yaml"])
    def test_is_json_alone(self, serializer: str, elm: Organization, messages: list[Message]):
        with (
            context.override(elm.as_active()),
            pytest.raises(ImproperlyConfigured, match=f"remove serializer='{serializer}'"),
        ):
            background.look.apply_async(("label",), serializer=serializer)

        assert messages == []

    def test_shows_no_argument_in_its_headers(self, elm: Organization, messages: list[Message]):
        with context.override(elm.as_active()):
            background.look.delay("Maria Rossi")

        assert "Maria" not in json.dumps(messages[0].headers)
        assert b"Maria" in messages[0].body

    def test_takes_the_place_of_a_tenant_that_the_caller_wrote(
        self, elm: Organization, oak: Organization, messages: list[Message]
    ):
        with context.override(elm.as_active()):
            background.look.apply_async(("label",), headers={"tenancy_tenant": str(oak.pk)})

        assert messages[0].tenant == str(elm.pk)


class TestTransaction:
    @pytest.fixture(autouse=True)
    def _in_elm(self, elm: Organization, committed: None) -> Iterator[None]:
        with context.override(elm.as_active()):
            yield

    def test_lets_a_message_go_when_it_commits(self, messages: list[Message]):
        with transaction.atomic():
            result = background.look.delay("label")
            assert messages == []

        assert [each.headers["id"] for each in messages] == [result.id]

    def test_forgets_a_message_when_it_rolls_back(self, messages: list[Message]):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            background.look.delay("label")
            _ = 1 / 0

        assert messages == []

    def test_forgets_a_message_of_a_savepoint_that_rolls_back(self, messages: list[Message]):
        with transaction.atomic():
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                background.look.delay("lost")
                _ = 1 / 0
            background.look.delay("kept")

        assert [json.loads(each.body)[0] for each in messages] == [["kept"]]

    def test_is_waited_for_at_whatever_address_it_is_open(self, messages: list[Message]):
        with transaction.atomic(using="ddl"):
            with transaction.atomic():
                background.look.delay("label")
            assert messages == []

        assert len(messages) == 1

    def test_forgets_a_message_when_another_address_rolls_back(self, messages: list[Message]):
        with pytest.raises(ZeroDivisionError), transaction.atomic(using="ddl"):
            with transaction.atomic():
                background.look.delay("label")
            _ = 1 / 0

        assert messages == []

    def test_that_is_somebodys_own_is_not_guessed_at(self, messages: list[Message]):
        connection.ensure_connection()
        transaction.set_autocommit(False)
        try:
            with pytest.raises(TransactionManagementError):
                background.look.delay("label")
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)

        assert messages == []

    def test_keeps_the_tenant_and_the_arguments_of_the_moment(
        self, elm: Organization, oak: Organization, messages: list[Message]
    ):
        words = ["before"]
        with transaction.atomic():
            background.look.apply_async((words,))
            words[0] = "after"
            with context.override(oak.as_active()):
                pass

        assert messages[0].tenant == str(elm.pk)
        assert json.loads(messages[0].body)[0] == [["before"]]

    def test_is_not_waited_for_when_told_so(self, messages: list[Message]):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            with publishing.at_once():
                background.look.delay("label")
            _ = 1 / 0

        assert len(messages) == 1

    def test_of_a_test_case_lets_go_what_it_captures(self, messages: list[Message]):
        """
        Django's own helper runs the callbacks while the transaction is still open.
        """
        with transaction.atomic():
            with TestCase.captureOnCommitCallbacks(execute=True) as callbacks:
                background.look.delay("label")
            transaction.set_rollback(True)

        assert len(callbacks) == 1
        assert len(messages) == 1


class TestSeal:
    def test_lets_our_own_message_run(self, of_elm: Message, committed: None):
        assert testing.run(background.app, of_elm)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("tenancy_tenant", "platform"),
            ("task", background.fail.name),
            ("id", "another"),
            ("eta", "2000-01-01T00:00:00"),
            ("expires", "2100-01-01T00:00:00"),
            ("retries", 0.5),
            ("timelimit", [None, 1]),
            ("group", "another"),
            ("root_id", "another"),
            ("ignore_result", None),
        ],
    )
    def test_breaks_when_a_header_is_changed(self, name: str, value: Any, of_elm: Message):
        of_elm.headers[name] = value

        with pytest.raises(TaskRejected) as rejected:
            testing.run(background.app, of_elm)

        assert rejected.value.reason == "forged"

    def test_breaks_on_another_body(
        self, oak: Organization, of_elm: Message, messages: list[Message]
    ):
        with context.override(oak.as_active()):
            background.look.delay("of oak")
        of_elm.body = messages[1].body

        with pytest.raises(TaskRejected, match="of another message"):
            testing.run(background.app, of_elm)

    def test_outlives_a_change_of_the_key(self, of_elm: Message, settings: Any, committed: None):
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]

        assert testing.run(background.app, of_elm)

    def test_breaks_when_the_key_is_nobodys_any_more(self, of_elm: Message, settings: Any):
        settings.SECRET_KEY = "new"

        with pytest.raises(TaskRejected):
            testing.run(background.app, of_elm)


class TestTenantThatCannotBeAskedAbout:
    def test_keeps_its_task_from_running(
        self,
        of_elm: Message,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ):
        """
        Whatever breaks: here the cache, with an error that is not Django's.
        """

        def break_down(identity: object) -> ActiveTenant:
            raise ConnectionError

        monkeypatch.setattr(tenants, "find", break_down)

        assert not testing.run(background.app, of_elm)
        assert "nobody can be asked about its tenant (ConnectionError)" in caplog.text
        assert "it is lost: only acks_late = True keeps it" in caplog.text


class TestEager:
    @pytest.fixture
    def users(self, in_elm: Organization) -> User:
        return User.objects.create(pk=NUMBER, username="sam of elm")

    @pytest.fixture
    def eager(self) -> Iterator[None]:
        background.app.conf.task_always_eager = True
        background.app.conf.task_eager_propagates = True
        yield
        background.app.conf.task_always_eager = False
        background.app.conf.task_eager_propagates = False

    def test_task_sees_the_transaction_that_is_open(self, users: User, eager: None):
        background.name_user.delay(background.UserArgument(NUMBER), "eager")

        assert background.wait_for("eager")[0]["user"] == "sam of elm"

    @pytest.mark.parametrize("method", ["apply", "delay"])
    def test_task_is_refused_where_nobody_is_active(self, method: str, eager: None):
        with pytest.raises(NoActiveTenant):
            getattr(background.look, method)(*([("label",)] if method == "apply" else ["label"]))

    def test_task_for_another_is_refused_in_the_transaction(
        self, elm: Organization, oak: Organization, committed: None
    ):
        with context.override(elm.as_active()), transaction.atomic():
            User.objects.exists()
            with (
                context.override(oak.as_active()),
                pytest.raises(TenantChangedInTransaction),
            ):
                background.look.apply(("label",), throw=True)

    def test_task_leaves_its_caller_as_they_were(self, elm: Organization, oak: Organization):
        @background.app.task(name="tests.activate", shared=False)
        def activate() -> None:
            context.activate(oak.as_active())

        with context.override(elm.as_active()):
            activate.apply(throw=True)

            assert context.get_current() == elm.as_active()


class TestRejectedTask:
    def test_is_one_row_however_often_it_happens(
        self, oak: Organization, messages: list[Message], on_platform: None
    ):
        for _ in range(3):
            with context.override(oak.as_active()), publishing.at_once():
                background.name_user.delay(background.UserArgument(NUMBER), "label")
        with context.override(oak.as_active(), in_transaction=True):
            for message in messages:
                testing.run(background.app, message)

        (row,) = RejectedTask.objects.all()

        assert (row.count, row.reason, row.tenant) == (3, "unreadable", str(oak.pk))
        assert row.last_task_id == messages[2].headers["id"]

    def test_is_seen_by_operators(self, platform_client: Any, on_platform: None, sign_in: Any):
        RejectedTask.objects.create(
            date="2026-01-01", task="a.task", reason="forged", last_at="2026-01-01T00:00Z"
        )
        operator = User.objects.create_superuser("olga")
        platform_client.force_login(operator)

        page = platform_client.get("/admin/tenancy/rejectedtask/")

        assert "a.task" in page.text
        assert "the signature is not ours" in page.text


class TestWithoutCelery:
    PROGRAM = """
import os, sys, types
sys.modules["no_pages"] = types.ModuleType("no_pages")
sys.modules["no_pages"].urlpatterns = []
for name in ("celery", "kombu", "billiard"):
    sys.modules[name] = None
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["tenancy", "django_tenants", "django.contrib.contenttypes"],
    SHARED_APPS=["tenancy", "django_tenants", "django.contrib.contenttypes"],
    TENANT_APPS=["django.contrib.contenttypes"],
    TENANT_MODEL="tenancy.Organization", TENANT_DOMAIN_MODEL="tenancy.Domain",
    TENANT_SYNC_ROUTER="tenancy.router.TenancyRouter",
    DATABASE_ROUTERS=["tenancy.router.TenancyRouter"],
    MIDDLEWARE=["tenancy.middleware.TenantMiddleware"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                        "KEY_FUNCTION": "tenancy.cache.make_key"}},
    DATABASES={alias: {"ENGINE": "tenancy.backend", "NAME": "none"}
               for alias in ("default", "ddl")},
    ROOT_URLCONF="no_pages",
    TENANCY_CELERY_APP=os.environ.get("APP", ""),
)
import django
django.setup()
import importlib, pkgutil, tenancy
for module in pkgutil.walk_packages(tenancy.__path__, "tenancy."):
    if not module.name.startswith("tenancy.tasks."):
        importlib.import_module(module.name)
from django.core import checks
print([each.id for each in checks.run_checks(tags=["tasks"])])
"""

    def _run(self, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", self.PROGRAM],
            cwd=Path(__file__).parent.parent.parent,
            env={"PATH": "", **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def test_tenancy_works(self):
        assert self._run() == "[]"

    def test_a_project_that_names_an_application_is_told(self):
        assert self._run(APP="project.celery.app") == "['tenancy.E030']"
