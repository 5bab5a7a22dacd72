"""
What of django-tenants' own code is other than it was, for a project that goes on calling it?

Schemas are made, dropped, renamed and cloned at the owner's address, each together with its
role. What django-tenants remembers in an attribute that all threads share is a context here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.utils.connection import ConnectionProxy
from django_tenants import clone, log, models, utils
from django_tenants.postgresql_backend.base import _check_schema_name
from django_tenants.signals import post_schema_sync
from django_tenants.template.loaders import cached

from tenancy import compat, context, schemas, tenants
from tenancy.backend import creation
from tenancy.backend.base import DatabaseWrapper
from tenancy.backend.schema import unused
from tenancy.conf import settings
from tenancy.errors import NameTaken
from tenancy.rollout import executor

_entered: ContextVar[tuple[context.override, ...]] = ContextVar("tenancy.entered", default=())


def install() -> None:
    """Hang it in, once a process; names that were imported before mean the same objects."""
    utils.schema_context.__enter__ = _enter_schema
    utils.tenant_context.__enter__ = _enter_tenant
    for manager in (utils.schema_context, utils.tenant_context):
        manager.__exit__ = _leave
    tenant: Any = models.TenantMixin
    tenant.__enter__ = _enter_row
    tenant.__exit__ = _leave
    tenant.create_schema = create_schema
    tenant._drop_schema = _drop_schema
    tenant.save = _saving(tenant.save)
    tenant.delete = _deleting(tenant.delete)
    utils.schema_rename = schema_rename
    clone.connection = ConnectionProxy(connections, settings.DDL_DATABASE)
    clone.CloneSchema.clone_schema = _cloning(clone.CloneSchema.clone_schema)
    clone.CloneSchema._create_clone_schema_function = _create_clone_function
    log.TenantContextFilter.filter = _add_tenant
    cached.Loader.cache_key = _cache_key
    creation.before_tests.append(prepare_test_cases)


# Working for somebody


def _enter(target: context.Target, tenant: Any) -> None:
    in_transaction = compat.is_on("switch_in_transaction")
    entered = context.override(target, in_transaction=in_transaction, tenant=tenant)
    entered.__enter__()
    _entered.set((*_entered.get(), entered))


def _enter_tenant(manager: Any) -> None:
    _enter(tenants.as_active(manager.tenant), manager.tenant)


def _enter_schema(manager: Any) -> None:
    target = context.for_schema(manager.schema_name)
    if target is not context.PLATFORM:
        # Its id is in the cache's keys, and django-tenants says no more than the name.
        tenant = tenants.look_up("schema", manager.schema_name)
        target = tenants.as_active(tenant) if tenant else target
    _enter(target, None)


def _enter_row(tenant: Any) -> Any:
    _enter(tenants.as_active(tenant), tenant)
    return tenant


def _leave(manager: Any, *exc_info: object) -> None:
    *outer, entered = _entered.get()
    _entered.set(tuple(outer))
    entered.__exit__(*exc_info)


# Schemas and their roles


def _saving(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def save(tenant: Any, verbosity: int = 1, *args: Any, **kwargs: Any) -> None:
        """
        Save the row; of a new tenant with schema, role and tables, or nothing at all.

        A new one is committed by itself, at the owner's address, also inside atomic().
        """
        if not (tenant._state.adding and tenant.auto_create_schema):
            original(tenant, verbosity, *args, **kwargs)
            return
        current = _application().schema_name
        if current != utils.get_public_schema_name():
            raise ValidationError(
                f"A tenant is made on the platform, and {current!r} is active: "
                "with context.override(context.PLATFORM): ..."
            )
        address = settings.DDL_DATABASE
        with (
            context.override(context.PLATFORM, in_transaction=True),
            transaction.atomic(using=address),
        ):
            _wait_no_longer_than_an_outer_transaction(address)
            _check_is_new(tenant)
            super(models.TenantMixin, tenant).save(*args, **{**kwargs, "using": address})
            tenant.create_schema(check_if_exists=True, verbosity=verbosity)
            post_schema_sync.send(sender=models.TenantMixin, tenant=tenant.serializable_fields())
        # Django would use the owner's address also for what is related to it.
        tenant._state.db = DEFAULT_DB_ALIAS

    return save


def _check_is_new(tenant: Any) -> None:
    address = connections[settings.DDL_DATABASE]
    rows = type(tenant)._default_manager.using(settings.DDL_DATABASE)
    name = tenant.schema_name
    if rows.filter(schema_name__iexact=name).exists():
        raise ValidationError(
            f"A tenant with the schema name {name!r} already exists, as upper and lower case "
            "are one here."
        )
    is_public = name == utils.get_public_schema_name()
    if not is_public and not compat.is_on("no_roles") and schemas.exists(address, name):
        raise NameTaken(
            f"The schema {name!r} exists and belongs to no tenant: it may hold data of a deleted "
            "one. Choose another name, or look into it and drop it by hand."
        )


def _wait_no_longer_than_an_outer_transaction(address: str) -> None:
    """
    Let what waits for a lock of our own open transaction at the other address fail.

    PostgreSQL sees two sessions there, and no deadlock.
    """
    if connections[DEFAULT_DB_ALIAS].in_atomic_block and address != DEFAULT_DB_ALIAS:
        with connections[address].cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")


def create_schema(
    tenant: Any, check_if_exists: bool = False, sync_schema: bool = True, verbosity: int = 1
) -> bool | None:
    """
    Make the schema with its role and its tables, or clone the one that is set for it.

    Return False when it exists and that was asked for. Nothing of it remains on failure.
    """
    address = connections[settings.DDL_DATABASE]
    name = tenant.schema_name
    _check_schema_name(name)
    if name != utils.get_public_schema_name():
        schemas.check_role_name(address, name)
    with context.override(context.PLATFORM, in_transaction=True):
        if check_if_exists and schemas.exists(address, name):
            return False
        if not sync_schema:
            return None
        with transaction.atomic(using=settings.DDL_DATABASE):
            template = tenant.get_base_schema() if utils.get_creation_fakes_migrations() else None
            if template and schemas.exists(address, template):
                clone.CloneSchema().clone_schema(template, name, tenant.clone_mode)
                executor.migrate(tenants.as_active(tenant), fake=True)
            else:
                schemas.create(address, name)
                with unused():
                    executor.migrate(tenants.as_active(tenant), verbosity=max(0, verbosity - 1))
    return None


def _drop_schema(tenant: Any, force_drop: bool = False) -> None:
    """Drop the schema with its role, where the tenant's class or the caller says so."""
    current = _application().schema_name
    if current not in (tenant.schema_name, utils.get_public_schema_name()):
        raise ValidationError(
            f"{tenant.schema_name!r} is dropped by itself or on the platform, and {current!r} is "
            "active."
        )
    if not (tenant.auto_drop_schema or force_drop):
        return
    address = connections[settings.DDL_DATABASE]
    with context.override(context.PLATFORM, in_transaction=True):
        if schemas.exists(address, tenant.schema_name):
            tenant.pre_drop()
            with transaction.atomic(using=settings.DDL_DATABASE):
                schemas.drop(address, tenant.schema_name)


