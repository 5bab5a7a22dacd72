"""/patients/ and /patients/<id>/."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from tests.benchmarks.project.records.views import PatientViewSet

router = SimpleRouter()
router.register("patients", PatientViewSet, basename="patients")
urlpatterns = router.urls
