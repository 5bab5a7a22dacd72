"""
The database wrapper that Django loads: which binding belongs to whom on this address?

It subclasses django-tenants' wrapper, so that library's code finds what it expects,
and sends none of its SQL: the path is never set on the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import NotSupportedError
from django.db.backends.postgresql.introspection import DatabaseIntrospection
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.db.transaction import TransactionManagementError
from django.utils.asyncio import async_unsafe
from django_tenants.postgresql_backend import base as django_tenants_backend

from tenancy import context, roles, schemas
from tenancy.backend import statements
from tenancy.backend.driver import Binding, BoundConnection, BoundCursor, BoundServerCursor
from tenancy.backend.schema import DatabaseSchemaEditor
from tenancy.conf import settings
from tenancy.context import ActiveTenant, Target
from tenancy.names import PUBLIC_SCHEMA

__all__ = ["DatabaseWrapper", "IsolationLevel"]

GOLDEN_RATIO = (5**0.5 - 1) / 2


class _Driver(SimpleNamespace):
    """psycopg, but for its `connect`: Django asks this attribute of the wrapper for one."""

    connect = staticmethod(BoundConnection.connect)

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)


class DatabaseWrapper(django_tenants_backend.DatabaseWrapper):  # type: ignore[misc]  # untyped
    """
    Sends every statement together with its binding to the active tenant.

    The alias named by TENANCY_DDL_DATABASE works as the owner of schemas and tables;
    every other works as the role of the active tenant, which owns nothing.
    """

    Database = _Driver()
    SchemaEditorClass = DatabaseSchemaEditor

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        # Not django-tenants' own __init__: it puts the connection into "public",
        # where ours has no tenant until somebody says so.
        super(django_tenants_backend.DatabaseWrapper, self).__init__(settings_dict, alias)
        self.introspection = DatabaseIntrospection(self)
        self.include_public_schema = True
        self._is_unguarded = False
        self._may_rebind = False
        self._bindings: dict[str, Binding] = {}
        if settings_dict["OPTIONS"].get("server_side_binding"):
            raise ImproperlyConfigured(
                f"DATABASES[{alias!r}]['OPTIONS']['server_side_binding'] must not be True: the "
                "extended protocol takes one statement in a message, and a binding needs two "
                "more. Remove it (tenancy.E010)."
            )
        if pool := settings_dict["OPTIONS"].get("pool"):
            pool = {} if pool is True else pool
            settings_dict["OPTIONS"]["pool"] = {**pool, "connection_class": BoundConnection}
            # The pool's own check sends a query at each checkout; ours sends nothing.
            settings_dict["CONN_HEALTH_CHECKS"] = False
        self.ops.compiler_module = "tenancy.backend.compiler"
        # A cursor WITH HOLD stays on the server's session, where behind a pooler
        # the next client would read it.
        settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True

    # Whose is this statement?

    def binding_for(self, target: Target) -> Binding:
        """Return the schemas and the role under which this connection works for `target`."""
        schema = target.schema if isinstance(target, ActiveTenant) else PUBLIC_SCHEMA
        binding = self._bindings.get(schema)
        if binding is None:
            binding = self._bindings[schema] = self._make_binding(target)
        return binding

    def _make_binding(self, target: Target) -> Binding:
        prefix = schemas.role_prefix(self)
        is_owner = self.is_owner
        path: tuple[str, ...]
        match target:
            case ActiveTenant(schema=schema) if is_owner:
                # Without public: a migration that looks for a table must not find the platform's.
                path, suffix = (schema,), "ddl"
            case ActiveTenant(schema=schema):
                path, suffix = (schema, PUBLIC_SCHEMA), schema
            case _:
                path, suffix = (PUBLIC_SCHEMA,), "ddl" if is_owner else "platform"
        return Binding(target, path, roles.name(prefix, suffix))

    @property
    def is_owner(self) -> bool:
        """Whether this is the address of the owner of schemas and tables."""
        return bool(self.alias == settings.DDL_DATABASE)

    @contextmanager
    def outside_transaction(self) -> Iterator[None]:
        """
        Run the block's statements by themselves, for what PostgreSQL refuses in a transaction.

        VACUUM, CREATE INDEX CONCURRENTLY, ALTER TYPE and the like. The session is bound
        to the active tenant until the block ends, so this is for the owner's address
        alone, which goes to PostgreSQL directly: NotSupportedError elsewhere, and
        TransactionManagementError inside atomic().
        """
        if not self.is_owner:
            raise NotSupportedError(
                f"Behind {self.alias!r} there may be a pooler, where a session is everybody's. "
                f"Use connections[{settings.DDL_DATABASE!r}].outside_transaction()."
            )
        self.ensure_connection()
        if self.in_atomic_block or not self.get_autocommit():
            raise TransactionManagementError("outside_transaction() stands inside a transaction.")
        with self.wrap_database_errors, self.connection.bound_session():
            yield

    @contextmanager
    def allow_rebinding(self) -> Iterator[None]:
        """Let the transaction of a test work for one tenant after the other."""
        before, self._may_rebind = self._may_rebind, True
        self._tell_driver()
        try:
            yield
        finally:
            self._may_rebind = before
            self._tell_driver()

    def _tell_driver(self) -> None:
        if self.connection is not None:
            self.connection.binder = self.binding_for
            self.connection.may_rebind = self._may_rebind
            self.connection.is_shared = not self.is_owner
            self.connection.server_cursor_factory = _bound_server_cursor_class()

    # Connections and cursors

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params["cursor_factory"] = _bound_cursor_class(params["cursor_factory"])
        return params

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        while self.pool and not connection.is_alive():
            connection.close()
            self.pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        return connection

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self._tell_driver()
        statements.watch(self.execute_wrappers)

    def close_if_unusable_or_obsolete(self) -> None:
        """Close what has served enough tenants too; Django asks between requests and tasks."""
        super().close_if_unusable_or_obsolete()
        if self._has_served_enough():
            self.close()

    def _close(self) -> None:
        if self.connection is not None:
            # Back in the pool it belongs to nobody, and its workers know no tenant.
            self.connection.binder = None
            if self._has_served_enough():
                # What the pool reads as older than its max_lifetime: it makes another one.
                self.connection._expire_at = 0.0
        super()._close()

    def _has_served_enough(self) -> bool:
        """Tell whether the server's process holds as many tenants' catalogues as it may."""
        if self.connection is None or self.connection.closed:
            return False
        most = self._most_tenants(self.connection.pgconn.backend_pid)
        return most is not None and len(self.connection.schemas_served) >= most

    def _most_tenants(self, process: int) -> int | None:
        """
        Return how many tenants a process of the server may work for, None for any number.

        Each serves up to a quarter fewer, by its id, so that those which were started
        together do not end together.
        """
        most: int | None = settings.CONN_MAX_TENANTS
        # The processes behind a pooler are its own, with a lifetime that it knows.
        if most is None or settings.POOLER_MODES.get(self.alias) == "transaction":
            return None
        # Multiples of the golden ratio: ids in a row are spread evenly, however few they are.
        return most - round(most // 4 * (process * GOLDEN_RATIO % 1))

    @contextmanager
    def temporary_connection(self) -> Iterator[Any]:
        # Django asks the server's version here, before anybody can be active.
        before, self._is_unguarded = self._is_unguarded, True
        try:
            with super().temporary_connection() as cursor:
                yield cursor
        finally:
            self._is_unguarded = before

    @contextmanager
    def _controlling_transaction(self) -> Iterator[None]:
        """
        Send ROLLBACK TO or RELEASE, whoever is active now.

        They name nothing of anybody's. If one of them were refused, the outer block
        would commit half of an inner one that failed.
        """
        before, self._is_unguarded = self._is_unguarded, True
        driver = self.connection
        binder, driver.binder = driver.binder, None
        try:
            yield
        finally:
            driver.binder = binder
            self._is_unguarded = before

    def _savepoint_rollback(self, sid: str) -> None:
        with self._controlling_transaction():
            super()._savepoint_rollback(sid)

    def _savepoint_commit(self, sid: str) -> None:
        with self._controlling_transaction():
            super()._savepoint_commit(sid)

    def _cursor(self, name: str | None = None) -> Any:
        if not self._is_unguarded:
            context.require_activation()
        # Past django-tenants' own, which sends SET search_path here.
        return super(django_tenants_backend.DatabaseWrapper, self)._cursor(name)

    @async_unsafe
    def create_cursor(self, name: str | None = None) -> Any:
        if name is None:
            return super().create_cursor()
        if self.connection.autocommit:
            raise NotSupportedError(
                "A named cursor outside a transaction would stay on a session that others use. "
                "Open it inside transaction.atomic()."
            )
        factory = _bound_server_cursor_class()
        return factory(self.connection, name=name, scrollable=False, withhold=False)

    def is_usable(self) -> bool:
        """Tell whether the server has kept the connection open; nothing is sent."""
        return self.connection is not None and self.connection.is_alive()

    def on_commit(self, func: Callable[[], object], robust: bool = False) -> None:
        """Call `func` once the transaction is committed, working for whoever is active now."""
        if callable(func):
            func = context.carry(func)
        super().on_commit(func, robust=robust)

    # What a project that used django-tenants calls

    @property
    def tenant(self) -> Target | None:
        return context.get_current()

    @property
    def schema_name(self) -> str:
        target = context.get_current()
        return target.schema if isinstance(target, ActiveTenant) else PUBLIC_SCHEMA

    def set_tenant(self, tenant: Any, include_public: bool = True) -> None:
        """Work for `tenant` from now on; `context.override` is the way that also ends."""
        if tenant.schema_name == PUBLIC_SCHEMA:
            context.activate(context.PLATFORM)
        else:
            context.activate(ActiveTenant(getattr(tenant, "pk", None), tenant.schema_name))

    def rollback(self) -> None:
        super(django_tenants_backend.DatabaseWrapper, self).rollback()

    def savepoint_rollback(self, sid: str) -> None:
        super(django_tenants_backend.DatabaseWrapper, self).savepoint_rollback(sid)

    def close(self) -> None:
        super(django_tenants_backend.DatabaseWrapper, self).close()


@lru_cache(maxsize=8)
def _bound_cursor_class(factory: type) -> type:
    """Return `factory`, which may be another wrapper's own, with the binding mixed in."""
    return type("BoundCursor", (BoundCursor, factory), {})


@lru_cache(maxsize=1)
def _bound_server_cursor_class() -> type:
    from django.db.backends.postgresql.base import ServerSideCursor

    return type("BoundServerSideCursor", (BoundServerCursor, ServerSideCursor), {})
