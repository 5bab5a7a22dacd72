"""`manage.py sqlroles`: the SQL that makes a database's roles and its audit log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from tenancy import roles, schemas
from tenancy.conf import settings


class Command(BaseCommand):
    help = (
        "Print the SQL that makes the roles of the database and its audit log, with the logins "
        "and passwords that DATABASES has. Nothing is connected to: a superuser runs it in the "
        "database, which exists already, before the first migration, and again at any time: it "
        "repairs what was changed. The passwords are in it. "
        'Example: sqlroles | psql --set=ON_ERROR_STOP=1 "$SUPERUSER_URL"'
    )
    # They ask the server, where these roles are not yet.
    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        owner = settings.DDL_DATABASE
        if owner not in connections:
            raise CommandError(
                f"There is no address of the owner, whose login is made too: DATABASES[{owner!r}] "
                "is missing."
            )
        # Direct, while a pooler may give the application's database another name.
        prefix = schemas.role_prefix(connections[owner])
        script = roles.bootstrap_sql(
            database=connections[owner].settings_dict["NAME"],
            app_password=_password(DEFAULT_DB_ALIAS, login=roles.name(prefix, "app")),
            ddl_password=_password(owner, login=roles.name(prefix, "ddl_login")),
            prefix=prefix,
        )
        self.stdout.write(script)


def _password(alias: str, *, login: str) -> str:
    """Return the password of `login`, or raise CommandError where `alias` is another's address."""
    address = connections[alias].settings_dict
    if address["USER"] != login:
        raise CommandError(
            f"DATABASES[{alias!r}] logs in as {address['USER']!r}; the role that is made for it "
            f"is {login!r}. Name that one in the address."
        )
    if not address["PASSWORD"]:
        raise CommandError(f"DATABASES[{alias!r}] has no password for {login!r}; give it one.")
    return str(address["PASSWORD"])
