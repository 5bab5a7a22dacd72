"""What is Elm's is never Oak's: every model, whichever way its table is reached."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, models, transaction

from tenancy import context, router
from tenancy.context import Target
from tenancy.models import Organization
from tenancy.testing.leaks.canaries import World, snapshot
from tests.isolation.verdicts import INSUFFICIENT_PRIVILEGE, sqlstate_of

TENANT_MODELS = router.list_models(tenants=True)
SHARED_MODELS = router.list_models(shared=True)
FOREIGN_KEYS = [
    field
    for model in TENANT_MODELS
    for field in model._meta.concrete_fields
    if isinstance(field, models.ForeignKey)
]
MANNERS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "autocommit": nullcontext,
    "atomic": transaction.atomic,
}

# Numbers that no row of anybody has, so that finding one is finding Elm's.
ELMS_NUMBERS = 900_000_000


def each(name: str, registered: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        name, registered, ids=lambda each: getattr(each, "_meta", each).__str__()
    )


each_tenant_model = each("model", TENANT_MODELS)


def at(organization: Organization) -> Any:
    return context.override(organization.as_active())


def table_of(model: type[models.Model], schema: str) -> str:
    return f'"{schema}"."{model._meta.db_table}"'


@each("model", [*TENANT_MODELS, *SHARED_MODELS])
def test_every_table_can_be_made_a_row_of(
    model: type[models.Model], in_elm: Organization, elm: Organization
):
    """
    The factory under all these tests knows every model, those of the platform too.
    """
    target: Target = elm.as_active() if router.is_tenants(model) else context.PLATFORM

    with context.override(target):
        row = World("canary").get(model)

        assert model._base_manager.filter(pk=row.pk).exists()


class TestRow:
    @each_tenant_model
    def test_made_in_elm_is_seen_in_elm(self, model: type[models.Model], in_elm: Organization):
        row = World("elmcanary", first_pk=ELMS_NUMBERS).get(model)

        assert model._base_manager.filter(pk=row.pk).count() == 1

    @each_tenant_model
    def test_made_in_elm_is_not_seen_in_oak(
        self, model: type[models.Model], in_elm: Organization, oak: Organization
    ):
        """
        Every row that Oak has, of this model and of those it points to, is as it was.
        """
        with at(oak):
            before = snapshot(TENANT_MODELS)

        World("elmcanary", first_pk=ELMS_NUMBERS).get(model)

        with at(oak):
            assert snapshot(TENANT_MODELS) == before

    @each_tenant_model
    def test_made_in_elm_is_not_seen_on_the_platform(
        self, model: type[models.Model], in_elm: Organization
    ):
        row = World("elmcanary", first_pk=ELMS_NUMBERS).get(model)

        with context.override(context.PLATFORM):
            found = model._base_manager.filter(pk=row.pk)
            if router.is_shared(model):
                assert not found.exists()
            else:
                with pytest.raises(ProgrammingError, match="does not exist"):
                    found.exists()

    @each_tenant_model
    def test_of_elm_cannot_be_changed_or_deleted_from_oak(
        self, model: type[models.Model], in_elm: Organization, oak: Organization
    ):
        row = World("elmcanary", first_pk=ELMS_NUMBERS).get(model)
        before = snapshot([model])
        column = model._meta.concrete_fields[-1].name

        with at(oak):
            same = model._base_manager.filter(pk=row.pk)
            updated = same.update(**{column: getattr(row, column)})
            deleted, _ = same.delete()

        assert (updated, deleted) == (0, 0)
        assert snapshot([model]) == before

    @pytest.mark.parametrize("field", FOREIGN_KEYS, ids=str)
    def test_cannot_point_at_a_row_of_the_other_clinic(
        self, field: models.ForeignKey[Any, Any], in_elm: Organization, oak: Organization
    ):
        row = World("elmcanary", first_pk=ELMS_NUMBERS).get(field.model)
        with at(oak):
            oaks = World("oakcanary", first_pk=2 * ELMS_NUMBERS).get(field.related_model)

        field.model._base_manager.filter(pk=row.pk).update(**{field.attname: oaks.pk})

        with pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


class TestTable:
    """The name of a table, as the ORM writes it, means that of whoever is active."""

    @pytest.mark.parametrize("manner", MANNERS)
    @each_tenant_model
    def test_is_the_clinics_own(
        self,
        model: type[models.Model],
        manner: str,
        committed: None,
        elm: Organization,
        oak: Organization,
    ):
        for clinic in (elm, oak, elm):
            with at(clinic):
                found = self._find(model, manner)

            assert found == f"{clinic.schema_name}.{model._meta.db_table}"

    @pytest.mark.parametrize("manner", MANNERS)
    @each_tenant_model
    def test_is_the_platforms_or_none_on_the_platform(
        self, model: type[models.Model], manner: str, committed: None, elm: Organization
    ):
        with context.override(context.PLATFORM):
            found = self._find(model, manner)

        public = f"public.{model._meta.db_table}"
        assert found == (public if router.is_shared(model) else None)

    def _find(self, model: type[models.Model], manner: str) -> str | None:
        question = """
            SELECT class.relnamespace::regnamespace::text || '.' || class.relname
              FROM pg_catalog.pg_class AS class
             WHERE class.oid = to_regclass(%s)
        """
        with MANNERS[manner](), connection.cursor() as cursor:
            cursor.execute(question, [f'"{model._meta.db_table}"'])
            row = cursor.fetchone()
        return row[0] if row else None


class TestQualifiedName:
    """PostgreSQL itself refuses another clinic's table, whoever writes its full name."""

    @pytest.mark.parametrize("manner", MANNERS)
    @each_tenant_model
    def test_of_elm_is_refused_in_oak(
        self,
        model: type[models.Model],
        manner: str,
        committed: None,
        elm: Organization,
        oak: Organization,
    ):
        with at(oak):
            code = sqlstate_of(_select, table_of(model, elm.schema_name), manner)

        assert code == INSUFFICIENT_PRIVILEGE

    @each_tenant_model
    def test_of_elm_is_refused_on_the_platform(
        self,
        model: type[models.Model],
        committed: None,
        elm: Organization,
    ):
        with context.override(context.PLATFORM):
            code = sqlstate_of(_select, table_of(model, elm.schema_name))

        assert code == INSUFFICIENT_PRIVILEGE

    @each_tenant_model
    def test_of_elm_is_allowed_in_elm(
        self, model: type[models.Model], committed: None, elm: Organization
    ):
        """
        The statement that is refused elsewhere is a good one.
        """
        with at(elm):
            _select(table_of(model, elm.schema_name))


def _select(table: str, manner: str = "autocommit") -> None:
    with MANNERS[manner](), connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
