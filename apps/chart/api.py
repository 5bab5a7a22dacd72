"""What the API says of a patient's chart: lists below the patient, one for each kind of entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import django_filters
from django.db.models import Model, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.filters import (
    CodesFilter,
    DateFilter,
    Ordering,
    SinceFilter,
    TextsFilter,
    TokensFilter,
)
from apps.api.serializers import (
    CodingSerializer,
    PeriodSerializer,
    QuantitySerializer,
    RecordSerializer,
    ReferenceSerializer,
)
from apps.api.views import RecordViewSet
from apps.chart.codes import (
    AllergyCategory,
    AllergyClinicalStatus,
    AllergyCriticality,
    AllergyType,
    AllergyVerificationStatus,
    ConditionClinicalStatus,
    ConditionVerificationStatus,
    EncounterStatus,
    ImmunizationStatus,
    MedicationRequestIntent,
    MedicationRequestStatus,
    ObservationStatus,
)
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

_Entry = TypeVar("_Entry", bound=Model)

_LAST_UPDATED = {"last_updated": {"source": "updated_at"}}


def _code() -> CodingSerializer:
    return CodingSerializer(system="code_system", code="code", display="display")


def _extensible() -> serializers.CharField:
    """Return the field of a code to which countries may add, so that no client expects a few."""
    return serializers.CharField(read_only=True, allow_null=True)


def _codes() -> TokensFilter:
    return TokensFilter(
        system="code_system", code="code", help_text="`code` or `system|code`; several with commas."
    )


class EncounterSerializer(RecordSerializer[Encounter]):
    """A visit, a stay or a call."""

    class_code = _extensible()
    type = CodingSerializer(system="type_system", code="type_code", display="type_display")
    reason_code = CodingSerializer(
        system="reason_system", code="reason_code", display="reason_display"
    )
    period = PeriodSerializer(start="period_start", end="period_end")
    practitioner = ReferenceSerializer()

    class Meta:
        model = Encounter
        fields = [
            "id",
            "patient",
            "status",
            "class_code",
            "type",
            "reason_code",
            "period",
            "practitioner",
            "service_provider",
            "last_updated",
        ]
        extra_kwargs = _LAST_UPDATED


class _ValueSerializer(RecordSerializer[Any]):
    """A value: a number with its unit, or something to be read, with a code if it has one."""

    code = _code()
    value_quantity = QuantitySerializer(
        value="value_quantity",
        comparator="value_comparator",
        unit="value_unit",
        code="value_unit_code",
    )
    value_code = CodingSerializer(
        system="value_code_system", code="value_code", help_text="Its words are in value_text."
    )


class ObservationComponentSerializer(_ValueSerializer):
    """A part of an observation with a value of its own."""

    class Meta:
        model = ObservationComponent
        fields = [
            "code",
            "value_quantity",
            "value_code",
            "value_text",
            "data_absent_reason",
            "interpretation",
        ]


class ObservationSerializer(_ValueSerializer):
    """Something measured, counted or asked."""

    category = _extensible()
    component = ObservationComponentSerializer(source="components", many=True, read_only=True)

    class Meta:
        model = Observation
        fields = [
            "id",
            "patient",
            "encounter",
            "status",
            "category",
            "code",
            "effective_date_time",
            "issued",
            "value_quantity",
            "value_code",
            "value_text",
            "data_absent_reason",
            "interpretation",
            "component",
            "last_updated",
        ]
        extra_kwargs = {
            "effective_date_time": {"source": "effective_at"},
            "issued": {"source": "issued_at"},
            **_LAST_UPDATED,
        }


class ConditionSerializer(RecordSerializer[Condition]):
    """A problem or a diagnosis."""

    category = _extensible()
    code = _code()

    class Meta:
        model = Condition
        fields = [
            "id",
            "patient",
            "encounter",
            "clinical_status",
            "verification_status",
            "category",
            "code",
            "onset_date_time",
            "abatement_date_time",
            "recorded_date",
            "last_updated",
        ]
        extra_kwargs = {
            "onset_date_time": {"source": "onset_at"},
            "abatement_date_time": {"source": "abatement_at"},
            "recorded_date": {"source": "recorded_at"},
            **_LAST_UPDATED,
        }


class AllergyReactionSerializer(RecordSerializer[AllergyReaction]):
    """What happened once when the patient met the substance."""

    class Meta:
        model = AllergyReaction
        fields = ["substance", "manifestation", "description", "onset", "severity"]
        extra_kwargs = {
            "manifestation": {"source": "manifestations"},
            "onset": {"source": "onset_at"},
        }


class AllergySerializer(RecordSerializer[AllergyIntolerance]):
    """What the patient must not be given."""

    code = _code()
    reaction = AllergyReactionSerializer(source="reactions", many=True, read_only=True)

    class Meta:
        model = AllergyIntolerance
        fields = [
            "id",
            "patient",
            "encounter",
            "clinical_status",
            "verification_status",
            "type",
            "category",
            "criticality",
            "code",
            "onset_date_time",
            "recorded_date",
            "reaction",
            "last_updated",
        ]
        extra_kwargs = {
            "category": {"source": "categories"},
            "onset_date_time": {"source": "onset_at"},
            "recorded_date": {"source": "recorded_at"},
            **_LAST_UPDATED,
        }


class MedicationSerializer(RecordSerializer[MedicationRequest]):
    """A prescription, or a medication that someone asked for."""

    medication = _code()
    requester = ReferenceSerializer()

    class Meta:
        model = MedicationRequest
        fields = [
            "id",
            "patient",
            "encounter",
            "status",
            "intent",
            "medication",
            "authored_on",
            "requester",
            "dosage_text",
            "last_updated",
        ]
        extra_kwargs = {"authored_on": {"source": "authored_at"}, **_LAST_UPDATED}


class ImmunizationSerializer(RecordSerializer[Immunization]):
    """A vaccine given, or deliberately not given."""

    vaccine_code = _code()

    class Meta:
        model = Immunization
        fields = [
            "id",
            "patient",
            "encounter",
            "status",
            "vaccine_code",
            "occurrence_date_time",
            "occurrence_string",
            "primary_source",
            "lot_number",
            "last_updated",
        ]
        extra_kwargs = {
            "occurrence_date_time": {"source": "occurrence_at"},
            "occurrence_string": {"source": "occurrence_text"},
            **_LAST_UPDATED,
        }


class EntryFilters(django_filters.FilterSet):  # type: ignore[misc]  # untyped
    """What every list of a chart may be asked for."""

    updated_since = SinceFilter(field_name="updated_at", help_text="Changed then or later.")


class EncounterFilters(EntryFilters):
    status = CodesFilter(EncounterStatus)
    class_code = TextsFilter(help_text="HL7 v3 ActCode, for example AMB; several with commas.")
    type = TokensFilter(system="type_system", code="type_code")
    date = DateFilter(field_name="period_start", help_text="The day, month or year it began.")
    date_ge = DateFilter(field_name="period_start", bound="ge", help_text="Began then or later.")
    date_le = DateFilter(field_name="period_start", bound="le", help_text="Began by then.")
    ordering = Ordering(date="period_start", last_updated="updated_at")

    class Meta:
        model = Encounter
        fields: Sequence[str] = []


class ObservationFilters(EntryFilters):
    status = CodesFilter(ObservationStatus)
    category = TextsFilter(help_text="For example vital-signs or laboratory.")
    code = _codes()
    date = DateFilter(field_name="effective_at", help_text="A day, month or year.")
    date_ge = DateFilter(field_name="effective_at", bound="ge", help_text="Then or later.")
    date_le = DateFilter(field_name="effective_at", bound="le", help_text="By then.")
    ordering = Ordering(date="effective_at", code="code", last_updated="updated_at")

    class Meta:
        model = Observation
        fields: Sequence[str] = []


class ConditionFilters(EntryFilters):
    clinical_status = CodesFilter(ConditionClinicalStatus)
    verification_status = CodesFilter(ConditionVerificationStatus)
    category = TextsFilter(help_text="For example problem-list-item.")
    code = _codes()
    onset_date_ge = DateFilter(field_name="onset_at", bound="ge", help_text="Then or later.")
    onset_date_le = DateFilter(field_name="onset_at", bound="le", help_text="By then.")
    recorded_date_ge = DateFilter(field_name="recorded_at", bound="ge", help_text="Then or later.")
    recorded_date_le = DateFilter(field_name="recorded_at", bound="le", help_text="By then.")
    ordering = Ordering(
        onset_date="onset_at", recorded_date="recorded_at", last_updated="updated_at"
    )

    class Meta:
        model = Condition
        fields: Sequence[str] = []


class AllergyFilters(EntryFilters):
    clinical_status = CodesFilter(AllergyClinicalStatus)
    verification_status = CodesFilter(AllergyVerificationStatus)
    type = CodesFilter(AllergyType)
    category = CodesFilter(AllergyCategory, field_name="categories", lookup_expr="overlap")
    criticality = CodesFilter(AllergyCriticality)
    code = _codes()
    date_ge = DateFilter(field_name="recorded_at", bound="ge", help_text="Recorded then or later.")
    date_le = DateFilter(field_name="recorded_at", bound="le", help_text="Recorded by then.")
    ordering = Ordering(date="recorded_at", last_updated="updated_at")

    class Meta:
        model = AllergyIntolerance
        fields: Sequence[str] = []


class MedicationFilters(EntryFilters):
    status = CodesFilter(MedicationRequestStatus)
    intent = CodesFilter(MedicationRequestIntent)
    code = _codes()
    authored_on = DateFilter(field_name="authored_at", help_text="A day, month or year.")
    authored_on_ge = DateFilter(field_name="authored_at", bound="ge", help_text="Then or later.")
    authored_on_le = DateFilter(field_name="authored_at", bound="le", help_text="By then.")
    ordering = Ordering(authored_on="authored_at", last_updated="updated_at")

    class Meta:
        model = MedicationRequest
        fields: Sequence[str] = []


class ImmunizationFilters(EntryFilters):
    status = CodesFilter(ImmunizationStatus)
    vaccine_code = _codes()
    date = DateFilter(field_name="occurrence_at", help_text="A day, month or year.")
    date_ge = DateFilter(field_name="occurrence_at", bound="ge", help_text="Then or later.")
    date_le = DateFilter(field_name="occurrence_at", bound="le", help_text="By then.")
    ordering = Ordering(date="occurrence_at", last_updated="updated_at")

    class Meta:
        model = Immunization
        fields: Sequence[str] = []


class ChartViewSet(RecordViewSet[_Entry]):
    """Entries of one patient's chart: the one named in the address."""

    def get_queryset(self) -> QuerySet[_Entry]:
        # Without a patient in the address, which only the schema's generator has, no rows.
        return super().get_queryset().filter(patient=self.kwargs.get("patient_id"))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        # An empty list would say that there is such a patient, and that all is well.
        get_object_or_404(Patient.objects.only("pk"), pk=self.kwargs["patient_id"])
        return super().list(request, *args, **kwargs)


