"""
How is a row of any model made, from nothing but what the model says of itself?

A model that appears tomorrow is covered tomorrow. One that cannot be made this way says so
with a sentence that names what is missing; the hook pytest_tenancy_make_instance adds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import DatabaseError, models, transaction
from django.utils import timezone

Row = dict[str, Any]

# By the field's class, or the nearest of its bases that is listed.
VALUES: dict[type[models.Field[Any, Any]], Callable[[int], Any]] = {
    ArrayField: lambda number: [],
    models.BinaryField: lambda number: number.to_bytes(8, "big"),
    models.BooleanField: lambda number: False,
    models.DateField: lambda number: timezone.localdate(),
    models.DateTimeField: lambda number: timezone.now(),
    models.DecimalField: lambda number: number,
    models.DurationField: lambda number: timedelta(seconds=number),
    models.FloatField: lambda number: float(number),
    models.GenericIPAddressField: lambda number: "127.0.0.1",
    models.IntegerField: lambda number: number,
    models.TimeField: lambda number: timezone.now().time(),
}

# Returns the values of a row's fields, or the row itself, for a model whose constraints its
# metadata does not tell; None for any other.
Recipe: TypeAlias = Callable[[type[models.Model], "World"], "Row | models.Model | None"]


INSUFFICIENT_PRIVILEGE = "42501"
HOOK = "pytest_tenancy_make_instance"


class UnableToMake(Exception):
    """A row could not be made from the model's metadata alone."""


class World:
    """
    One row of each model that is asked for, for the active tenant, all of them related.

    Every text says `stamp`, so that it is recognised wherever it turns up. With `first_pk`
    the rows' numbers begin there, and are then the numbers of nobody else's rows. Worlds
    with `twins` that make the same models in the same order have equal keys.
    """

    def __init__(
        self,
        stamp: str,
        *,
        first_pk: int | None = None,
        twins: bool = False,
        recipe: Recipe | None = None,
    ) -> None:
        self.stamp = stamp
        self.rows: dict[type[models.Model], models.Model] = {}
        self._first_pk = first_pk
        self._twins = twins
        self._recipe = recipe or (lambda model, world: None)
        self._count = 0
        self._in_making: list[type[models.Model]] = []

    def get(self, model: type[models.Model]) -> models.Model:
        """Return the row of `model`, made if need be together with the rows it points to."""
        if model not in self.rows:
            self._in_making.append(model)
            try:
                self.rows[model] = self._make(model)
            finally:
                self._in_making.pop()
        return self.rows[model]

    def fill(self, wanted: Iterable[type[models.Model]]) -> World:
        for model in wanted:
            self.get(model)
        return self

    def put(self, row: models.Model) -> World:
        """Take a row that exists already instead of making one."""
        self.rows[type(row)] = row
        return self

    @property
    def marks(self) -> list[str]:
        """What gives these rows away wherever it is read: their stamp and their UUIDs."""
        return [
            self.stamp,
            *(str(row.pk) for row in self.rows.values() if isinstance(row.pk, UUID)),
        ]

    def _make(self, model: type[models.Model]) -> models.Model:
        self._count += 1
        recipe = self._recipe(model, self) or {}
        if isinstance(recipe, models.Model):
            return recipe
        values = {
            field.name: value
            for field in model._meta.concrete_fields
            if field.name not in recipe
            and (value := self._value(model, field)) is not models.NOT_PROVIDED
        }
        row = model(**values, **recipe)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except (DatabaseError, ValidationError, ValueError, TypeError) as error:
            if getattr(error.__cause__, "sqlstate", None) == INSUFFICIENT_PRIVILEGE:
                raise  # of which no row is the reason
            raise UnableToMake(
                f"No {model._meta.label} can be made from its metadata: {_first_line(error)}. "
                f"Return what its constraints want from {HOOK} in conftest.py."
            ) from error
        return row

    def _value(self, model: type[models.Model], field: models.Field[Any, Any]) -> Any:
        """Return what to store in `field`, or NOT_PROVIDED where its own default will do."""
        if isinstance(field, models.ForeignKey):
            return self._related(model, field)
        if field.generated:
            return models.NOT_PROVIDED
        if isinstance(field, models.AutoField):
            return models.NOT_PROVIDED if self._first_pk is None else self._first_pk + self._count
        if isinstance(field, models.UUIDField) and field.primary_key and self._twins:
            return self._uuid(model, field)
        if field.has_default() or field.has_db_default() or getattr(field, "auto_now_add", False):
            return models.NOT_PROVIDED
        if field.choices:
            return models.NOT_PROVIDED if field.blank else field.flatchoices[0][0]
        if isinstance(field, models.CharField | models.TextField | models.FileField):
            return self._text(field)
        if isinstance(field, models.JSONField):
            return {"canary": self.stamp}
        if isinstance(field, models.UUIDField):
            return self._uuid(model, field)
        if field.null or getattr(field, "auto_now", False):
            return models.NOT_PROVIDED
        for base in type(field).__mro__:
            if base in VALUES:
                return VALUES[base](self._count)
        raise UnableToMake(
            f"{model._meta.label}.{field.name} is a {type(field).__name__}, and nobody said what "
            f"such a field may hold. Return it from {HOOK} in conftest.py."
        )

    def _uuid(self, model: type[models.Model], field: models.Field[Any, Any]) -> UUID:
        return uuid5(NAMESPACE_OID, f"{self._count} {field}") if self._twins else uuid4()

    def _text(self, field: models.Field[Any, Any]) -> Any:
        text = f"{self.stamp}{self._count}"
        if field.max_length is None or len(text) <= field.max_length:
            return text
        return "" if field.blank else str(self._count)[-field.max_length :]

    def _related(self, model: type[models.Model], field: models.ForeignKey[Any, Any]) -> Any:
        target = field.related_model
        if target not in self._in_making:
            return self.get(target)
        if field.null:
            return models.NOT_PROVIDED
        raise UnableToMake(
            f"{model._meta.label}.{field.name} must point to a {target._meta.label}, which cannot "
            f"be made without it. Return one of them from {HOOK} in conftest.py."
        )


def snapshot(wanted: Iterable[type[models.Model]]) -> dict[str, list[Row]]:
    """Return every row of each of the models as the active clinic has them now."""
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values()) for model in wanted
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
