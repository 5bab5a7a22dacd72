from __future__ import annotations

from django.core.management.base import BaseCommand
from django_tenants.utils import get_tenant_model, tenant_context

from orders.models import Order


class Command(BaseCommand):
    help = "Count the orders of every shop."

    def handle(self, **options: object) -> None:
        for client in get_tenant_model().objects.exclude(schema_name="public").order_by("name"):
            with tenant_context(client):
                self.stdout.write(f"{client.name}: {Order.objects.count()}")
