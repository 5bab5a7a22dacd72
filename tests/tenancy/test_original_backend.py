"""Another wrapper of Django's may stand below ours: ORIGINAL_BACKEND is django-tenants' setting."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tenancy.models import Organization

# The wrapper is chosen at import, so this needs a process of its own.
SCRIPT = """
import json
import django

django.setup()

from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from prometheus_client import REGISTRY
from tenancy import context
from tenancy.context import ActiveTenant
from tenancy.errors import NoActiveTenant


def where():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return cursor.fetchone()[0]


def count(name):
    labels = {"alias": "default", "vendor": "postgresql"}
    return REGISTRY.get_sample_value(name, labels) or 0


def work():
    Group.objects.count()
    list(Group.objects.iterator())
    found = [where()]
    with connection.cursor() as cursor:
        cursor.executemany("SELECT %s", [[1], [2]])
        with cursor.copy("COPY (SELECT current_schema()) TO STDOUT") as copy:
            found += [row.decode().strip() for row in map(bytes, copy)]
    with transaction.atomic():
        found.append(where())
    return found


answers = {}
for schema in ("tenant_elm", "tenant_oak"):
    with context.override(ActiveTenant(None, schema)):
        answers[schema] = work()
try:
    where()
except NoActiveTenant:
    answers["nobody"] = "refused"
answers["executed"] = count("django_db_execute_total")
answers["in bulk"] = count("django_db_execute_many_total")
answers["connections"] = count("django_db_new_connections_total")
answers["wrapper"] = [each.__module__ for each in type(connections["default"]).__mro__]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(elm: Organization, oak: Organization) -> dict[str, object]:
    environment = {"DJANGO_SETTINGS_MODULE": "tests.tenancy.settings_with_prometheus"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, object] = json.loads(done.stdout)
    return answers


class TestDjangoPrometheus:
    def test_stands_below_ours(self, answers: dict[str, object]) -> None:
        assert "django_prometheus.db.backends.postgresql.base" in answers["wrapper"]

    def test_leaves_each_statement_to_its_tenant(self, answers: dict[str, object]) -> None:
        assert answers["tenant_elm"] == ["tenant_elm"] * 3
        assert answers["tenant_oak"] == ["tenant_oak"] * 3
        assert answers["nobody"] == "refused"

    def test_counts_what_a_project_executed(self, answers: dict[str, object]) -> None:
        """
        For each of two clinics four statements and two in bulk; the binding is none.
        """
        assert answers["connections"] == 1
        assert answers["in bulk"] == 4
        assert answers["executed"] == 2 * (4 + 2)
