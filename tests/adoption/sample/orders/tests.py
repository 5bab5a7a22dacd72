from __future__ import annotations

from datetime import date

from customers.models import Client
from django.db import connection
from django_tenants.test.cases import FastTenantTestCase, TenantTestCase
from django_tenants.test.client import TenantClient, TenantRequestFactory
from django_tenants.utils import schema_context, tenant_context

from orders import views
from orders.models import Order


class ShopMixin:
    @classmethod
    def setup_tenant(cls, tenant: Client) -> None:
        tenant.name = "Test shop"
        tenant.paid_until = date(2030, 1, 1)


class OrdersTest(ShopMixin, FastTenantTestCase):
    def test_lists_its_orders(self) -> None:
        Order.objects.create(title="A book")
        answer = TenantClient(self.tenant).get("/orders/")
        self.assertEqual(answer.json()["orders"], ["A book"])
        self.assertEqual(answer.json()["tenant"], "Test shop")

    def test_has_none_at_first(self) -> None:
        self.assertFalse(Order.objects.exists())

    def test_by_a_request_of_the_factory(self) -> None:
        request = TenantRequestFactory(self.tenant).get("/orders/")
        self.assertIn(b"Test shop", views.list_orders(request).content)


class ContextTest(ShopMixin, TenantTestCase):
    def test_switches_within_a_test(self) -> None:
        with schema_context("public"):
            self.assertEqual(connection.schema_name, "public")
            self.assertEqual(Client.objects.get().name, "Test shop")
        with tenant_context(self.tenant):
            Order.objects.create(title="A pen")
        self.assertEqual(connection.schema_name, self.tenant.schema_name)
        self.assertEqual(Order.objects.count(), 1)
