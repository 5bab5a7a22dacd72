"""
Which parameters does an address take? Those that it declares, and no others.

A misspelt filter that is ignored answers with everybody's rows instead of a few, and
`?mrn=` from a script whose variable was empty with the first patient of the clinic.
Both are refused.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError

if TYPE_CHECKING:  # the views are importing this module
    from rest_framework.generics import GenericAPIView
    from rest_framework.request import Request


class DeclaredParameters(DjangoFilterBackend):  # type: ignore[misc]  # untyped
    """Filter a list by the parameters that its view declares. One row takes none."""

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: GenericAPIView[Any]
    ) -> QuerySet[Any]:
        is_list = getattr(view, "action", None) == "list"
        _refuse_others(request, self._declared(queryset, view) if is_list else frozenset())
        filtered: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return filtered

    def _declared(self, queryset: QuerySet[Any], view: GenericAPIView[Any]) -> Set[str]:
        filters = self.get_filterset_class(view, queryset).base_filters
        pages = view.paginator.get_schema_operation_parameters(view) if view.paginator else []
        return {*filters, *(parameter["name"] for parameter in pages)}


def _refuse_others(request: Request, declared: Set[str]) -> None:
    errors = {}
    for name, values in request.query_params.lists():
        if name not in declared:
            errors[name] = _unknown(declared)
        elif len(values) > 1:
            errors[name] = f"It is given {len(values)} times; give it once."
        elif not values[0].strip():
            errors[name] = "It has no value; leave it out, or give it one."
    if errors:
        raise ValidationError({name: [message] for name, message in errors.items()})


def _unknown(declared: Set[str]) -> str:
    if not declared:
        return "This address takes no parameters."
    return f"There is no such parameter. Use one of: {', '.join(sorted(declared))}."
