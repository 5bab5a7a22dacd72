"""
How does Django's own test runner come by a database?

As ever: at an address whose login may create one. Projects that test with the roles as well
use `tenancy.testing.plugin`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_tenants.postgresql_backend.base import DatabaseWrapper

from tenancy import context

_Creation: Any = DatabaseWrapper.creation_class


# Called when a run of tests begins: what needs django.test is imported by nobody else.
before_tests: list[Callable[[], None]] = []


class DatabaseCreation(_Creation):  # type: ignore[misc]  # the project's ORIGINAL_BACKEND's
    def create_test_db(self, *args: Any, **kwargs: Any) -> Any:
        for prepare in before_tests:
            prepare()
        # Django calls migrate and createcachetable here, and they are the platform's.
        with context.override(context.PLATFORM):
            return super().create_test_db(*args, **kwargs)
