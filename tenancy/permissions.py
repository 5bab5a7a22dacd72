"""
May this user do that here?

Django remembers on each user what was found, and asks nothing at all for a superuser: a
user of one clinic would have the same rights while another is active.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from tenancy import ownership

METHODS = (
    "get_user_permissions",
    "get_group_permissions",
    "get_all_permissions",
    "has_perm",
    "has_module_perms",
)


def install() -> None:
    """Let a user be asked for its rights at its own tenant only, or raise CrossTenantAccess."""
    from django.contrib.auth.models import PermissionsMixin

    for name in METHODS:
        for each in (name, f"a{name}"):
            setattr(PermissionsMixin, each, _checking(getattr(PermissionsMixin, each)))


def _checking(original: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(original):

        @wraps(original)
        async def amethod(user: Any, *args: Any, **kwargs: Any) -> Any:
            ownership.check(user)
            return await original(user, *args, **kwargs)

        return amethod

    @wraps(original)
    def method(user: Any, *args: Any, **kwargs: Any) -> Any:
        ownership.check(user)
        return original(user, *args, **kwargs)

    return method
