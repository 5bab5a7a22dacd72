"""The environment is read strictly."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from clinicx import env


class TestBoolean:
    @pytest.mark.parametrize(("value", "expected"), [("True", True), ("False", False), ("", True)])
    def test_reads_two_words(
        self, monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
    ) -> None:
        monkeypatch.setenv("FLAG", value)

        assert env.boolean("FLAG", True) is expected

    @pytest.mark.parametrize("value", ["true", "1", "yes", "no"])
    def test_refuses_any_other(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("FLAG", value)

        with pytest.raises(ImproperlyConfigured, match=r"FLAG=.*'True' or 'False'"):
            env.boolean("FLAG", True)


class TestRequired:
    @pytest.mark.parametrize("value", [None, ""])
    def test_refuses_nothing(self, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
        monkeypatch.delenv("SECRET_KEY", raising=False)
        if value is not None:
            monkeypatch.setenv("SECRET_KEY", value)

        with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is not set"):
            env.required("SECRET_KEY")
