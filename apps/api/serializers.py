"""
How does a row read as JSON?

Elements have FHIR R4's names in snake_case. What is not recorded is null, never an
empty text, and every key is always there.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from django.db.models import Field, Model
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

_Row = TypeVar("_Row", bound=Model)


class RecordSerializer(serializers.ModelSerializer[_Row]):
    """A row, to be read only."""

    def get_extra_kwargs(self) -> dict[str, Any]:
        given = super().get_extra_kwargs()
        return {name: {"read_only": True, **given.get(name, {})} for name in self.Meta.fields}

    def build_standard_field(
        self, field_name: str, model_field: Field[Any, Any]
    ) -> tuple[type[serializers.Field[Any, Any, Any, Any]], dict[str, Any]]:
        field_class, kwargs = super().build_standard_field(field_name, model_field)
        if kwargs.pop("allow_blank", False):
            kwargs["allow_null"] = True
        return field_class, kwargs

    def to_representation(self, instance: _Row) -> dict[str, Any]:
        return _without_blanks(super().to_representation(instance))


class _Columns(serializers.Serializer[Any]):
    """Several columns of one row as one element, which is null when all of them are empty."""

    def __init__(self, **kwargs: Any) -> None:
        """Take the columns by the names of this element's fields; one without is null."""
        columns = {name: kwargs.pop(name) for name in self._declared_fields if name in kwargs}
        super().__init__(**{"source": "*", "read_only": True, "allow_null": True, **kwargs})
        self._columns: Mapping[str, str] = columns

    def to_representation(  # type: ignore[override]  # null is what the fields' class does not know
        self, instance: Any
    ) -> dict[str, Any] | None:
        values = {name: self._value(instance, name, field) for name, field in self.fields.items()}
        return values if any(value is not None for value in values.values()) else None

    def _value(self, instance: Any, name: str, field: serializers.Field[Any, Any, Any, Any]) -> Any:
        column = self._columns.get(name)
        value = getattr(instance, column) if column else None
        return None if value is None or value == "" else field.to_representation(value)


class CodingSerializer(_Columns):
    """A code, the system that it is of, and the words to read it by."""

    system = serializers.CharField(allow_null=True)
    code = serializers.CharField(allow_null=True)
    display = serializers.CharField(allow_null=True)


class PeriodSerializer(_Columns):
    """From when until when; without an end it is not over, or nobody knows."""

    start = serializers.DateTimeField(allow_null=True)
    end = serializers.DateTimeField(allow_null=True)


@extend_schema_field({"type": "string", "format": "decimal"})
class ExactDecimal(serializers.Field[Any, Any, str, Decimal]):
    """
    A number as text with every digit that was recorded: 1.50 is not 1.5.

    A number in JSON would be read into binary floating point, and its last zero forgotten.
    """

    def to_representation(self, value: Decimal) -> str:
        return format(value, "f")


class QuantitySerializer(_Columns):
    """A measured number with its unit, in words and in UCUM's code."""

    value = ExactDecimal(allow_null=True)
    comparator = serializers.CharField(allow_null=True)
    unit = serializers.CharField(allow_null=True)
    code = serializers.CharField(allow_null=True)


class ReferenceSerializer(serializers.Serializer[Any]):
    """Another row: its id, and what it is called."""

    id = serializers.UUIDField(source="pk")
    display = serializers.CharField(source="__str__")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"read_only": True, "allow_null": True, **kwargs})


def _without_blanks(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value == "" else value for name, value in row.items()}
