"""`manage.py connection_plan`, as it is read."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command


def plan(*options: str) -> str:
    out = io.StringIO()
    call_command("connection_plan", *options, stdout=out)
    return out.getvalue()


def sentences(told: str) -> str:
    """Return what is said below the bars, on one line."""
    return " ".join(told.split("]")[-1].split("\n\n", 1)[1].split())


def row(told: str, name: str) -> list[str]:
    (line,) = (line for line in told.splitlines() if line.startswith(name))
    return line.removeprefix(name).split()


class TestTable:
    def test_is_of_what_is_deployed(self) -> None:
        told = plan()

        assert told.splitlines()[0].split() == ["5", "pods", "50", "pods"]
        assert row(told, "all pods") == ["100", "1,000"]
        assert row(told, "poolers open")[:2] == ["60", "60"]
        assert row(told, "at the server")[:2] == ["120", "120"]

    def test_has_a_column_for_each_number_of_pods(self) -> None:
        assert row(plan("--pods", "5", "10", "50"), "all pods") == ["100", "200", "1,000"]

    @pytest.mark.parametrize(
        "options",
        [[], ["--scenario", "peak"], ["--mode", "none"], ["--scenarios"], ["--pods", "500"]],
        ids=" ".join,
    )
    def test_fits_a_terminal(self, options: list[str]) -> None:
        assert max(map(len, plan(*options).splitlines())) <= 80

    def test_shows_how_full_each_limit_is(self) -> None:
        told = plan("--pods", "50", "--clients", "0", "--poolers", "1")

        assert "max_client_conn [########################] 1,000 of 1,000\n" in told
        assert "max_connections [#####...................] 90 of 497\n" in told

    def test_marks_what_is_broken(self) -> None:
        told = plan("--pods", "51", "--clients", "0", "--poolers", "1")

        assert "1,020 of 1,000 !" in told
        assert "! At 51 pods max_client_conn is too small by 20" in sentences(told)


class TestSentences:
    def test_say_which_limit_is_reached_first(self) -> None:
        options = ["--pods", "10", "--clients", "0", "--direct", "0"]

        assert sentences(plan(*options, "--poolers", "1")).startswith(
            "Reached first: max_client_conn, with more than 50 pods."
        )
        assert sentences(plan(*options, "--mode", "none")).startswith(
            "Reached first: max_connections, with more than 24 pods."
        )
        in_sessions = [
            "--mode",
            "session",
            "--poolers",
            "1",
            "--pool-size",
            "250",
            "--reserve",
            "0",
        ]
        assert sentences(plan(*options, *in_sessions)).startswith(
            "Reached first: default_pool_size, with more than 12 pods; then max_client_conn"
        )

    def test_say_that_two_poolers_open_sixty_and_what_would_open_250(self) -> None:
        assert (
            "2 poolers at 25 + 5 open 60 connections to the server and not 250. "
            "default_pool_size = 120 would open 250: 2 x (120 + 5)."
        ) in sentences(plan("--server-connections", "250"))
        assert "as wanted" in plan("--server-connections", "250", "--pool-size", "120")

    def test_say_that_to_share_is_meant(self) -> None:
        assert "1,008 clients share 60 connections to the server is meant" in sentences(plan())
        assert "is meant" not in sentences(plan("--pods", "1"))

    def test_say_for_how_many_tenants_a_pod_works(self) -> None:
        assert "50 tenants at once: 10 on each of 5 pods" in sentences(
            plan("--pods", "5", "--tenants", "50")
        )

    def test_say_what_workers_cannot_divide(self) -> None:
        told = plan("--scenario", "high")

        assert row(told, "all pods") == ["140", "210"]
        assert "all pods have 210 and not 225" in sentences(told)


class TestScenarios:
    def test_are_those_of_the_first_plan(self) -> None:
        _, *rows = plan("--scenarios").splitlines()

        assert [line.split() for line in rows] == [
            ["normal", "50-100", "3-5", "20", "60-100", "1-2", "2-3", "3-10", "6-15", "optional"],
            ["high", "200-300", "10-15", "15", "150-225", "2", "3", "20-30", "30-45", "enabled"],
            ["peak", "500+", "20-30", "10", "200-300", "2", "4", "40-60", "80-120", "required"],
        ]

    @pytest.mark.parametrize(
        ("name", "sums"), [("normal", ["60", "100"]), ("peak", ["200", "300"])]
    )
    def test_are_computed(self, name: str, sums: list[str]) -> None:
        assert row(plan("--scenario", name), "all pods") == sums


class TestOptions:
    def test_json_is_the_same_for_a_program(self) -> None:
        (told,) = json.loads(plan("--json", "--pods", "10", "--clients", "0", "--tenants", "50"))

        assert (told["of_pods"], told["at_server"], told["tenants_per_pod"]) == (200, 120, 5)

    def test_that_make_no_sense_are_refused(self) -> None:
        with pytest.raises(CommandError, match="A pool of 1 is not enough for 2 workers"):
            plan("--pool", "1")

    def test_where_nothing_is_said_of_it_are_djangos_defaults(self, settings: Any) -> None:
        settings.TENANCY_CONNECTIONS = {}

        assert row(plan(), "all pods") == ["20"]
