"""
Pitfalls 19 and 26 to 30: what a process remembers, and what it does later or by itself.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import BaseCommand, call_command
from django.db import connection, connections, transaction
from django.test import TestCase

from apps.accounts.models import User
from tenancy import context
from tenancy.errors import CrossTenantAccess, NoActiveTenant, TenantChangedInTransaction
from tenancy.models import Organization
from tests.isolation.pitfalls.session import home_of, list_marks, where
from tests.isolation.wire import tapped

ROOT = Path(__file__).parents[3]
SHIFT = 1_000_000


class Test19ContentTypes:
    """Elm and Oak number them differently, as clinics of different ages do."""

    PERMITTED = {"elm": "view_user", "oak": "delete_user"}

    @pytest.fixture
    def shifted(self, address: str, elm: Organization, oak: Organization) -> Iterator[None]:
        """Oak's numbers are others, and at each clinic Sam may do another thing."""
        self._renumber(oak, by=SHIFT)
        try:
            for clinic in (elm, oak):
                with context.override(clinic.as_active()):
                    sam = User.objects.create(username="sam")
                    sam.user_permissions.add(
                        Permission.objects.get(
                            content_type__app_label="accounts",
                            codename=self.PERMITTED[clinic.slug],
                        )
                    )
            yield
        finally:
            for clinic in (elm, oak):
                with context.override(clinic.as_active()):
                    User.objects.filter(username="sam").delete()
            self._renumber(oak, by=-SHIFT)

    def _renumber(self, clinic: Organization, *, by: int) -> None:
        with context.override(clinic.as_active()):
            user = ContentType.objects.get(app_label="accounts", model="user")
            with transaction.atomic():
                Permission.objects.filter(content_type=user).update(content_type=user.pk + by)
                ContentType.objects.filter(pk=user.pk).update(id=user.pk + by)
            ContentType.objects.clear_cache()

    def _list_allowed(self, clinic: Organization) -> list[str]:
        with context.override(clinic.as_active()):
            sam = User.objects.get(username="sam")
            granted = sam.user_permissions.filter(
                content_type=ContentType.objects.get_for_model(User)
            )
            return [each.codename for each in granted if sam.has_perm(f"accounts.{each.codename}")]

    def test_are_each_clinics_own(self, shifted: None, elm: Organization, oak: Organization):
        for clinic in (elm, oak) * 3:
            assert self._list_allowed(clinic) == [self.PERMITTED[clinic.slug]]

    def test_are_each_clinics_own_in_two_threads_at_once(
        self, shifted: None, elm: Organization, oak: Organization
    ):
        def work(clinic: Organization) -> list[list[str]]:
            try:
                return [self._list_allowed(clinic) for _ in range(30)]
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            of_elm, of_oak = pool.map(work, [elm, oak])

        assert of_elm == [["view_user"]] * 30
        assert of_oak == [["delete_user"]] * 30