@extend_schema_view(
    list=extend_schema(summary="List a patient's encounters"),
    retrieve=extend_schema(summary="Read an encounter"),
)
class EncounterViewSet(ChartViewSet[Encounter]):
    """Visits, stays and calls; the latest first."""

    queryset = Encounter.objects.defer("extra").select_related("practitioner")
    serializer_class = EncounterSerializer
    filterset_class = EncounterFilters


@extend_schema_view(
    list=extend_schema(summary="List a patient's observations"),
    retrieve=extend_schema(summary="Read an observation"),
)
class ObservationViewSet(ChartViewSet[Observation]):
    """What was measured, counted or asked; the latest first."""

    queryset = Observation.objects.defer("extra").prefetch_related("components")
    serializer_class = ObservationSerializer
    filterset_class = ObservationFilters


@extend_schema_view(
    list=extend_schema(summary="List a patient's problems and diagnoses"),
    retrieve=extend_schema(summary="Read a problem or diagnosis"),
)
class ConditionViewSet(ChartViewSet[Condition]):
    """Problems and diagnoses; the latest first."""

    queryset = Condition.objects.defer("extra")
    serializer_class = ConditionSerializer
    filterset_class = ConditionFilters


@extend_schema_view(
    list=extend_schema(summary="List what a patient must not be given"),
    retrieve=extend_schema(summary="Read an allergy or intolerance"),
)
class AllergyViewSet(ChartViewSet[AllergyIntolerance]):
    """
    Allergies and intolerances.

    An entry with the code `no-known-allergies` says that the patient was asked and has
    none; an empty list says that nobody has asked.
    """

    queryset = AllergyIntolerance.objects.defer("extra").prefetch_related("reactions")
    serializer_class = AllergySerializer
    filterset_class = AllergyFilters


@extend_schema_view(
    list=extend_schema(summary="List a patient's medication requests"),
    retrieve=extend_schema(summary="Read a medication request"),
)
class MedicationViewSet(ChartViewSet[MedicationRequest]):
    """Prescriptions and other requests for medication; the latest first."""

    queryset = MedicationRequest.objects.defer("extra").select_related("requester")
    serializer_class = MedicationSerializer
    filterset_class = MedicationFilters


@extend_schema_view(
    list=extend_schema(summary="List a patient's immunizations"),
    retrieve=extend_schema(summary="Read an immunization"),
)
class ImmunizationViewSet(ChartViewSet[Immunization]):
    """Vaccines given, or deliberately not given; the latest first."""

    queryset = Immunization.objects.defer("extra")
    serializer_class = ImmunizationSerializer
    filterset_class = ImmunizationFilters
