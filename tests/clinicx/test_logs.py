"""A line of the log is one line, in JSON or in words, and has nothing that it may not have."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from clinicx import logs
from tests.clinicx.test_settings import ROOT, check_deploy
from tests.fixtures.pods import COMPLETE

FORMATS = [logs.Json(pod="pod-1"), logs.Line(pod="pod-1")]


def record(name: str, said: Any, *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, __file__, 7, said, args, None)
    vars(made).update(extra)
    return made


@pytest.mark.parametrize("form", FORMATS, ids=["json", "line"])
class TestBoth:
    def test_are_one_line(self, form: logging.Formatter) -> None:
        line = form.format(record("clinicx", "one\ntwo\r\x1b[31m %s", "three\u2028four\x85\x00"))

        assert line.splitlines() == [line]
        assert line.isprintable()

    def test_leave_out_what_a_library_attached(self, form: logging.Formatter) -> None:
        line = form.format(record("library", "said", body="Rossi", request="Rossi", tenant="elm"))

        assert "Rossi" not in line
        assert "elm" in line
        assert "pod-1" in line

    def test_say_of_an_error_what_and_where(self, form: logging.Formatter) -> None:
        try:
            raise ValueError("Rossi")
        except ValueError as error:
            line = form.format(record("any", "failed", exc_info=(ValueError, error, None)))

        assert "ValueError" in line
        assert "test_logs.py" in line
        assert "Rossi" not in line

    @pytest.mark.parametrize(
        ("name", "said", "told"),
        [
            ("django.security.DisallowedHost", "Rossi is no host", "DisallowedHost"),
            ("py.warnings", "/app/models.py:12: RuntimeWarning: Rossi", "models.py:12"),
            ("py.warnings", "Rossi", "a warning"),
            ("any", {"body": "Rossi"}, "..."),
            ("any", ValueError("Rossi"), "ValueError"),
        ],
    )
    def test_hide_what_is_all_data(
        self, form: logging.Formatter, name: str, said: Any, told: str
    ) -> None:
        line = form.format(record(name, said))

        assert told in line
        assert "Rossi" not in line


class TestJson:
    def test_has_the_same_few_fields(self) -> None:
        line = json.loads(logs.Json(pod="pod-1").format(record("clinicx", "said")))

        assert sorted(line) == ["level", "logger", "message", "pod", "time"]
        assert line["time"].endswith("Z")


class TestConsole:
    def test_says_of_what_it_cannot_write_only_that(self) -> None:
        """Logging's own writes the message and its arguments."""
        written = io.StringIO()
        console = logs.Console(written)
        console.setFormatter(logging.Formatter("%(message)s"))

        console.handle(record("any", "%d", "Rossi"))

        assert written.getvalue() == "A line of any, line 7, was not writable.\n"


class TestProduction:
    def test_ends_with_a_line(self) -> None:
        """What nobody caught is said no other way than the rest."""
        done = subprocess.run(
            [sys.executable, "-c", "import django; django.setup(); {}['Rossi']"],
            cwd=ROOT,
            env=COMPLETE | {"POD_NAME": "pod-1"},
            capture_output=True,
            text=True,
        )

        assert done.returncode == 1
        line = json.loads(done.stderr)
        assert (line["message"], line["error"]) == ("ended with an error", "KeyError")
        assert line["pod"] == "pod-1"

    def test_does_not_start_with_a_form_that_there_is_not(self) -> None:
        result = check_deploy(COMPLETE | {"LOG_FORMAT": "xml"})

        assert result.returncode != 0
        assert "LOG_FORMAT='xml'; use one of 'json', 'line'" in result.stderr
