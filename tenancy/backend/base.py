"""
The database wrapper that Django loads: which binding belongs to whom on this address?

It subclasses django-tenants' wrapper, so that library's code finds what it expects,
and sends none of its SQL: the path is never set on the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import NotSupportedError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.db.transaction import TransactionManagementError
from django.db.utils import DatabaseErrorWrapper
from django.utils.asyncio import async_unsafe
from django.utils.functional import cached_property
from django_tenants.postgresql_backend import base as django_tenants_backend
from django_tenants.utils import has_multi_type_tenants

from tenancy import compat, context, metrics, outages, ownership, roles, schemas
from tenancy.backend import gauges, server, statements
from tenancy.backend.creation import DatabaseCreation
from tenancy.backend.driver import Binding, BoundConnection, BoundCursor, BoundServerCursor
from tenancy.backend.introspection import DatabaseIntrospection
from tenancy.backend.schema import DatabaseSchemaEditor
from tenancy.conf import settings
from tenancy.context import ActiveTenant, Target
from tenancy.metrics import sampling
from tenancy.names import PUBLIC_SCHEMA

__all__ = ["DatabaseWrapper", "IsolationLevel"]

GOLDEN_RATIO = (5**0.5 - 1) / 2


class _Driver(SimpleNamespace):
    """psycopg, but for its `connect`: Django asks this attribute of the wrapper for one."""

    connect = staticmethod(BoundConnection.connect)

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)


class _ErrorWrapper(DatabaseErrorWrapper):
    """Every error of the driver passes here on its way to Django's."""

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is not None:
            outages.note(error)
        if isinstance(error, psycopg.Error):  # Django's own was counted before it was turned
            metrics.database_failed(error)
        super().__exit__(kind, error, traceback)


