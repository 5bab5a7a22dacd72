from __future__ import annotations

from tests.benchmarks.project.wards.initial import Initial as Migration

__all__ = ["Migration"]
