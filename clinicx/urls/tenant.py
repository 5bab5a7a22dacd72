"""A clinic's host."""

from __future__ import annotations

from django.urls import include, path
from django.views.generic import RedirectView

from apps.ui.sites import clinic_site

handler400 = "clinicx.errors.bad_request"
handler403 = "clinicx.errors.permission_denied"
handler404 = "clinicx.errors.page_not_found"
handler500 = "clinicx.errors.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="patients:list"), name="home"),
    path("", include("apps.accounts.urls")),
    path("patients/", include("apps.patients.urls")),
    path("admin/", clinic_site.urls),
    path("api/", include("clinicx.api.urls")),
]
