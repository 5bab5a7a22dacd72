"""A limit of requests in flight that limits nothing is said at start."""

from __future__ import annotations

from typing import Any

import pytest

from tenancy.checks.in_flight import IN_FLIGHT, LIMITS, TENANT_MIDDLEWARE, check_in_flight

ALL = [TENANT_MIDDLEWARE, IN_FLIGHT, LIMITS]


class TestLimit:
    @pytest.mark.parametrize("name", ["TENANCY_IN_FLIGHT", "TENANCY_TENANT_IN_FLIGHT"])
    @pytest.mark.parametrize(
        "limits", [{"process": 0}, {"tenant": "12"}, {"process": True}, {"threads": 3}]
    )
    def test_e088_that_is_none(self, name: str, limits: dict[str, Any], settings: Any) -> None:
        is_for_one = name == "TENANCY_TENANT_IN_FLIGHT"
        setattr(settings, name, {"elm": limits} if is_for_one else limits)

        (message,) = check_in_flight(None)

        assert message.id == "tenancy.E088"
        assert "'process': 5" in str(message.hint)

    @pytest.mark.parametrize(
        ("middleware", "limits", "faults"),
        [
            (ALL, {"process": 5, "tenant": 12}, 0),
            ([TENANT_MIDDLEWARE, IN_FLIGHT], {"process": 5}, 0),
            ([TENANT_MIDDLEWARE, IN_FLIGHT], {"process": 5, "tenant": None}, 0),
            ([], {}, 0),
            ([TENANT_MIDDLEWARE, IN_FLIGHT], {"tenant": 12}, 1),
            ([TENANT_MIDDLEWARE, LIMITS], {"tenant": 12}, 1),
            ([IN_FLIGHT, TENANT_MIDDLEWARE, LIMITS], {"tenant": 12}, 1),
        ],
    )
    def test_e088_that_nobody_counts(
        self, middleware: list[str], limits: dict[str, Any], faults: int, settings: Any
    ) -> None:
        settings.MIDDLEWARE = middleware
        settings.TENANCY_IN_FLIGHT = limits

        assert len(check_in_flight(None)) == faults

    def test_is_one_in_production(self, settings: Any) -> None:
        from clinicx.settings import pool

        settings.TENANCY_IN_FLIGHT = pool.in_flight()

        assert check_in_flight(None) == []
