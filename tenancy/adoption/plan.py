"""
What would be done to give the schemas of an existing database their roles?
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.conf import settings as django_settings
from django.db import DEFAULT_DB_ALIAS
from django_tenants.utils import get_tenant_model
from psycopg import sql

from tenancy import names, roles
from tenancy.adoption import catalogue
from tenancy.adoption.catalogue import Server, State, Thing
from tenancy.conf import settings
from tenancy.errors import InvalidName, UnableToAdopt
from tenancy.names import PUBLIC_SCHEMA

# Of a long list people read the beginning.
SHOWN = 5


@dataclass(frozen=True)
class Step:
    """What one schema lacks."""

    schema: str
    state: State
    to_hand_over: list[Thing]

    @property
    def is_done(self) -> bool:
        return self.state.is_granted and not self.to_hand_over

    def __str__(self) -> str:
        if self.is_done:
            return "nothing"
        counts = Counter(thing.kind.lower() for thing in self.to_hand_over)
        parts = [f"{count} {kind}{'s' * (count != 1)}" for kind, count in sorted(counts.items())]
        made = [] if self.state.has_role or self.schema == PUBLIC_SCHEMA else ["make its role"]
        owned = [f"hand over {', '.join(parts)}"] if parts else []
        return "; ".join([*made, *owned, "grant"])


@dataclass
class Plan:
    """What is to be done, what stands in the way, and what somebody should know."""

    prefix: str
    former_owners: list[str]
    steps: list[Step]
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def public(self) -> Step:
        return next(step for step in self.steps if step.schema == PUBLIC_SCHEMA)

    @property
    def tenants(self) -> list[Step]:
        return [step for step in self.steps if step.schema != PUBLIC_SCHEMA]

    @property
    def owner(self) -> str:
        return roles.name(self.prefix, "ddl")


def database_name() -> str:
    return str(django_settings.DATABASES[DEFAULT_DB_ALIAS]["NAME"])


def connect(superuser_url: str) -> Server:
    """Return a connection to the project's database, or raise UnableToAdopt saying what to type."""
    try:
        server = psycopg.connect(superuser_url, dbname=database_name(), autocommit=True)
    except psycopg.Error as error:
        raise UnableToAdopt(
            f"{database_name()!r} could not be entered: {str(error).strip()}. Give a superuser's "
            "address: --superuser-url postgres://postgres:PASSWORD@HOST/postgres"
        ) from error
    (is_superuser,) = server.execute(catalogue.IS_SUPERUSER).fetchone() or (False,)
    if not is_superuser:
        server.close()
        raise UnableToAdopt(
            "The login of --superuser-url is no superuser, and only one can make roles that own "
            "what was another's."
        )
    return server


def make(server: Server) -> Plan:
    """Look at everything, and change nothing."""
    table = get_tenant_model()._meta.db_table
    if not catalogue.column(server, catalogue.TABLE_EXISTS, table=table)[0]:
        raise UnableToAdopt(
            f"{database_name()!r} has no table public.{table}, so there is nothing to adopt. A new "
            "database gets its roles from tenancy.roles.bootstrap_sql()."
        )
    prefix = settings.ROLE_PREFIX or database_name()
    wanted = _tenants_schemas(server, table)
    states = catalogue.states(server, prefix, [PUBLIC_SCHEMA, *wanted])
    things = catalogue.list_things(server, states)
    owner = roles.name(prefix, "ddl")
    plan = Plan(
        prefix=prefix,
        former_owners=_former_owners(server, table, owner),
        steps=[
            Step(name, state, [t for t in things if t.schema == name and t.owner != owner])
            for name, state in sorted(states.items(), key=lambda each: each[0] != PUBLIC_SCHEMA)
        ],
    )
    plan.problems += _logins_problems(prefix)
    plan.problems += _names_problems(prefix, states)
    plan.problems += _strangers(server, plan)
    plan.problems += [
        f"{schema!r} has {what}, which is not understood here. Move it out of the schema, for "
        "example with ALTER EXTENSION ... SET SCHEMA public, or drop it."
        for schema, what in catalogue.list_curiosities(server, states)
    ]
    plan.warnings += _warnings(server, plan, wanted)
    return plan


