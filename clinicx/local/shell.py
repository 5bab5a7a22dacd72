"""
How is the database entered by hand, as the platform or as one clinic?
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from clinicx.local import postgres, stack
from clinicx.local.errors import LocalStackError
from tenancy import roles

LIST_SCHEMAS = """
    SELECT slug, schema_name
      FROM public.tenancy_organization
     WHERE state NOT IN ('requested', 'provisioning', 'deleting', 'deleted')
     ORDER BY slug
"""


def open_psql(folder: Path, *, clinic: str | None) -> int:
    """
    Open psql with the rights and the path that a request at `clinic` has.

    Without a clinic: those of the platform, which sees no clinic's rows. Return its status.
    """
    with stack.borrowed_servers(folder) as variables:
        address = urlsplit(variables["DATABASE_URL"])
        schemas = _schemas(address)
        if clinic is None:
            return _psql(address, role="platform", schema="public").returncode
        if clinic not in schemas:
            known = ", ".join(schemas) or "none yet"
            raise LocalStackError(f"There is no clinic {clinic!r}. There are: {known}.")
        return _psql(address, role=schemas[clinic], schema=schemas[clinic]).returncode


def _schemas(address: SplitResult) -> dict[str, str]:
    asked = _psql(
        address, "-At", "--field-separator= ", "-c", LIST_SCHEMAS,
        role="platform", schema="public", stdout=subprocess.PIPE,
    )  # fmt: skip
    if asked.returncode != 0:
        raise LocalStackError("The clinics cannot be listed; is the database migrated?")
    return dict(line.split() for line in asked.stdout.splitlines())


def _psql(
    address: SplitResult, *arguments: str, role: str, schema: str, stdout: int | None = None
) -> subprocess.CompletedProcess[str]:
    database = address.path.lstrip("/")
    options = f"-c role={roles.name(database, role)} -c search_path={schema},public"
    return subprocess.run(
        [
            *(str(postgres.find(flavour=None).folder / "psql"), "-h", address.hostname or ""),
            *("-p", str(address.port or 5432), "-U", address.username or "", "-d", database),
            *arguments,
        ],
        env=os.environ | {"PGPASSWORD": unquote(address.password or ""), "PGOPTIONS": options},
        stdout=stdout,
        text=True,
    )
