"""
Under which key does the cache keep what belongs to one tenant?

`KEY_FUNCTION = "tenancy.cache.make_key"` in each entry of CACHES.
"""

from __future__ import annotations

from tenancy import context
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.errors import NoActiveTenant


def make_key(key: str, key_prefix: str, version: int) -> str:
    """
    Return `<prefix>:<organization id>:<version>:<key>`, or `<prefix>:platform:...`.

    The id and not the schema: a rename changes the schema. Raise NoActiveTenant where
    nobody is active, as a shared key is a leak that no query would show.
    """
    prefix = key_prefix or settings.CACHE_PREFIX
    match context.require_current():
        case ActiveTenant(id=None) as tenant:
            raise NoActiveTenant(
                f"The cache keys of {tenant} need its id; activate it with "
                "organization.as_active()."
            )
        case ActiveTenant(id=identity):
            owner = str(identity)
        case _:
            owner = "platform"
    return f"{prefix}:{owner}:{version}:{key}"
