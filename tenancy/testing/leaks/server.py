"""
What does PostgreSQL itself say: who may reach what, and what reaches across schemas?
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    connection,
    connections,
    models,
    transaction,
)
from psycopg import sql
from psycopg.pq import ExecStatus, TransactionStatus

from tenancy import audit, audit_schema, compat, context, router, schemas
from tenancy.conf import settings
from tenancy.errors import NoActiveTenant, UnableToRecord
from tenancy.testing.leaks import catalogue
from tenancy.testing.leaks.catalogue import Server
from tenancy.testing.leaks.stage import STAMPS, NotCovered, Stage, leaked

RECORDED = "leak_kit.tried"


def _server(leaks: Stage) -> Server:
    """Return the owner's connection; the catalogue is open to everybody."""
    owner: Any = connections[settings.DDL_DATABASE]
    owner.ensure_connection()
    return cast("Server", owner.connection)


def _check_privileges(leaks: Stage) -> None:
    """
    Each tenant's role reaches its own schema, and of public what is declared readable.

    Of the audit log it may read what row-level security leaves it, see _check_audit_log.
    """
    readable = {("public", name, "SELECT") for name in settings.READABLE_TABLES}
    readable.add((audit_schema.SCHEMA, "event", "SELECT"))
    for tenant in (leaks.elm, leaks.oak):
        role = schemas.role_for(connection, tenant.schema_name)
        reached = catalogue.list_reachable(_server(leaks), role)
        if elsewhere := {each for each in reached if each[0] != tenant.schema_name} - readable:
            _leaked_list(f"The role {role!r} reaches beyond its schema", elsewhere)


def _check_group(leaks: Stage) -> None:
    """What the group of all tenants may do, each of them may do at all of them."""
    role = schemas.role_for(connection, "tenants")
    granted = {
        f"{subject} ({right})"
        for subject, grantee, right in _server(leaks).execute(catalogue.GRANTS).fetchall()
        if grantee in (role, "PUBLIC")
        and not subject.startswith(("schema public", "default"))
        and not any(subject.endswith(f" {name}") for name in settings.READABLE_TABLES)
    }
    if granted := {each for each in granted if any(name in each for name in _schemas(leaks))}:
        _leaked_list(f"The group {role!r}, or everybody, was granted what is a tenant's", granted)


def _schemas(leaks: Stage) -> list[str]:
    return [leaks.elm.schema_name, leaks.oak.schema_name]


def _check_application_login(leaks: Stage) -> None:
    login = schemas.role_for(connection, "app")
    if reached := catalogue.list_reachable(_server(leaks), login):
        _leaked_list(f"The login {login!r} reaches tables before anybody is active", reached)


def _check_audit_log(leaks: Stage) -> None:
    """One tenant's records are not another's to read, and it writes none for another."""
    if compat.is_on("no_roles"):
        raise NotCovered("With no_roles in TENANCY_COMPAT there is no audit log.")
    with leaks.undone("elm"):
        audit.record(RECORDED)
        if _count_recorded() != 1:
            raise NotCovered("A tenant does not see its own record.")
        with leaks.at("oak"):
            if _count_recorded():
                leaked("Oak reads what the audit log says of Elm.")
            with suppress(UnableToRecord), transaction.atomic():
                audit.record(RECORDED, organization=leaks.elm)
                leaked("Oak writes into Elm's part of the audit log.")


def _count_recorded() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit.event WHERE action = %s", [RECORDED])
        ((count,),) = cursor.fetchall()
    return int(count)


def _check_foreign_keys(leaks: Stage) -> None:
    rows = _server(leaks).execute(catalogue.FOREIGN_KEYS_OUT_OF_THEIR_SCHEMA).fetchall()
    if rows:
        _leaked_list("Foreign keys lead out of their schema", rows)


def _check_views(leaks: Stage) -> None:
    if rows := _server(leaks).execute(catalogue.READING_ACROSS).fetchall():
        _leaked_list("Views read from another schema", rows)


def _check_sequences(leaks: Stage) -> None:
    if rows := _server(leaks).execute(catalogue.SHARED_SEQUENCES).fetchall():
        _leaked_list("Tables count with a sequence of another schema", rows)


