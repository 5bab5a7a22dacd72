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


class TestInteger:
    @pytest.mark.parametrize(("value", "expected"), [("3", 3), ("0", 0), ("", 20)])
    def test_reads_whole_numbers(
        self, monkeypatch: pytest.MonkeyPatch, value: str, expected: int
    ) -> None:
        monkeypatch.setenv("SIZE", value)

        assert env.integer("SIZE", 20, minimum=0) == expected

    @pytest.mark.parametrize("value", ["many", "1.5", "-1"])
    def test_refuses_any_other(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("SIZE", value)

        with pytest.raises(ImproperlyConfigured, match=f"SIZE='{value}'; use a whole number"):
            env.integer("SIZE", 20, minimum=0)


class TestChoice:
    @pytest.mark.parametrize(("value", "expected"), [("warm", "warm"), ("", None)])
    def test_reads_one_of_them(
        self, monkeypatch: pytest.MonkeyPatch, value: str, expected: str | None
    ) -> None:
        monkeypatch.setenv("WATER", value)

        assert env.choice("WATER", ["cold", "warm"]) == expected

    def test_refuses_any_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WATER", "Warm")

        with pytest.raises(ImproperlyConfigured, match="WATER='Warm'; use one of 'cold', 'warm'"):
            env.choice("WATER", ["cold", "warm"])
