"""A line for each statement: for whom and as whom it ran, without what it was about."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from apps.accounts.models import User
from tenancy import context
from tenancy.backend import statements
from tenancy.models import Organization

ROOT = Path(__file__).parent.parent.parent

LINE = re.compile(r"^(?P<whom>.+) as (?P<role>\S+), (?P<outcome>\w+) in \d+\.\d ms: (?P<sql>.+)$")


@pytest.fixture
def lines(
    committed: None, elm: Organization, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[], list[re.Match[str]]]]:
    """A function that returns the lines of statements since the test began; Elm is active."""

    def lines() -> list[re.Match[str]]:
        told = [each.getMessage() for each in caplog.records if each.name == "tenancy.sql"]
        found = [LINE.match(line) for line in told]
        return [match for match in found if match is not None]

    connection.close()
    with caplog.at_level(logging.DEBUG, "tenancy.sql"), context.override(elm.as_active()):
        yield lines
    connection.close()


class TestLine:
    def test_says_for_whom_and_as_whom(
        self, lines: Callable[[], list[re.Match[str]]], oak: Organization
    ) -> None:
        User.objects.filter(username="Maria Rossi").exists()
        with context.override(oak.as_active()), transaction.atomic():
            User.objects.count()
        with context.override(context.PLATFORM):
            User.objects.count()

        name = connection.settings_dict["NAME"]
        assert [(line["whom"], line["role"], line["outcome"]) for line in lines()] == [
            ("elm", f"{name}_tenant_elm", "done"),
            ("oak", f"{name}_tenant_oak", "done"),
            ("the platform", f"{name}_platform", "done"),
        ]

    def test_has_the_statement_without_its_parameters(
        self, lines: Callable[[], list[re.Match[str]]], caplog: pytest.LogCaptureFixture
    ) -> None:
        User.objects.filter(username="Maria Rossi").exists()
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT {} AS {}").format("Maria Rossi", sql.Identifier("who")))
            cursor.execute(b"SELECT 1")
            cursor.executemany("SELECT %s", [("Maria Rossi",)])

        found = [line["sql"] for line in lines()]
        assert 'WHERE "accounts_user"."username" = %s' in found[0]
        assert found[1:] == ['SELECT %s AS "who"', "SELECT 1", "SELECT %s"]
        assert "Rossi" not in caplog.text

    def test_is_there_for_a_statement_that_failed(
        self, lines: Callable[[], list[re.Match[str]]]
    ) -> None:
        with pytest.raises(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

        (line,) = lines()
        assert (line["outcome"], line["sql"]) == ("failed", "SELECT 1 / 0")

    def test_is_written_once_whatever_wraps_the_statement(
        self, lines: Callable[[], list[re.Match[str]]]
    ) -> None:
        def wrapper(execute: Any, *arguments: Any) -> Any:
            return execute(*arguments)

        connection.ensure_connection()
        with connection.execute_wrapper(wrapper):
            User.objects.count()
        connection.close()
        User.objects.count()

        assert len(lines()) == 2


class TestNobodyListening:
    def test_leaves_statements_as_django_has_them(
        self, committed: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """
        Nothing is asked for each statement, and what was put in between is taken out again.
        """
        wrappers = connection.execute_wrappers
        with caplog.at_level(logging.DEBUG, "tenancy.sql"):
            statements.watch(wrappers)
            assert len(wrappers) == 1
        with caplog.at_level(logging.INFO, "tenancy.sql"):
            statements.watch(wrappers)

        assert wrappers == []


class TestClinicX:
    def test_tells_no_parameter_even_when_everything_is_logged(self, elm: Organization) -> None:
        """
        Django's own logger would, were it not kept at INFO.
        """
        done = subprocess.run(
            [
                *(sys.executable, "manage.py", "shell", "--tenant", "elm", "-c"),
                "User.objects.filter(username='Rossi').exists()",
            ],
            cwd=ROOT,
            env=os.environ
            | {
                "DJANGO_SETTINGS_MODULE": "clinicx.settings.dev",
                "SECRET_KEY": "only-for-tests",
                "DEBUG": "True",
                "LOG_LEVEL": "DEBUG",
            },
            capture_output=True,
            text=True,
        )

        assert done.returncode == 0, done.stderr
        assert "DEBUG   tenancy.sql: elm as " in done.stderr
        assert "Rossi" not in done.stdout + done.stderr
