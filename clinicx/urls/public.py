"""The base domain, where operators work."""

from __future__ import annotations

from django.urls import include, path
from django.views.generic import RedirectView

from clinicx import admin

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("", include("apps.accounts.urls")),
    path("admin/", admin.site.urls),
]
