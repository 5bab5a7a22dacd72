"""PostgreSQL's own answer to who may do what, for every table that the catalogue knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import ProgrammingError, connection, connections, transaction
from django.test import Client
from django.urls import reverse
from psycopg import sql

from apps.accounts.models import User
from tenancy import audit_schema, context, roles, router
from tenancy.conf import settings
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tenancy.testing.leaks import catalogue
from tenancy.testing.leaks.catalogue import Relation, Server
from tests.fixtures.clinics import PASSWORD
from tests.isolation.verdicts import INSUFFICIENT_PRIVILEGE, UNDEFINED_TABLE, sqlstate_of

# EXPLAIN asks for the privileges of a statement and does nothing of it. Each needs one
# privilege only, so that no other's absence answers for it.
STATEMENTS = {
    "SELECT": "EXPLAIN SELECT FROM {table}",
    "INSERT": "EXPLAIN INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "EXPLAIN UPDATE {table} SET {column} = DEFAULT",
    "DELETE": "EXPLAIN DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table}",
    "LOCK": "LOCK TABLE {table} IN ACCESS SHARE MODE",
}

# Of the audit log everybody reads what row-level security leaves them, and nothing else.
EVENTS = ("audit", "event", "SELECT")

COLUMN = """
    SELECT attname
      FROM pg_catalog.pg_attribute
     WHERE attrelid = %s::regclass
       AND attnum = 1
"""


@pytest.fixture
def clinics(elm: Organization, oak: Organization) -> list[Organization]:
    return [elm, oak]


@pytest.fixture
def role(database: str) -> Callable[[str], str]:
    """A function that returns the name of one of the database's roles."""
    return lambda suffix: roles.name(database, suffix)


def _run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def _verdict(server: Server, verb: str, table: Relation, run: Callable[[str], Any] = _run) -> str:
    (column,) = server.execute(COLUMN, [str(table)]).fetchone()
    return sqlstate_of(run, STATEMENTS[verb].format(table=table, column=f'"{column}"'))


def _list_tables_of(models: list[Any]) -> set[str]:
    return {model._meta.db_table for model in models}


class TestWhereTablesAre:
    def test_every_model_belongs_somewhere(self):
        """
        A model that is neither shared nor the tenants' would escape every test here.
        """
        known = router.list_models(shared=True, tenants=True)

        homeless = [
            model._meta.label
            for model in apps.get_models(include_auto_created=True)
            if model._meta.managed and model not in known
        ]

        assert homeless == []

    def test_no_clinics_table_is_in_public(self, clinics: Any, superuser: Server):
        shared = _list_tables_of(router.list_models(shared=True))
        tenants = _list_tables_of(router.list_models(tenants=True))
        public = {table.name for table in catalogue.list_tables(superuser, "public")}

        assert public & (tenants - shared) == set()
        assert public >= shared

    def test_no_table_that_is_only_shared_is_in_a_clinics_schema(
        self, clinics: list[Organization], superuser: Server
    ):
        shared = _list_tables_of(router.list_models(shared=True))
        tenants = _list_tables_of(router.list_models(tenants=True))

        for clinic in clinics:
            own = {table.name for table in catalogue.list_tables(superuser, clinic.schema_name)}
            assert own & (shared - tenants) == set()
            assert own >= tenants

    def test_no_foreign_key_leaves_its_schema(self, clinics: Any, superuser: Server):
        assert superuser.execute(catalogue.FOREIGN_KEYS_OUT_OF_THEIR_SCHEMA).fetchall() == []


class TestOwner:
    def test_of_every_schema_but_the_audit_log_is_the_ddl_role(
        self, clinics: Any, superuser: Server, role: Callable[[str], str]
    ):
        owners = dict(superuser.execute(catalogue.SCHEMAS).fetchall())

        assert owners.pop("audit") == role("audit")
        assert owners == dict.fromkeys(owners, role("ddl"))

    def test_of_every_table_index_and_sequence_is_the_ddl_role(
        self, clinics: Any, superuser: Server, role: Callable[[str], str]
    ):
        relations = catalogue.list_relations(superuser)

        owners = {(each.schema == audit_schema.SCHEMA, each.owner) for each in relations}
        assert owners == {(False, role("ddl")), (True, role("audit"))}
        assert {each.schema for each in relations} >= {"public", *(c.schema_name for c in clinics)}


