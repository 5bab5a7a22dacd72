"""
How a clinic admin puts the registry right.

What the pages and an import derive (the listed name, the record number) is shown and
not typed: a patient's names are below, and the row follows them.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import StackedInline
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.patients import registry
from apps.patients.models import (
    Patient,
    PatientAddress,
    PatientCommunication,
    PatientContact,
    PatientIdentifier,
    PatientName,
    PatientTelecom,
)
from apps.patients.search import search
from apps.ui.admin import ModelAdmin, TabularInline
from apps.ui.sites import clinic_site

_ON_ONE_LINE = {ArrayField: {"widget": UnfoldAdminTextInputWidget}}


class NameInline(TabularInline):
    model = PatientName
    verbose_name, verbose_name_plural = "name", "names"
    extra = 0
    fields = ("use", "prefix", "given", "family", "suffix", "text")
    formfield_overrides = _ON_ONE_LINE


class TelecomInline(TabularInline):
    model = PatientTelecom
    verbose_name, verbose_name_plural = "telephone or e-mail", "telephone and e-mail"
    extra = 0
    fields = ("system", "use", "value", "rank")


class AddressInline(StackedInline):  # type: ignore[misc]  # untyped
    model = PatientAddress
    verbose_name, verbose_name_plural = "address", "addresses"
    extra = 0
    fields = (
        ("use", "type"),
        "line",
        ("postal_code", "city"),
        ("state", "country"),
        "district",
        "text",
    )
    formfield_overrides = _ON_ONE_LINE


class IdentifierInline(TabularInline):
    model = PatientIdentifier
    verbose_name, verbose_name_plural = "identifier", "identifiers"
    extra = 0
    fields = ("use", "type_code", "type_display", "system", "value")


class ContactInline(StackedInline):  # type: ignore[misc]  # untyped
    model = PatientContact
    verbose_name, verbose_name_plural = "contact", "contacts"
    extra = 0
    fields = (
        ("relationship", "relationship_display"),
        ("given", "family"),
        ("phone", "email"),
        "gender",
    )


class CommunicationInline(TabularInline):
    model = PatientCommunication
    verbose_name, verbose_name_plural = "language", "languages"
    extra = 0
    fields = ("language", "language_display", "preferred")


@admin.register(Patient, site=clinic_site)
class PatientAdmin(ModelAdmin):
    list_display = ("full_name", "mrn", "born", "gender", "state")
    list_filter = ("active", "deceased", "gender")
    list_per_page = 50
    ordering = ("sort_name", "id")
    search_fields = ("search_text",)
    search_help_text = "Names in any order, MRN, identifier, telephone, date of birth."
    show_full_result_count = False
    readonly_fields = ("mrn", "family", "given", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": (("given", "family"), "mrn", "active")}),
        (
            "Person",
            {
                "fields": (
                    "gender",
                    ("birth_date", "birth_date_precision"),
                    "deceased",
                    "deceased_at",
                    ("marital_status", "marital_status_display"),
                )
            },
        ),
        ("Record", {"fields": (("created_at", "updated_at"),)}),
    )
    inlines = (
        NameInline,
        TelecomInline,
        AddressInline,
        IdentifierInline,
        ContactInline,
        CommunicationInline,
    )

    @admin.display(description="Name", ordering="sort_name")
    def full_name(self, patient: Patient) -> str:
        return patient.full_name

    @admin.display(description="Born", ordering="birth_date")
    def born(self, patient: Patient) -> str:
        return patient.birth_date_text

    @admin.display(description="Record", ordering="active")
    def state(self, patient: Patient) -> str:
        if patient.deceased:
            return "Deceased"
        return "In use" if patient.active else "Closed"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Patient], search_term: str
    ) -> tuple[QuerySet[Patient], bool]:
        return search(queryset, search_term), False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        registry.refresh([form.instance])
        form.instance.refresh_from_db()  # the log entry that follows names the patient
