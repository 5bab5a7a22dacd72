"""
How does a test work for a tenant?
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from django.db import DEFAULT_DB_ALIAS, connections
from django.test import Client

from tenancy import context
from tenancy.conf import settings
from tenancy.context import Target

if TYPE_CHECKING:
    from tenancy.models import Organization


@contextmanager
def working_for(target: Target) -> Iterator[None]:
    """
    Work for `target`, and let the test's transaction serve other tenants too.

    For tests that run inside a transaction and make requests to several hosts in it.
    """
    with ExitStack() as stack:
        stack.enter_context(context.override(target, in_transaction=True))
        for alias in connections:
            connection: Any = connections[alias]
            stack.enter_context(connection.allow_rebinding())
        yield


class ForTenant:
    """
    Mixed in before Django's TestCase or TransactionTestCase: all of it works for one tenant.

    The second empties the tenant's tables when a test ends, through the owner's address,
    because the application's roles own none.
    """

    databases: set[str] | Literal["__all__"]

    @classmethod
    def get_target(cls) -> Target:
        """Return for whom the tests work; to be said by each test case."""
        raise TypeError(f"{cls.__qualname__}.get_target() does not say for whom the tests work.")

    @classmethod
    def setUpClass(cls) -> None:
        case: Any = super()
        cls.databases = {DEFAULT_DB_ALIAS, settings.DDL_DATABASE}
        cls.enterClassContext(working_for(cls.get_target()))  # type: ignore[attr-defined]  # mixin
        case.setUpClass()


class TenantClient(Client):
    """Django's test client at the host of one organization, or at any `host`."""

    def __init__(self, organization: Organization | None = None, *, host: str = "", **kwargs: Any):
        super().__init__(**kwargs)
        self.organization = organization
        self.defaults["HTTP_HOST"] = host or (organization.host if organization else "")