class TestGrants:
    @pytest.fixture
    def grants(self, clinics: Any, superuser: Server) -> list[tuple[str, str, str]]:
        return superuser.execute(catalogue.GRANTS).fetchall()

    def test_give_nothing_to_public(self, grants: list[tuple[str, str, str]]):
        assert [grant for grant in grants if grant[1] == "PUBLIC"] == []

    def test_give_the_logins_nothing_but_to_connect(
        self, grants: list[tuple[str, str, str]], role: Callable[[str], str]
    ):
        logins = {role("app"), role("ddl_login")}

        assert {(grantee, right) for _, grantee, right in grants if grantee in logins} == {
            (login, "CONNECT") for login in logins
        }

    def test_are_made_to_roles_of_this_database_only(
        self, grants: list[tuple[str, str, str]], database: str
    ):
        strangers = {grantee for _, grantee, _ in grants if not grantee.startswith(f"{database}_")}

        assert strangers <= {"PUBLIC"}

    def test_of_a_function_made_tomorrow_leave_public_out(
        self, clinics: list[Organization], committed: None, superuser: Server
    ):
        """
        PostgreSQL lets everybody execute a new function unless told otherwise.
        """
        question = """
            SELECT pg_get_userbyid(grantee)
              FROM pg_catalog.pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
             WHERE proname = 'made_tomorrow'
               AND grantee = 0
        """
        for target in (clinics[0].as_active(), context.PLATFORM):
            with context.override(target), transaction.atomic(using="ddl"):
                with connections["ddl"].cursor() as cursor:
                    cursor.execute(
                        "CREATE FUNCTION made_tomorrow() RETURNS int LANGUAGE sql AS 'SELECT 1'"
                    )
                    cursor.execute(question)
                    open_to_public = cursor.fetchall()
                transaction.set_rollback(True, using="ddl")

            assert open_to_public == []

    def test_leave_no_function_that_its_caller_could_hijack(self, clinics: Any, superuser: Server):
        assert superuser.execute(catalogue.HIJACKABLE_FUNCTIONS).fetchall() == []


class TestRoles:
    def test_have_no_power_but_the_owners_to_make_roles(
        self, clinics: Any, superuser: Server, database: str, role: Callable[[str], str]
    ):
        rows = superuser.execute(catalogue.ROLES, {"prefix": f"{database}_"}).fetchall()

        assert {name for name, is_powerful, _, _ in rows if is_powerful} == {role("ddl")}

    def test_that_log_in_are_two_and_inherit_nothing(
        self, clinics: Any, superuser: Server, database: str, role: Callable[[str], str]
    ):
        rows = superuser.execute(catalogue.ROLES, {"prefix": f"{database}_"}).fetchall()

        logins = {(name, inherits) for name, _, may_log_in, inherits in rows if may_log_in}
        assert logins == {(role("app"), False), (role("ddl_login"), False)}

    def test_of_clinics_belong_to_the_tenants_group_and_to_no_other(
        self,
        clinics: list[Organization],
        superuser: Server,
        database: str,
        role: Callable[[str], str],
    ):
        rows = superuser.execute(catalogue.MEMBERSHIPS, {"prefix": f"{database}_"}).fetchall()

        for clinic in clinics:
            member = role(clinic.schema_name)
            assert {group for name, group in rows if name == member} == {role("tenants")}

    def test_that_the_application_may_become_are_the_platforms_and_the_clinics(
        self, superuser: Server, clinics: Any, database: str, role: Callable[[str], str]
    ):
        rows = superuser.execute(catalogue.MEMBERSHIPS, {"prefix": f"{database}_"}).fetchall()
        schemas = [name for name, _ in superuser.execute(catalogue.SCHEMAS).fetchall()]

        clinics_roles = {role(name) for name in schemas if name not in ("public", "audit")}
        allowed = {group for name, group in rows if name == role("app")}
        assert allowed == {role("platform"), *clinics_roles}

    def test_that_own_are_out_of_the_applications_reach(
        self, bare_login: psycopg.Connection[Any], role: Callable[[str], str]
    ):
        codes = {
            suffix: sqlstate_of(bare_login.execute, f'SET ROLE "{role(suffix)}"')
            for suffix in ("ddl", "ddl_login", "audit")
        }

        assert set(codes.values()) == {INSUFFICIENT_PRIVILEGE}, codes


