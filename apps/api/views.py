"""What does a resource answer that can be listed and read?"""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model
from django.utils.http import http_date
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

_Row = TypeVar("_Row", bound=Model)


class RecordViewSet(ReadOnlyModelViewSet[_Row]):
    """Rows with a UUID that say when they were last changed, in their column `updated_at`."""

    lookup_value_converter = "uuid"

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        record: Any = self.get_object()
        return Response(
            self.get_serializer(record).data,
            headers={"Last-Modified": http_date(record.updated_at.timestamp())},
        )
