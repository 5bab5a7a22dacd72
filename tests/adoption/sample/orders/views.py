from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, JsonResponse

from orders.models import Order


def list_orders(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "shop": request.tenant.name,
            "schema": connection.schema_name,
            "tenant": connection.tenant.name,
            "paid_until": connection.tenant.paid_until.isoformat(),
            "orders": list(Order.objects.order_by("title").values_list("title", flat=True)),
        }
    )


def count_visits(request: HttpRequest) -> JsonResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})
