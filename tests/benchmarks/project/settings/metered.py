"""
`tenancy` as ClinicX sets it up, counting what it counts there.
"""

from __future__ import annotations

from tests.benchmarks.project.settings.ours import *  # noqa: F403  # what a settings module is for
from tests.benchmarks.project.settings.ours import MIDDLEWARE

MIDDLEWARE = ["tenancy.metrics.requests.MetricsMiddleware", *MIDDLEWARE]
TENANCY_METRICS = True
TENANCY_METRICS_POD = "bench"
