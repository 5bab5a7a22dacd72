"""Which tables may live where."""

from __future__ import annotations

import pytest

from apps.accounts.models import User
from apps.patients.models import Patient
from tenancy import context, router
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.models import Organization
from tenancy.router import TenancyRouter

ELM = ActiveTenant(id=1, schema="tenant_elm")


class TestAllowMigrate:
    @pytest.mark.parametrize(
        ("target", "app", "is_allowed"),
        [
            (PLATFORM, "tenancy", True),
            (PLATFORM, "accounts", True),
            (PLATFORM, "patients", False),
            (ELM, "tenancy", False),
            (ELM, "accounts", True),
            (ELM, "patients", True),
        ],
    )
    def test_keeps_tables_where_they_belong(
        self, target: context.Target, app: str, is_allowed: bool
    ) -> None:
        with context.override(target):
            assert TenancyRouter().allow_migrate("ddl", app) is is_allowed

    def test_lets_only_the_owner(self) -> None:
        with context.override(ELM):
            assert TenancyRouter().allow_migrate("default", "patients") is False

    def test_allows_nothing_while_nobody_is_active(self) -> None:
        with context.override(None):
            assert TenancyRouter().allow_migrate("ddl", "patients") is False


class TestListModels:
    def test_tells_shared_from_tenants(self) -> None:
        shared = router.list_models(shared=True)
        tenants = router.list_models(tenants=True)

        assert Organization in shared
        assert Organization not in tenants
        assert Patient in tenants
        assert Patient not in shared
        assert User in shared
        assert User in tenants
