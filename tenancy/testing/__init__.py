"""
What a project's tests need: a database with its roles, and working for a tenant in a test.

Fixtures are in `tenancy.testing.plugin`; proving that nothing crosses from one tenant to
another is `tenancy.testing.leaks`. Nothing here imports a model: the leak kit's options are
read before the app registry is ready.
"""

from __future__ import annotations

from tenancy.testing.cases import ForTenant, TenantClient, working_for
from tenancy.testing.databases import clone_database, drop_database, make_database

__all__ = [
    "ForTenant",
    "TenantClient",
    "clone_database",
    "drop_database",
    "make_database",
    "working_for",
]
