"""
How a clinic admin looks something up in charts.

Nothing is written here, not even by a superuser: an entry has an author and a status,
which the chart's own pages ask for.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.chart.models import (
    AllergyIntolerance,
    AllergyReaction,
    Condition,
    Encounter,
    Immunization,
    MedicationRequest,
    Observation,
    ObservationComponent,
)
from apps.patients.models import Patient
from apps.patients.search import search
from apps.ui.admin import ModelAdmin, TabularInline
from apps.ui.sites import clinic_site


class _ReadOnly:
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EntryAdmin(_ReadOnly, ModelAdmin):
    list_select_related: tuple[str, ...] = ("patient",)
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("display", "code")
    search_help_text = "What it is or its code; or the patient, as in the list of patients."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if not search_term:
            return found, may_repeat
        patients = search(Patient.objects.all(), search_term).order_by().values("pk")
        return found | queryset.filter(patient__in=patients), may_repeat


class ComponentInline(_ReadOnly, TabularInline):
    model = ObservationComponent
    verbose_name_plural = "components"
    fields = ("display", "code", "value_quantity", "value_unit", "value_text", "interpretation")


class ReactionInline(_ReadOnly, TabularInline):
    model = AllergyReaction
    verbose_name_plural = "reactions"
    fields = ("manifestations", "severity", "substance", "onset_at", "description")


_CODE = ("display", ("code", "code_system"))
_CHANGED = (("created_at", "updated_at"),)


@admin.register(Encounter, site=clinic_site)
class EncounterAdmin(EntryAdmin):
    list_display = ("__str__", "patient", "status", "practitioner", "period_start")
    list_filter = ("status", "class_code")
    list_select_related = ("patient", "practitioner")
    search_fields = ("type_display", "type_code")
    fields = (
        "patient",
        ("status", "class_code"),
        "type_display",
        ("type_code", "type_system"),
        "reason_display",
        ("reason_code", "reason_system"),
        ("period_start", "period_end"),
        ("practitioner", "service_provider"),
        *_CHANGED,
    )


@admin.register(Observation, site=clinic_site)
class ObservationAdmin(EntryAdmin):
    list_display = ("__str__", "patient", "category", "status", "effective_at")
    list_filter = ("status", "category")
    fields = (
        "patient",
        *_CODE,
        ("status", "category"),
        ("value_comparator", "value_quantity"),
        ("value_unit", "value_unit_code"),
        "value_text",
        ("value_code", "value_code_system"),
        ("interpretation", "data_absent_reason"),
        ("effective_at", "issued_at"),
        "encounter",
        *_CHANGED,
    )
    inlines = (ComponentInline,)


@admin.register(Condition, site=clinic_site)
class ConditionAdmin(EntryAdmin):
    list_display = ("__str__", "patient", "clinical_status", "verification_status", "onset_at")
    list_filter = ("clinical_status", "verification_status", "category")
    fields = (
        "patient",
        *_CODE,
        ("clinical_status", "verification_status"),
        "category",
        ("onset_at", "abatement_at"),
        ("recorded_at", "encounter"),
        *_CHANGED,
    )


@admin.register(AllergyIntolerance, site=clinic_site)
class AllergyAdmin(EntryAdmin):
    list_display = ("__str__", "patient", "clinical_status", "criticality", "recorded_at")
    list_filter = ("clinical_status", "criticality", "type")
    fields = (
        "patient",
        *_CODE,
        ("clinical_status", "verification_status"),
        ("type", "categories"),
        "criticality",
        ("onset_at", "recorded_at"),
        "encounter",
        *_CHANGED,
    )
    inlines = (ReactionInline,)


@admin.register(MedicationRequest, site=clinic_site)
class MedicationAdmin(EntryAdmin):
    list_display = ("__str__", "patient", "status", "requester", "authored_at")
    list_filter = ("status", "intent")
    list_select_related = ("patient", "requester")
    fields = (
        "patient",
        *_CODE,
        ("status", "intent"),
        "dosage_text",
        ("authored_at", "requester"),
        "encounter",
        *_CHANGED,
    )


@admin.register(Immunization, site=clinic_site)
class ImmunizationAdmin(EntryAdmin):
    list_display = ("__str__", "patient", "status", "occurrence_at")
    list_filter = ("status",)
    fields = (
        "patient",
        *_CODE,
        "status",
        ("occurrence_at", "occurrence_text"),
        ("lot_number", "primary_source"),
        "encounter",
        *_CHANGED,
    )