class DatabaseWrapper(django_tenants_backend.DatabaseWrapper):  # type: ignore[misc]  # untyped
    """
    Sends every statement together with its binding to the active tenant.

    The alias named by TENANCY_DDL_DATABASE works as the owner of schemas and tables;
    every other works as the role of the active tenant, which owns nothing.
    """

    Database = _Driver()
    SchemaEditorClass = DatabaseSchemaEditor
    creation_class = DatabaseCreation

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        # Not django-tenants' own __init__: it puts the connection into "public",
        # where ours has no tenant until somebody says so.
        super(django_tenants_backend.DatabaseWrapper, self).__init__(settings_dict, alias)
        self.introspection = DatabaseIntrospection(self)
        self._is_unguarded = False
        self._may_rebind = False
        self._includes_public = True
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
            # Django's check of a pool sends a query at each checkout; ours sends nothing.
            settings_dict["CONN_HEALTH_CHECKS"] = False
        self.ops.compiler_module = "tenancy.backend.compiler"
        self._keeps_session_state = compat.is_on("session_state")
        if not self._keeps_session_state:
            # A cursor WITH HOLD stays on the server's session, where behind a pooler
            # the next client would read it.
            settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return _ErrorWrapper(self)

    # Whose is this statement?

    def binding_for(self, target: Target) -> Binding:
        """Return the schemas and the role under which this connection works for `target`."""
        schema = target.schema if isinstance(target, ActiveTenant) else PUBLIC_SCHEMA
        binding = self._bindings.get(schema)
        if binding is None:
            binding = self._bindings[schema] = self._make_binding(target)
        return binding

    def _make_binding(self, target: Target) -> Binding:
        is_owner = self.is_owner
        path: tuple[str, ...]
        match target:
            case ActiveTenant(schema=schema) if self._includes_public and self._sees_public:
                path, suffix = (schema, PUBLIC_SCHEMA), schema
            case ActiveTenant(schema=schema):
                path, suffix = (schema,), schema
            case _:
                path, suffix = (PUBLIC_SCHEMA,), "platform"
        path += tuple(django_tenants_backend.EXTRA_SEARCH_PATHS)
        for schema in path:
            django_tenants_backend._check_schema_name(schema)
        if compat.is_on("no_roles"):
            return Binding(target, path, None, self._timeout_of(target))
        suffix = "ddl" if is_owner else suffix
        role = roles.name(schemas.role_prefix(self), suffix)
        return Binding(target, path, role, self._timeout_of(target))

    def _timeout_of(self, target: Target) -> timedelta | None:
        """
        Return how long a statement of `target` may take; None, as long as the login's may.

        Looked up by the schema, which everybody knows who works for a tenant, and once for
        each connection: a setting does not change. Not for the owner, whose work is to migrate.
        """
        if self.is_owner or not isinstance(target, ActiveTenant):
            return None
        timeouts = settings.TENANT_STATEMENT_TIMEOUTS
        timeout: timedelta | None = next(
            (
                timeout
                for slug, timeout in timeouts.items()
                if target.schema in (slug, f"{settings.SCHEMA_PREFIX}{slug.replace('-', '_')}")
            ),
            None,
        )
        if timeout is not None and timeout < timedelta(milliseconds=1):
            raise ImproperlyConfigured(
                f"TENANCY_TENANT_STATEMENT_TIMEOUTS has {timeout!r} for {target}, and PostgreSQL "
                "would take that for no limit. Give a millisecond or more."
            )
        return timeout

    @property
    def _sees_public(self) -> bool:
        """
        Whether a tenant's tables are followed by those of the public schema.

        Not for the owner: a migration that looks for a table must not find the platform's.
        """
        if not self.is_owner:
            return True
        # Where no roles are, the owner's address may be the only one.
        return compat.is_on("foreign_keys") or compat.is_on("no_roles")

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
            self.connection.is_shared = not (self.is_owner or self._keeps_session_state)
            self.connection.is_test_case = self._is_test_case
            self.connection.server_cursor_factory = _bound_server_cursor_class()
            self.connection.on_switch = metrics.switched if metrics.is_on() else None

    def _is_test_case(self) -> bool:
        # A block of the code under test is none of these, and is refused as anywhere.
        return all(block._from_testcase for block in self.atomic_blocks)

    # Connections and cursors

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params["cursor_factory"] = _bound_cursor_class(params["cursor_factory"])
        return params

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        return super().get_new_connection({**conn_params, "server": server.at(conn_params)})

    @property
    def pool(self) -> Any:
        """Return Django's pool of this address, of our class; None where none is wanted."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if not options or self.alias == NO_DB_ALIAS:
            return None
        if self.alias not in self._connection_pools:
            if self.settings_dict["CONN_MAX_AGE"] != 0:
                raise ImproperlyConfigured("Pooling doesn't support persistent connections.")
            # Only who has a pool needs psycopg's.
            from tenancy.backend.pool import BoundPool

            params = self.get_connection_params()
            pool = BoundPool(
                server=server.at(params),
                # Django sets it as each user of the pool wants it.
                kwargs={**params, "autocommit": True},
                open=False,
                configure=self._configure_connection,
                **options,
            )
            # Two threads may come here at once, and one of the two is used.
            self._connection_pools.setdefault(self.alias, pool)
        return self._connection_pools[self.alias]

    def init_connection_state(self) -> None:
        if not ownership.is_installed():
            raise ImproperlyConfigured(
                f"DATABASES[{self.alias!r}]['ENGINE'] is 'tenancy.backend', which needs its "
                "application. Put 'tenancy' before 'django_tenants' in INSTALLED_APPS."
            )
        super().init_connection_state()
        self._tell_driver()
        statements.watch(self.execute_wrappers)
        if metrics.is_on():
            sampling.ensure_running()

    def close_if_unusable_or_obsolete(self) -> None:
        """Close what has served enough tenants too; Django asks between requests and tasks."""
        super().close_if_unusable_or_obsolete()
        if self._has_served_enough():
            self.close()

    def close_between_tenants(self) -> None:
        """
        Close what has failed, or served enough tenants, and ask the server nothing otherwise.

        For work that goes from one tenant to the next, many times a second.
        """
        if self.errors_occurred or self._has_served_enough():
            self.close_if_unusable_or_obsolete()

    def _close(self) -> None:
        if self.connection is not None:
            # Back in the pool it belongs to nobody, and its workers know no tenant.
            self.connection.give_back()
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
    def _nodb_cursor(self) -> Iterator[Any]:
        # To make and to drop a test's database, which no transaction takes.
        with context.override(context.PLATFORM), super()._nodb_cursor() as cursor:
            cursor.db.connection.binder = None
            yield cursor

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
        if self.connection.autocommit and not self._keeps_session_state:
            raise NotSupportedError(
                "A named cursor outside a transaction would stay on a session that others use. "
                "Open it inside transaction.atomic()."
            )
        factory = _bound_server_cursor_class()
        withhold = self.connection.autocommit
        return factory(self.connection, name=name, scrollable=False, withhold=withhold)

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
    def tenant(self) -> Any:
        """
        Return the row of TENANT_MODEL, where whoever activated it had it at hand.

        Otherwise an ActiveTenant or PLATFORM, which has a `schema_name` too, as django-tenants
        returns a FakeTenant; None with nobody active.
        """
        activation = context.get_activation()
        if activation is None:
            return context.PLATFORM if compat.is_on("public_by_default") else None
        return activation.tenant or activation.target

    @tenant.setter
    def tenant(self, tenant: Any) -> None:
        if tenant is None:
            context.deactivate()
        else:
            self.set_tenant(tenant)

    @property
    def schema_name(self) -> str:
        target = context.get_current()
        return target.schema if isinstance(target, ActiveTenant) else PUBLIC_SCHEMA

    def set_tenant(self, tenant: Any, include_public: bool = True) -> None:
        """
        Work for `tenant` from now on; `context.override` is the way that also ends.

        For all addresses and not for this one alone, as a task works for one tenant.
        """
        target: Target = context.PLATFORM
        if tenant.schema_name != PUBLIC_SCHEMA:
            target = ActiveTenant(
                getattr(tenant, "pk", None),
                tenant.schema_name,
                type=str(tenant.get_tenant_type()) if has_multi_type_tenants() else "",
            )
        in_transaction = compat.is_on("switch_in_transaction")
        context.activate(target, in_transaction=in_transaction, tenant=tenant)
        self.include_public_schema = include_public
        if django_tenants_backend.EXTRA_SET_TENANT_METHOD:
            django_tenants_backend.EXTRA_SET_TENANT_METHOD(self, tenant)

    @property
    def include_public_schema(self) -> bool:
        """Whether names that a tenant's schema lacks are looked up in the public one."""
        return self._includes_public

    @include_public_schema.setter
    def include_public_schema(self, include: bool) -> None:
        if include != self._includes_public:
            self._includes_public = include
            self._bindings = {}

    @property
    def search_path_set_schemas(self) -> tuple[str, ...] | None:
        """The path that the next statement is bound to; None with nobody active."""
        activation = context.get_activation()
        return self.binding_for(activation.target).path if activation else None

    def rollback(self) -> None:
        super(django_tenants_backend.DatabaseWrapper, self).rollback()

    def savepoint_rollback(self, sid: str) -> None:
        super(django_tenants_backend.DatabaseWrapper, self).savepoint_rollback(sid)

    def close(self) -> None:
        super(django_tenants_backend.DatabaseWrapper, self).close()


sampling.register(lambda: gauges.sample(DatabaseWrapper._connection_pools.values()))


@lru_cache(maxsize=8)
def _bound_cursor_class(factory: type) -> type:
    """Return `factory`, which may be another wrapper's own, with the binding mixed in."""
    return type("BoundCursor", (BoundCursor, factory), {})


@lru_cache(maxsize=1)
def _bound_server_cursor_class() -> type:
    from django.db.backends.postgresql.base import ServerSideCursor

    return type("BoundServerSideCursor", (BoundServerCursor, ServerSideCursor), {})