class TestClinicsRole:
    @pytest.fixture
    def at_elm(self, clinics: Any, elm: Organization, committed: None) -> Iterator[Organization]:
        with context.override(elm.as_active()):
            yield elm

    @pytest.mark.parametrize("verb", STATEMENTS)
    def test_is_refused_every_table_of_public(
        self, verb: str, at_elm: Organization, superuser: Server
    ):
        """
        Unless it declares itself readable, and then only to read.
        """
        readable = settings.READABLE_TABLES if verb in ("SELECT", "LOCK") else ()
        tables = [
            table
            for table in catalogue.list_tables(superuser, "public")
            if table.name not in readable
        ]

        verdicts = {table.name: _verdict(superuser, verb, table) for table in tables}

        assert verdicts == dict.fromkeys(verdicts, INSUFFICIENT_PRIVILEGE)
        assert len(verdicts) >= len(router.list_models(shared=True)) - len(readable)

    @pytest.mark.parametrize("verb", STATEMENTS)
    def test_is_refused_every_table_of_another_clinic(
        self, verb: str, at_elm: Organization, oak: Organization, superuser: Server
    ):
        tables = catalogue.list_tables(superuser, oak.schema_name)

        verdicts = {table.name: _verdict(superuser, verb, table) for table in tables}

        assert verdicts == dict.fromkeys(verdicts, INSUFFICIENT_PRIVILEGE)
        assert len(verdicts) >= len(router.list_models(tenants=True))

    @pytest.mark.parametrize("verb", ["SELECT", "INSERT", "UPDATE", "DELETE"])
    def test_is_allowed_every_table_of_its_own(
        self, verb: str, at_elm: Organization, superuser: Server
    ):
        """
        What is refused elsewhere is a good statement: here it is allowed.
        """
        tables = catalogue.list_tables(superuser, at_elm.schema_name)

        verdicts = {table.name: _verdict(superuser, verb, table) for table in tables}

        assert verdicts == dict.fromkeys(verdicts, "not refused")

    def test_reaches_its_schema_and_what_is_declared_readable(
        self, clinics: list[Organization], superuser: Server, role: Callable[[str], str]
    ):
        """
        The catalogue's word for both clinics: no privilege of any kind on anything else,
        columns and sequences included. Of the audit log each reads its own part, see
        test_audit.py.
        """
        declared = {("public", name, "SELECT") for name in settings.READABLE_TABLES}
        declared.add(EVENTS)

        for clinic in clinics:
            reached = catalogue.list_reachable(superuser, role(clinic.schema_name))
            elsewhere = {each for each in reached if each[0] != clinic.schema_name}
            assert elsewhere == declared
            assert {right for _, _, right in reached} == {
                "SELECT", "INSERT", "UPDATE", "DELETE", "USAGE",
            }  # fmt: skip

    def test_makes_nothing_in_any_schema(
        self, clinics: list[Organization], superuser: Server, role: Callable[[str], str]
    ):
        for clinic in clinics:
            rights = catalogue.list_schema_rights(superuser, role(clinic.schema_name))
            assert rights == {
                (schema, "USAGE") for schema in ("public", "audit", clinic.schema_name)
            }

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TEMPORARY TABLE accounts_user (id int)",
            "CREATE TABLE accounts_stolen (id int)",
            "CREATE SCHEMA stolen",
            "CREATE FUNCTION pg_temp.stolen() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP TABLE django_session",
            "ALTER TABLE django_session ADD COLUMN stolen int",
            "CREATE ROLE stolen",
        ],
    )
    def test_defines_nothing(self, statement: str, at_elm: Organization):
        """
        A temporary table would be found before the clinic's own by whoever comes next.
        """
        assert sqlstate_of(_run, statement) == INSUFFICIENT_PRIVILEGE

    def test_sees_no_statistics_of_another_clinics_columns(
        self, at_elm: Organization, oak: Organization, superuser: Server
    ):
        """
        PostgreSQL keeps the most common values of a column: names, numbers, birth dates.
        """
        superuser.execute(f'ANALYZE "{oak.schema_name}".auth_group')
        question = "SELECT count(*) FROM pg_catalog.pg_stats WHERE schemaname = %s"

        with connection.cursor() as cursor:
            cursor.execute(question, [oak.schema_name])
            seen = cursor.fetchone()

        assert superuser.execute(question, [oak.schema_name]).fetchone() != (0,)
        assert seen == (0,)

    def test_sees_no_statement_of_another_session(self, at_elm: Organization, superuser: Server):
        question = """
            SELECT count(*)
              FROM pg_catalog.pg_stat_activity
             WHERE pid <> pg_backend_pid()
               AND datname = current_database()
               AND query <> '<insufficient privilege>'
        """

        with connection.cursor() as cursor:
            cursor.execute(question)
            seen = cursor.fetchone()

        assert superuser.execute(question).fetchone() != (0,)
        assert seen == (0,)


