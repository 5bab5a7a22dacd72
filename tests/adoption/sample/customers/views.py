from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from customers.models import Client


def list_clients(request: HttpRequest) -> JsonResponse:
    names = Client.objects.exclude(schema_name="public").order_by("name")
    return JsonResponse({"clients": list(names.values_list("name", flat=True))})
