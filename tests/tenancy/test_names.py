"""What things may be called."""

from __future__ import annotations

import pytest

from tenancy import names
from tenancy.errors import InvalidName


class TestCheckSlug:
    @pytest.mark.parametrize("slug", ["elm", "elm-street", "a1", "x" * 41])
    def test_returns_what_is_allowed(self, slug: str) -> None:
        assert names.check_slug(slug) == slug

    @pytest.mark.parametrize(
        "slug",
        [
            "",
            "e",
            "1elm",
            "-elm",
            "elm-",
            "elm--street",
            "Elm",
            "elm street",
            "elm_street",
            "élm",
            "x" * 42,
            "elm\n",
            "elm\x00",
            'elm"; DROP SCHEMA public CASCADE; --',
            "elm',public,'oak",
            "$user",
            "pg_catalog",
            "pg-elm",
            "xn--lm-bja",
        ],
    )
    def test_refuses_what_is_no_host_name_or_wants_quoting(self, slug: str) -> None:
        with pytest.raises(InvalidName):
            names.check_slug(slug)

    @pytest.mark.parametrize("slug", ["www", "admin", "api", "public", "static"])
    def test_refuses_what_is_reserved(self, slug: str) -> None:
        with pytest.raises(InvalidName, match="reserved"):
            names.check_slug(slug)

    def test_refuses_what_the_project_reserves(self, settings: object) -> None:
        settings.TENANCY_RESERVED_SLUGS = ("elm",)  # type: ignore[attr-defined]

        with pytest.raises(InvalidName, match="reserved"):
            names.check_slug("elm")


class TestSchemaFor:
    def test_stands_underscores_for_dashes(self) -> None:
        assert names.schema_for("elm-street") == "tenant_elm_street"


class TestCheckIdentifier:
    def test_counts_bytes_as_postgresql_does(self) -> None:
        """PostgreSQL would cut both to the same 63 bytes: two tenants in one schema."""
        assert names.check_identifier("x" * 63)

        with pytest.raises(InvalidName, match="64 bytes"):
            names.check_identifier("x" * 64)
        with pytest.raises(InvalidName, match="80 bytes"):
            names.check_identifier("é" * 40)

    @pytest.mark.parametrize("name", ["", "1x", "a-b", "A", 'a"b', "a b", "a\n"])
    def test_refuses_what_needs_quoting(self, name: str) -> None:
        with pytest.raises(InvalidName):
            names.check_identifier(name)


class TestCanonicalHost:
    @pytest.mark.parametrize(
        ("host", "canonical"),
        [
            ("elm.localhost", "elm.localhost"),
            ("ELM.LocalHost", "elm.localhost"),
            ("elm.localhost.", "elm.localhost"),
            ("elm.localhost:8000", "elm.localhost"),
            ("Elm.Localhost.:8000", "elm.localhost"),
            ("münchen.example", "xn--mnchen-3ya.example"),
            ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
        ],
    )
    def test_writes_one_host_in_one_way(self, host: str, canonical: str) -> None:
        assert names.canonical_host(host) == canonical

    @pytest.mark.parametrize(
        "host", ["", ".", "a..b", "-a.example", "a_b.example", "x" * 64 + ".example", "a:b", "a b"]
    )
    def test_refuses_what_is_no_host_name(self, host: str) -> None:
        with pytest.raises(InvalidName):
            names.canonical_host(host)