def _check_paths(leaks: Stage) -> None:
    if rows := _server(leaks).execute(catalogue.HIJACKABLE_FUNCTIONS).fetchall():
        _leaked_list("SECURITY DEFINER functions without a search_path of their own", rows)


def _check_definers(leaks: Stage) -> None:
    """A function that runs as the owner of all schemas reads them all, for any tenant."""
    role = schemas.role_for(connection, leaks.oak.schema_name)
    if rows := _server(leaks).execute(catalogue.DEFINER_FUNCTIONS, {"role": role}).fetchall():
        _leaked_list(f"{role!r} may execute SECURITY DEFINER functions", rows)


def _check_nobody(leaks: Stage) -> None:
    with suppress(NoActiveTenant), context.override(None):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        leaked("With nobody active a statement was sent.")


def _check_connection(leaks: Stage) -> None:
    """What the next one finds on the session that a pooler gives it."""
    for name in ("elm", "oak", "platform"):
        with leaks.at(name), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    driver: Any = connection.connection
    if driver.pgconn.transaction_status != TransactionStatus.IDLE:
        leaked("A transaction was left open on the connection.")
    for setting in (b"search_path", b"role"):
        # Past the connection's own binding, which would answer for itself.
        result = driver.pgconn.exec_(b"SHOW " + setting)
        if result.status != ExecStatus.TUPLES_OK:
            raise NotCovered(f"PostgreSQL did not say: {result.error_message.decode()}")
        value = result.get_value(0, 0).decode()
        if any(schema in value for schema in (*_schemas(leaks), "_platform")):
            leaked(f"{setting.decode()} = {value} was left on the connection.")


CHECKS: dict[str, Callable[[Stage], None]] = {
    "privileges": _check_privileges,
    "group": _check_group,
    "login": _check_application_login,
    "audit log": _check_audit_log,
    "foreign keys": _check_foreign_keys,
    "views": _check_views,
    "sequences": _check_sequences,
    "function paths": _check_paths,
    "definer functions": _check_definers,
    "nobody": _check_nobody,
    "connection": _check_connection,
    "rows elsewhere": lambda leaks: check_elsewhere(leaks),
}


def check(name: str, leaks: Stage) -> None:
    with leaks.at("platform"):
        CHECKS[name](leaks)


def list_shared_models() -> list[type[models.Model]]:
    return router.list_models(shared=True)


def check_shared(model: type[models.Model], leaks: Stage) -> None:
    """No row of the public schema says what only a tenant's rows say."""
    table = sql.Identifier("public", model._meta.db_table)
    query = sql.SQL("SELECT count(*) FROM {} AS it WHERE strpos(it::text, {}) > 0")
    for stamp in STAMPS.values():
        with leaks.at("platform"), connections[settings.DDL_DATABASE].cursor() as cursor:
            cursor.execute(query.format(table, stamp).as_string(None))
            ((count,),) = cursor.fetchall()
        if count:
            leaked(f"{model._meta.label}: {count} rows of the public schema say {stamp!r}.")


def check_elsewhere(leaks: Stage) -> None:
    """Nor does any relation outside Elm's schema, views and tables without a model included."""
    found = []
    with leaks.at("platform"):
        relations = [
            each
            for each in catalogue.list_relations(_server(leaks))
            if each.is_table and each.schema != leaks.elm.schema_name
        ]
    for each in relations:
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} AS it WHERE strpos(it::text, {}) > 0)")
        statement = query.format(sql.Identifier(each.schema, each.name), STAMPS["elm"])
        # The owner of all the others may not read the audit log, and the platform may.
        is_log = each.schema == audit_schema.SCHEMA
        with (
            suppress(DatabaseError),
            leaks.at("platform"),
            connections[DEFAULT_DB_ALIAS if is_log else settings.DDL_DATABASE].cursor() as cursor,
        ):
            cursor.execute(statement.as_string(None))
            if cursor.fetchall() == [(True,)]:
                found.append(str(each))
    if found:
        _leaked_list("Elm's canary is stored outside its schema", found)


def _leaked_list(what: str, found: Any) -> None:
    leaked(f"{what}: {', '.join(sorted(map(str, found))[:8])}.")