def _tenants_schemas(server: Server, table: str) -> list[str]:
    query = sql.SQL("SELECT schema_name FROM public.{} ORDER BY schema_name")
    rows = server.execute(query.format(sql.Identifier(table))).fetchall()
    return [name for (name,) in rows if name != PUBLIC_SCHEMA]


def _former_owners(server: Server, table: str, owner: str) -> list[str]:
    """Return who owned the project's tables before, also once they are handed over."""
    found = catalogue.column(server, catalogue.OWNER_OF_TABLE, table=table)
    found += catalogue.column(server, catalogue.MEMBERS, role=owner)
    ours = {owner, f"{owner}_login"}
    return sorted({name for name in found if name not in ours})


def _logins_problems(prefix: str) -> list[str]:
    """The logins are made with the passwords that the project is about to use."""
    problems = []
    for alias, suffix in ((DEFAULT_DB_ALIAS, "app"), (settings.DDL_DATABASE, "ddl_login")):
        login = roles.name(prefix, suffix)
        address: dict[str, Any] = django_settings.DATABASES.get(alias, {})
        if address.get("USER") != login or not address.get("PASSWORD"):
            problems.append(
                f"DATABASES[{alias!r}] logs in as {address.get('USER', '')!r}. Set its 'USER' to "
                f"{login!r} and its 'PASSWORD' to one that the login is to get."
            )
    return problems


def _names_problems(prefix: str, states: dict[str, State]) -> list[str]:
    problems = []
    for name in states:
        if name == PUBLIC_SCHEMA:
            continue
        try:
            names.check_role(roles.name(prefix, name), schema=name)
        except InvalidName as error:
            problems.append(f"{error} Before: manage.py rename_schema, still with django-tenants.")
    return problems


def _strangers(server: Server, plan: Plan) -> list[str]:
    known = {*plan.former_owners, *catalogue.column(server, catalogue.SUPERUSERS)}
    strange = [t for step in plan.steps for t in step.to_hand_over if t.owner not in known]
    problems = [
        f"{thing.kind} {thing.name} belongs to {thing.owner!r}, who owns no other of the project's "
        f"tables. If it is the project's: ALTER {thing.kind} {thing.name} OWNER TO "
        f"{sql.Identifier(plan.former_owners[0] if plan.former_owners else plan.owner).as_string()}"
        for thing in strange[:SHOWN]
    ]
    if len(strange) > SHOWN:
        problems.append(f"... and {len(strange) - SHOWN} more that belong to others.")
    return problems


def _warnings(server: Server, plan: Plan, wanted: list[str]) -> list[str]:
    there = {step.schema for step in plan.steps}
    warnings = [
        f"The tenant of {name!r} has no schema. Afterwards: manage.py create_missing_schemas"
        for name in wanted
        if name not in there
    ]
    others = catalogue.column(server, catalogue.OTHER_SCHEMAS, schemas=list(there))
    if others:
        warnings.append(
            f"No tenant has {_some(others)}: left as {_it(others)}. No role of ours can read "
            f"{'it' if len(others) == 1 else 'them'}, PG_EXTRA_SEARCH_PATHS excepted."
        )
    grantees = catalogue.column(
        server,
        catalogue.OTHER_GRANTEES,
        schemas=list(there),
        prefix=plan.prefix,
        owners=plan.former_owners,
    )
    if grantees:
        warnings.append(
            f"{_some(grantees)} may read or write here too, and keep{'s' * (len(grantees) == 1)} "
            f"that. To let them connect: GRANT CONNECT ON DATABASE {database_name()} TO ..."
        )
    return warnings


def _some(found: list[str]) -> str:
    shown = ", ".join(map(repr, found[:SHOWN]))
    return shown if len(found) <= SHOWN else f"{shown} and {len(found) - SHOWN} more"


def _it(found: list[str]) -> str:
    return "it is" if len(found) == 1 else "they are"