class TestPlatformsRole:
    def test_reaches_public_and_no_clinics_schema(
        self, clinics: Any, superuser: Server, role: Callable[[str], str]
    ):
        reached = catalogue.list_reachable(superuser, role("platform"))

        assert {each for each in reached if each[0] != "public"} == {EVENTS}
        rights = catalogue.list_schema_rights(superuser, role("platform"))
        assert rights == {("public", "USAGE"), ("audit", "USAGE")}


class TestTenantsGroup:
    def test_reaches_what_is_declared_readable(
        self, clinics: Any, superuser: Server, role: Callable[[str], str]
    ):
        reached = catalogue.list_reachable(superuser, role("tenants"))

        declared = {("public", name, "SELECT") for name in settings.READABLE_TABLES}
        assert reached == {*declared, EVENTS}


class TestBareLogin:
    """What the logins may do when a statement arrives without its binding."""

    @pytest.mark.parametrize("verb", STATEMENTS)
    def test_of_the_application_is_refused_every_table_of_every_schema(
        self,
        verb: str,
        clinics: list[Organization],
        superuser: Server,
        bare_login: psycopg.Connection[Any],
    ):
        tables = [each for each in catalogue.list_relations(superuser) if each.is_table]

        def run(statement: str) -> None:
            with bare_login.transaction():
                bare_login.execute(statement.encode())

        verdicts = {str(table): _verdict(superuser, verb, table, run) for table in tables}

        assert verdicts == dict.fromkeys(verdicts, INSUFFICIENT_PRIVILEGE)
        assert {table.schema for table in tables} >= {"public", *(c.schema_name for c in clinics)}

    @pytest.mark.parametrize("login", ["app", "ddl_login"])
    def test_reaches_nothing(
        self, login: str, clinics: Any, superuser: Server, role: Callable[[str], str]
    ):
        assert catalogue.list_reachable(superuser, role(login)) == set()
        assert catalogue.list_schema_rights(superuser, role(login)) == set()

    def test_finds_no_table_by_its_plain_name(
        self, clinics: Any, bare_login: psycopg.Connection[Any]
    ):
        codes = {
            model._meta.label: sqlstate_of(
                bare_login.execute, f'SELECT FROM "{model._meta.db_table}"'
            )
            for model in router.list_models(shared=True, tenants=True)
        }

        assert set(codes.values()) == {UNDEFINED_TABLE}, codes

    def test_makes_no_temporary_table(self, bare_login: psycopg.Connection[Any]):
        statement = "CREATE TEMPORARY TABLE accounts_user (id int)"

        assert sqlstate_of(bare_login.execute, statement) == INSUFFICIENT_PRIVILEGE


class TestMissingTable:
    """
    A table that a clinic has lost is not answered from public, where one has its name.
    """

    @pytest.fixture
    def shell(self, scratch: Callable[[str], Organization], superuser: Server) -> Organization:
        """A clinic that has lost every table of which public has one too."""
        clinic = scratch("shell")
        in_both = [model for model in router.list_models(tenants=True) if router.is_shared(model)]
        for model in in_both:
            statement = sql.SQL("ALTER TABLE {}.{} RENAME TO {}").format(
                sql.Identifier(clinic.schema_name),
                sql.Identifier(model._meta.db_table),
                sql.Identifier(f"lost_{model._meta.db_table}"),
            )
            superuser.execute(statement)
        return clinic

    def test_is_refused_for_every_table_that_public_has_too(self, shell: Organization):
        in_both = [m for m in router.list_models(tenants=True) if router.is_shared(m)]

        with context.override(shell.as_active()):
            codes = {model._meta.label: sqlstate_of(model._base_manager.count) for model in in_both}

        assert codes == dict.fromkeys(codes, INSUFFICIENT_PRIVILEGE)

    @pytest.fixture
    def operator(self, committed: None) -> Iterator[User]:
        """A superuser of the platform."""
        with context.override(context.PLATFORM):
            operator = User.objects.create_superuser("operator.of.all", password=PASSWORD)
        yield operator
        with context.override(context.PLATFORM):
            Session.objects.all().delete()
            operator.delete()

    def test_does_not_sign_an_operator_in_at_a_clinic(
        self, shell: Organization, operator: User, platform_client: Client
    ):
        """
        The operator's name and password are good ones: the base domain takes them.
        """
        words = {"username": operator.username, "password": PASSWORD}
        client = TenantClient(shell)

        with pytest.raises(ProgrammingError, match="permission denied") as refused:
            client.post(reverse("accounts:sign_in"), words)

        assert refused.value.__cause__.sqlstate == INSUFFICIENT_PRIVILEGE
        assert client.cookies.get("sessionid") is None
        assert platform_client.post(reverse("accounts:sign_in"), words).status_code == 302
