"""
Every statement that names a tenant's schema or its role.

"Can a tenant's name escape?" is answered by these modules: see `composing`.
"""

from __future__ import annotations

from tenancy.schemas.binding import (
    UNBIND_SESSION,
    assert_bound_sql,
    bind_session_sql,
    bind_sql,
    first_in_path,
)
from tenancy.schemas.contents import (
    count_rows,
    exists,
    list_all,
    list_tables,
    sizes,
)
from tenancy.schemas.copying import (
    copy_rows,
    copy_sequences,
    empty,
)
from tenancy.schemas.dropping import (
    close,
    drop,
    drop_invalid_index,
    drop_role,
    drop_schema,
    list_drops,
)
from tenancy.schemas.granting import (
    EXISTING_TABLES,
    grant_readable,
    readable_sql,
)
from tenancy.schemas.history import (
    hash_applied,
    hash_applied_sql,
    hash_of_applied,
    list_applied,
)
from tenancy.schemas.making import (
    ASSIGN,
    CREATE,
    CREATE_ROLE,
    GRANT,
    GRANT_ROLE,
    OTHER_TENANTS,
    adopt,
    adopt_sql,
    assign,
    create,
    others_parameters,
    rename,
)
from tenancy.schemas.tenant_roles import (
    check_role_name,
    list_roles,
    owner_of,
    role_exists,
    role_for,
    role_prefix,
)

__all__ = [
    "ASSIGN",
    "CREATE",
    "CREATE_ROLE",
    "EXISTING_TABLES",
    "GRANT",
    "GRANT_ROLE",
    "OTHER_TENANTS",
    "UNBIND_SESSION",
    "adopt",
    "adopt_sql",
    "assert_bound_sql",
    "assign",
    "bind_session_sql",
    "bind_sql",
    "check_role_name",
    "close",
    "copy_rows",
    "copy_sequences",
    "count_rows",
    "create",
    "drop",
    "drop_invalid_index",
    "drop_role",
    "drop_schema",
    "empty",
    "exists",
    "first_in_path",
    "grant_readable",
    "hash_applied",
    "hash_applied_sql",
    "hash_of_applied",
    "list_all",
    "list_applied",
    "list_drops",
    "list_roles",
    "list_tables",
    "others_parameters",
    "owner_of",
    "readable_sql",
    "rename",
    "role_exists",
    "role_for",
    "role_prefix",
    "sizes",
]
