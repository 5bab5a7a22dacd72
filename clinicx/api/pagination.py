"""Which part of a list is in an answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from rest_framework.exceptions import ValidationError
from rest_framework.fields import IntegerField
from rest_framework.pagination import PageNumberPagination

if TYPE_CHECKING:  # the views are importing this module
    from rest_framework.request import Request
    from rest_framework.views import APIView


class Pages(PageNumberPagination):
    """A page of a list by its number. A number or a size that makes no sense is refused."""

    page_size = 25
    max_page_size = 100
    page_size_query_param = "page_size"
    page_size_query_description = "Rows on a page, at most 100."
    page_query_description = "The first page is 1."
    invalid_page_message = "The list has fewer pages."

    def get_page_size(self, request: Request) -> int:
        return self._number(request, self.page_size_query_param, self.page_size, self.max_page_size)

    def get_page_number(self, request: Request, paginator: Paginator[Any]) -> int:
        return self._number(request, self.page_query_param, 1, None)

    def get_schema_operation_parameters(self, view: APIView) -> list[Any]:
        page, size = super().get_schema_operation_parameters(view)
        page["schema"] |= {"minimum": 1, "default": 1}
        size["schema"] |= {"minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return [page, size]

    def _number(self, request: Request, name: str, default: int, maximum: int | None) -> int:
        text = request.query_params.get(name)
        if text is None:
            return default
        # Looks at the length first: Python refuses to read a number of 5,000 digits.
        field = IntegerField(min_value=1, max_value=maximum)
        try:
            number: int = field.run_validation(text)
        except ValidationError as error:
            raise ValidationError({name: error.detail}) from error
        return number
