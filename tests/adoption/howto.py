"""
docs/howto/from-django-tenants.md, followed on a project that was made as django-tenants says.

What the page shows is what is done: its diffs are applied, its files written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.fixtures import servers

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "howto" / "from-django-tenants.md"
SAMPLE = Path(__file__).parent / "sample"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FORMER = "former"

# What a project has before it meets us: a platform and two shops, with data.
FILL = """
from customers.models import Client, Domain
from django.contrib.auth.models import User
from django_tenants.utils import tenant_context
from orders.models import Order

for schema, host in (
    ("public", "localhost"), ("north", "north.localhost"), ("South-2", "south.localhost")
):
    client = Client(schema_name=schema, name=schema.title(), paid_until="2030-01-01")
    client.save(verbosity=0)
    Domain.objects.create(domain=host, tenant=client)
    if schema != "public":
        with tenant_context(client):
            clerk = User.objects.create(username=f"clerk of {schema}")
            Order.objects.create(title=f"Order of {schema}", taken_by=clerk)
"""


@dataclass
class Shop:
    """The sample project in `folder`, with a database of its own."""

    folder: Path
    database: str = field(default_factory=lambda: f"{servers.database_name()}_shop")
    port: str | None = None
    """A pooler's, for the application's address."""
    said: dict[str, str] = field(default_factory=dict)
    """What the commands said with which it was adopted."""

    def make(self, more_settings: str = "") -> None:
        """Make the project and its database with stock django-tenants, and what is in it."""
        shutil.copytree(SAMPLE, self.folder)
        self.add_to_settings(more_settings)
        self.drop()
        with _superuser() as server:
            login = sql.Identifier(f"{self.database}_{FORMER}")
            database = sql.Identifier(self.database)
            password = sql.Literal(servers.PASSWORD)
            make_role = "CREATE ROLE {} LOGIN CREATEDB PASSWORD {}"
            server.execute(sql.SQL(make_role).format(login, password))
            server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, login))
        self.manage("migrate_schemas", "--shared")
        self.manage("shell", "-c", FILL)

    def drop(self) -> None:
        """Drop the database, that of its own tests, and all roles."""
        with _superuser() as server:
            for name in (self.database, f"test_{self.database}"):
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                server.execute(drop.format(sql.Identifier(name)))
            roles = "SELECT rolname FROM pg_catalog.pg_roles WHERE starts_with(rolname, %s)"
            for (role,) in server.execute(roles, [f"{self.database}_"]).fetchall():
                server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    def follow_page(self) -> None:
        """Change the project as the page shows."""
        for language, text in BLOCK.findall(PAGE.read_text()):
            if language == "diff":
                self._apply(text)
            elif language == "python" and (named := re.match(r"# (\S+\.py)\n", text)):
                (self.folder / named[1]).write_text(text)
        # The page's project is called shop, and so are its logins.
        settings = self.folder / "shop" / "settings.py"
        settings.write_text(settings.read_text().replace('"shop_', f'"{self.database}_'))

    def add_to_settings(self, text: str) -> None:
        with (self.folder / "shop" / "settings.py").open("a") as settings:
            settings.write(text)

    def _apply(self, diff: str) -> None:
        subprocess.run(
            ["git", "apply", "--unidiff-zero", "-"],
            cwd=self.folder,
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(self.folder.parent)},
            input=diff,
            text=True,
            check=True,
        )

    def manage(self, *arguments: str, fails: bool = False, settings: str = "shop.settings") -> str:
        """Run a command of the project, and return what it said."""
        done = self.run("manage.py", *arguments, settings=settings)
        said = done.stdout + done.stderr
        assert bool(done.returncode) is fails, said
        return said

    def run(
        self, *arguments: str, settings: str = "shop.settings"
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment() | {"DJANGO_SETTINGS_MODULE": settings},
            capture_output=True,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        server = urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
        return os.environ | {
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "SHOP_DATABASE": self.database,
            "SHOP_USER": f"{self.database}_{FORMER}",
            "SHOP_FORMER_USER": f"{self.database}_{FORMER}",
            "SHOP_FORMER_PASSWORD": servers.PASSWORD,
            "SHOP_PASSWORD": servers.PASSWORD,
            "SHOP_DDL_PASSWORD": servers.PASSWORD,
            "SHOP_HOST": server.hostname or "",
            "SHOP_PORT": self.port or str(server.port),
            "SHOP_DDL_PORT": str(server.port),
        }

    def ask(self, *addresses: str) -> dict[str, tuple[int, Any]]:
        """Return the status of each `host/path` and its JSON."""
        done = self.run(str(Path(__file__).parent / "asking.py"), *addresses)
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        return {address: (status, body) for address, (status, body) in answers.items()}

    def query(self, statement: str, *parameters: object) -> list[Any]:
        """Return the first column of what a superuser reads in the project's database."""
        with self.superuser() as server:
            return [row[0] for row in server.execute(statement, parameters).fetchall()]

    def superuser(self) -> psycopg.Connection[Any]:
        """Return a superuser's connection to the project's database."""
        return psycopg.connect(self.superuser_url(), autocommit=True)

    def superuser_url(self, user: str | None = None) -> str:
        """Return the address of a superuser, or of `user`, in the project's database."""
        server = urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
        if user is not None:
            netloc = f"{user}:{servers.PASSWORD}@{server.hostname}:{server.port}"
            server = server._replace(netloc=netloc)
        return urlunsplit(server._replace(path=f"/{self.database}"))


def _superuser() -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True)