class Test26WorkForLater:
    """Celery's tasks are in tests/isolation/test_tasks.py; another queue calls a function."""

    def test_is_refused_without_a_clinic(self, at_elm: Organization):
        later: list[Callable[[], object]] = [list_marks]

        with context.override(None), tapped() as tap, pytest.raises(NoActiveTenant):
            later.pop()()

        assert tap.sent == []

    def test_is_done_for_the_clinic_that_it_was_given(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        later = context.carry(list_marks)

        with context.override(oak.as_active()):
            assert later() == ["elm"]
        with context.override(None):
            assert later() == ["elm"]


class Test27Command:
    class Count(BaseCommand):
        def handle(self, **options: object) -> str:
            return str(User.objects.count())

    @pytest.mark.parametrize("command", [Count(), "clearsessions", "dumpdata", "inspectdb"])
    def test_without_a_clinic_sends_nothing(self, command: BaseCommand | str, at_elm: Organization):
        with context.override(None), tapped() as tap, pytest.raises(NoActiveTenant):
            call_command(command)

        assert tap.sent == []


class Test28OnCommit:
    """Callbacks run after COMMIT, when the transaction's binding is gone."""

    @pytest.mark.parametrize("is_robust", [False, True])
    def test_works_for_the_clinic_that_registered_it(
        self, is_robust: bool, at_elm: Organization, oak: Organization
    ):
        told = []
        with transaction.atomic(), context.override(oak.as_active(), in_transaction=True):
            transaction.on_commit(lambda: told.append(where()), robust=is_robust)

        assert told == [home_of(oak)]
        assert where() == home_of(at_elm)

    def test_works_for_each_of_two_in_one_transaction(
        self, at_elm: Organization, oak: Organization
    ):
        told = []
        with transaction.atomic():
            where()
            with context.override(oak.as_active(), in_transaction=True), transaction.atomic():
                transaction.on_commit(lambda: told.append(where()))
            transaction.on_commit(lambda: told.append(where()))

        assert told == [home_of(oak), home_of(at_elm)]

    def test_that_registers_another_works_for_the_same(
        self, at_elm: Organization, oak: Organization
    ):
        told = []

        def register() -> None:
            with transaction.atomic():
                transaction.on_commit(lambda: told.append(where()))

        with transaction.atomic(), context.override(oak.as_active(), in_transaction=True):
            transaction.on_commit(register)

        assert told == [home_of(oak)]

    def test_registered_with_nobody_active_is_refused(self, at_elm: Organization):
        with transaction.atomic():
            where()
            with context.override(None):
                transaction.on_commit(list_marks)
            callbacks = connection.run_on_commit[:]
            connection.run_on_commit.clear()

        ((_, callback, _),) = callbacks
        with pytest.raises(NoActiveTenant):
            callback()

    def test_works_for_its_clinic_when_a_test_captures_it(
        self, elm: Organization, in_oak: Organization
    ):
        told = []
        with TestCase.captureOnCommitCallbacks(execute=True) as captured:
            transaction.on_commit(lambda: told.append(where()))
            with context.override(elm.as_active()):
                transaction.on_commit(lambda: told.append(where()))

        assert len(captured) == 2
        assert told == [home_of(in_oak), home_of(elm)]


class Test29LazyQuerysets:
    def test_are_refused_under_another_clinic(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        rows = Session.objects.all()
        loaded = Session.objects.get()

        with context.override(oak.as_active()), tapped() as tap:
            for use in (lambda: list(rows), loaded.save, loaded.delete, loaded.refresh_from_db):
                with pytest.raises(CrossTenantAccess):
                    use()

        assert tap.sent == []
        assert list(rows) == [loaded]

    def test_are_refused_in_the_transaction_of_another(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        with pytest.raises(TenantChangedInTransaction), transaction.atomic():
            assert list_marks() == ["elm"]
            with context.override(oak.as_active()):
                list_marks()


class Test30ProcessCaches:
    # Functions whose answer is the same for every clinic. Whoever adds one here says why
    # it asks no database: it would answer Oak with what it asked for Elm.
    SAME_FOR_ALL = {
        "apps/fhir/validation.py:_model",  # a class of the FHIR library
        "apps/fhir/validation.py:_elements",  # its fields
        "clinicx/api/schema.py:_describe",  # URLs and serializers
        "clinicx/local/demo/people.py:_faker",  # invents people out of nothing
        "clinicx/local/demo/people.py:_towns",  # likewise
    }
    REMEMBERING = {"cache", "lru_cache", "cached_property", "memoize", "cache_page"}

    def test_are_on_no_function_that_asks_the_database(self):
        found = {
            f"{path.relative_to(ROOT)}:{name}"
            for folder in ("apps", "clinicx")
            for path in (ROOT / folder).rglob("*.py")
            for name in self._list_remembering(path.read_text())
        }

        assert found == self.SAME_FOR_ALL

    @pytest.mark.parametrize(
        "decorator",
        [
            "cache",
            "functools.cache",
            "lru_cache(maxsize=1)",
            "functools.lru_cache",
            "cache_page(9)",
        ],
    )
    def test_would_be_found(self, decorator: str):
        source = f"class A:\n    @{decorator}\n    def asks(self): ...\n"

        assert self._list_remembering(source) == ["asks"]
        assert self._list_remembering("asks = lru_cache()(asks)\n") == ["asks = lru_cache()(asks)"]

    def _list_remembering(self, source: str) -> list[str]:
        """Return the functions of `source` whose answers a decorator keeps for the process."""
        tree = ast.parse(source)
        decorators = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    decorators |= {id(each): node.name for each in ast.walk(decorator)}
        found = []
        for node in ast.walk(tree):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            if name not in self.REMEMBERING or isinstance(node, ast.Constant):
                continue
            if id(node) in decorators:
                found.append(decorators[id(node)])
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(
                isinstance(each, ast.Name) and each.id in self.REMEMBERING
                for each in ast.walk(node.value)
            ):
                found.append(ast.unparse(node))
        return found
