"""What is said where nothing would be counted."""

from __future__ import annotations

from typing import Any

import pytest

from tenancy.checks import metrics
from tenancy.checks.metrics import MIDDLEWARE, TENANTS, check_metrics
from tenancy.metrics import instruments


class TestMetrics:
    def test_are_in_order_here(self) -> None:
        assert check_metrics(None) == []

    def test_e083_nothing_to_count_with(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(instruments, "find_spec", lambda name: None)

        (message,) = metrics.check_metrics(None)

        assert message.id == "tenancy.E083"
        assert "pip install prometheus-client" in str(message.hint)

    @pytest.mark.parametrize("middleware", [[TENANTS], [TENANTS, MIDDLEWARE]])
    def test_w084_nobody_counts_requests(self, settings: Any, middleware: list[str]) -> None:
        settings.MIDDLEWARE = middleware

        (message,) = check_metrics(None)

        assert message.id == "tenancy.W084"
        assert MIDDLEWARE in str(message.hint)

    def test_are_nobodys_business_where_nothing_is_counted(self, settings: Any) -> None:
        settings.TENANCY_METRICS = False
        settings.MIDDLEWARE = []

        assert check_metrics(None) == []
