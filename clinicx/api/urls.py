"""The API of a clinic: its resources, their description, and a page to read it on."""

from __future__ import annotations

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from apps.chart import api as chart
from apps.patients import api as patients
from clinicx.api import views

app_name = "api"

router = SimpleRouter(use_regex_path=False)
router.register("patients", patients.PatientViewSet, basename="patients")

chart_router = SimpleRouter(use_regex_path=False)
chart_router.register("encounters", chart.EncounterViewSet, basename="encounters")
chart_router.register("observations", chart.ObservationViewSet, basename="observations")
chart_router.register("conditions", chart.ConditionViewSet, basename="conditions")
chart_router.register("allergies", chart.AllergyViewSet, basename="allergies")
chart_router.register("medications", chart.MedicationViewSet, basename="medications")
chart_router.register("immunizations", chart.ImmunizationViewSet, basename="immunizations")

urlpatterns = [
    path("v1/", include(router.urls)),
    path("v1/patients/<uuid:patient_id>/", include(chart_router.urls)),
    path("schema/", views.schema, name="schema"),
    path("docs/", views.docs, name="docs"),
]
