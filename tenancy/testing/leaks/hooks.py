"""
What may a project tell the leak kit? Each hook is a function of this name in conftest.py.

Of several that are registered the first that does not return None is believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.db.models import Model

    from tenancy.testing import TenantClient
    from tenancy.testing.leaks.addresses import Address
    from tenancy.testing.leaks.canaries import Row, World


@pytest.hookspec(firstresult=True)
def pytest_tenancy_make_instance(model: type[Model], world: World) -> Row | Model | None:
    """
    Return values for the fields of a `model` that cannot be made from its metadata alone.

    What is left out is filled in. A row that is saved already may be returned instead. The
    tenant is active; `world.get(other_model)` is a row to point at, and text should contain
    `world.stamp`.
    """


@pytest.hookspec(firstresult=True)
def pytest_tenancy_sign_in(client: TenantClient, tenant: Any) -> bool | None:
    """
    Sign `client` in as somebody who may see everything of `tenant`, and return True.

    Without it a superuser is made where the tenant has Django's users. `tenant` is None at
    the base domain. Return False where nobody can sign in.
    """


@pytest.hookspec(firstresult=True)
def pytest_tenancy_may_send(method: str, address: Address) -> bool | None:
    """
    Return whether POST, PUT, PATCH or DELETE may be sent to `address`, with another's keys.

    It is sent in a transaction that is rolled back; what the view does elsewhere is done.
    """


@pytest.hookspec(firstresult=True)
def pytest_tenancy_excuse(check: str) -> str | None:
    """
    Return why `check`, named as in the report, is not to be believed, or None.

    It is reported as not covered, with this reason.
    """
