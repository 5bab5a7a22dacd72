"""A clinic's host."""

from __future__ import annotations

from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="patients:list"), name="home"),
    path("", include("apps.accounts.urls")),
    path("patients/", include("apps.patients.urls")),
]
