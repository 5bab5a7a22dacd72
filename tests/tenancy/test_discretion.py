"""What a failure says is told as far as it cannot be a patient's data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from clinicx.local import ports
from tenancy import discretion
from tenancy.errors import NoActiveTenant
from tenancy.models import Organization

CANARY = "Rossi"


def raised(work: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is the caller's matter
        work()
    return caught.value


def execute(statement: str, *parameters: object) -> Callable[[], object]:
    def work() -> object:
        with connection.cursor() as cursor:
            return cursor.execute(statement, parameters)

    return work


class TestDescribe:
    @pytest.mark.parametrize(
        ("statement", "told"),
        [
            ("SELECT %s::integer", "DataError: 22P02"),
            ("SELECT 1 / %s::integer WHERE 1 = 2 OR 'Rossi' > ''", "DataError: 22P02"),
            (
                "SELECT nothing FROM patients_patient WHERE family_name = 'Rossi'",
                'ProgrammingError: 42703 column "nothing" does not exist',
            ),
        ],
    )
    def test_says_of_postgresqls_errors_no_value(
        self, in_elm: Organization, statement: str, told: str
    ) -> None:
        parameters = [CANARY] * statement.count("%s")

        assert discretion.describe(raised(execute(statement, *parameters))) == told

    def test_names_the_constraint_and_not_the_row(self, in_elm: Organization) -> None:
        def twice() -> object:
            statement = "INSERT INTO auth_group (name) VALUES (%s), (%s)"
            return execute(statement, CANARY, CANARY)()

        told = discretion.describe(raised(twice))

        assert told == "IntegrityError: 23505 auth_group auth_group_name_key"

    def test_says_why_no_connection_was_made(self) -> None:
        elsewhere = connection.copy()
        # At a port that no other test has found closed: that would be told without asking again.
        elsewhere.settings_dict.update(HOST="127.0.0.1", PORT=str(ports.pick(preferred=0)))

        told = discretion.describe(raised(elsewhere.connect))

        assert told.startswith("OperationalError: connection")
        assert "refused" in told

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (ValueError(CANARY), "ValueError"),
            (KeyError(CANARY), "KeyError"),
            (FileNotFoundError(2, "No such file", f"{CANARY}.pdf"), "FileNotFoundError: 2"),
            (ImproperlyConfigured("Set SECRET_KEY."), "ImproperlyConfigured: Set SECRET_KEY."),
            (NoActiveTenant("Nobody is active."), "NoActiveTenant: Nobody is active."),
        ],
    )
    def test_repeats_only_words_of_programmers(self, error: Exception, told: str) -> None:
        assert discretion.describe(error) == told


class TestFrames:
    def test_say_where_each_error_of_the_chain_was_raised(self) -> None:
        def inner() -> None:
            raise KeyError(CANARY)

        def outer() -> None:
            name = CANARY  # a value of a variable
            try:
                inner()
            except KeyError as error:
                raise ValueError(name) from error

        lines = discretion.frames(raised(outer))

        assert [line.rpartition(" ")[2] for line in lines if ".py:" in line][-1] == "outer"
        assert [line for line in lines if ".py:" not in line] == ["KeyError", "ValueError"]
        assert CANARY not in str(lines)

    def test_are_bounded(self) -> None:
        def again() -> None:
            again()

        assert len(discretion.frames(raised(again))) < 50

    def test_end_where_errors_are_each_others_cause(self) -> None:
        one, other = ValueError(), KeyError()
        one.__cause__, other.__cause__ = other, one

        assert discretion.frames(one) == ["KeyError", "ValueError"]


class TestMessage:
    @pytest.mark.parametrize(
        ("name", "said", "args", "told"),
        [
            ("tenancy.tasks", "Rejected %r: %s", ("t", "why"), "Rejected 't': why"),
            ("redis", "Lost %s after %d tries", (CANARY, 3), "Lost ... after 3 tries"),
            ("redis", "Failed: %s", (ValueError(CANARY),), "Failed: ValueError"),
            ("tenancy", "Failed: %r", (ValueError(CANARY),), "Failed: 'ValueError'"),
            ("redis", "100 %", (CANARY,), "100 %"),
            ("redis", "plain", None, "plain"),
            ("tenancyx", "%s", (CANARY,), "..."),
            ("celery", "%(name)s: %(exc)s", ({"name": "t", "exc": CANARY},), "t: ..."),
        ],
    )
    def test_shows_what_is_filled_in_only_where_it_is_trusted(
        self, name: str, said: str, args: Any, told: str
    ) -> None:
        record = logging.LogRecord(name, logging.INFO, __file__, 1, said, args, None)

        assert discretion.message(record, trusted=("tenancy",)) == told


def test_django_hides_the_row_in_the_cause(in_elm: Organization) -> None:
    """What the other tests rely on: without discretion it would be there."""
    error = raised(execute("INSERT INTO auth_group (name) VALUES (%s), (%s)", CANARY, CANARY))

    assert isinstance(error, DatabaseError)
    assert CANARY in str(error)