def _deleting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def delete(tenant: Any, force_drop: bool = False, *args: Any, **kwargs: Any) -> Any:
        """Delete the row, and the schema with its role where that is said, in one transaction."""
        if not (force_drop or tenant.auto_drop_schema):
            return original(tenant, force_drop, *args, **kwargs)
        with (
            context.override(context.PLATFORM, in_transaction=True),
            transaction.atomic(using=settings.DDL_DATABASE),
        ):
            return original(tenant, force_drop, *args, **{**kwargs, "using": settings.DDL_DATABASE})

    return delete


def schema_rename(
    tenant: Any, new_schema_name: str, database: str = DEFAULT_DB_ALIAS, save: bool = True
) -> None:
    """Rename the schema of `tenant` and its role, or raise ValidationError and rename nothing."""
    address = connections[settings.DDL_DATABASE]
    with context.override(context.PLATFORM, in_transaction=True):
        if utils.schema_exists(new_schema_name, settings.DDL_DATABASE, case_sensitive=False):
            raise ValidationError("New schema name already exists")
        _check_schema_name(new_schema_name)
        schemas.check_role_name(address, new_schema_name)
        with transaction.atomic(using=settings.DDL_DATABASE):
            schemas.rename(address, tenant.schema_name, new_schema_name)
            tenant.schema_name = new_schema_name
            if save:
                super(models.TenantMixin, tenant).save(using=settings.DDL_DATABASE)
    tenant._state.db = DEFAULT_DB_ALIAS


def _cloning(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def clone_schema(
        cloner: Any,
        base_schema_name: str,
        new_schema_name: str,
        clone_mode: str = "DATA",
        set_connection: bool = True,
    ) -> None:
        """
        Clone a schema as the owner, and let the clone's own role in, and nobody else.

        The function that clones copies grants as well, and would let the source's role in.
        """
        address = connections[settings.DDL_DATABASE]
        schemas.check_role_name(address, new_schema_name)
        with (
            context.override(context.PLATFORM, in_transaction=True),
            transaction.atomic(using=settings.DDL_DATABASE),
        ):
            original(cloner, base_schema_name, new_schema_name, clone_mode, set_connection=False)
            schemas.adopt(address, new_schema_name)

    return clone_schema


def _create_clone_function(cloner: Any) -> None:
    address = connections[settings.DDL_DATABASE]
    with address.cursor() as cursor:
        cursor.execute(clone.CLONE_SCHEMA_FUNCTION.format(db_user=schemas.owner_of(address)))


def _application() -> DatabaseWrapper:
    return cast("DatabaseWrapper", connections[DEFAULT_DB_ALIAS])


# What asks the connection, and is asked also when nobody is active


def _add_tenant(log_filter: Any, record: Any) -> bool:
    application = _application()
    record.schema_name = application.schema_name
    record.domain_url = getattr(application.tenant, "domain_url", None)
    return True


def _cache_key(loader: Any, template_name: str, skip: Any = None) -> str:
    # A tenant that is known by its schema's name alone has templates of its own too.
    key = super(cached.Loader, loader).cache_key(template_name, skip)
    return "-".join([_application().schema_name, key])


# Tests


def prepare_test_cases() -> None:
    """
    Let django-tenants' test cases make their tenant with nobody active; for a run of tests.

    They leave it active for their tests; after the last of a class nobody is.
    """
    from django_tenants.test import cases

    for case in (cases.TenantTestCase, cases.FastTenantTestCase, cases.SubfolderTenantTestCase):
        original = vars(case)["setUpClass"].__func__
        if not hasattr(original, "__wrapped__"):
            case.setUpClass = classmethod(_on_platform(original))


def _on_platform(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def set_up(case: Any) -> None:
        if context.get_current() is None:
            context.activate(context.PLATFORM)
            case.addClassCleanup(context.deactivate)
        original(case)

    return set_up
