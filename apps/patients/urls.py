"""The pages about patients, on a clinic's host."""

from __future__ import annotations

from django.urls import path

from apps.patients import views

app_name = "patients"

urlpatterns = [
    path("", views.patient_list, name="list"),
    path("search/", views.patient_search, name="search"),
    path("<uuid:pk>/", views.patient_page, name="detail"),
]
