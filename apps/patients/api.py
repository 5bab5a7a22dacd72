"""What the API says of the clinic's patients."""

from __future__ import annotations

from collections.abc import Sequence

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer

from apps.api.filters import (
    BooleanFilter,
    CodesFilter,
    DateFilter,
    Ordering,
    SinceFilter,
    Span,
    TokensFilter,
)
from apps.api.serializers import CodingSerializer, PeriodSerializer, RecordSerializer
from apps.api.views import RecordViewSet
from apps.patients.birth_date import Meant
from apps.patients.codes import Gender
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

# The lists below a patient, by the last part of their address. Apps further up answer there.
COLLECTIONS = (
    "encounters",
    "observations",
    "conditions",
    "allergies",
    "medications",
    "immunizations",
)

_LINKS = {
    "type": "object",
    "properties": {
        name: {"type": "string", "format": "uri-reference"} for name in ("self", *COLLECTIONS)
    },
    "required": ["self", *COLLECTIONS],
}


class IdentifierSerializer(RecordSerializer[PatientIdentifier]):
    """A number by which others know the patient."""

    type = CodingSerializer(code="type_code", display="type_display")
    period = PeriodSerializer(start="period_start", end="period_end")

    class Meta:
        model = PatientIdentifier
        fields = ["use", "type", "system", "value", "period"]


class NameSerializer(RecordSerializer[PatientName]):
    """One of the names that the patient goes or went by."""

    class Meta:
        model = PatientName
        fields = ["use", "text", "family", "given", "prefix", "suffix"]


class TelecomSerializer(RecordSerializer[PatientTelecom]):
    """A way to reach the patient."""

    class Meta:
        model = PatientTelecom
        fields = ["system", "use", "value", "rank"]


class AddressSerializer(RecordSerializer[PatientAddress]):
    """Where the patient lives, or gets letters."""

    class Meta:
        model = PatientAddress
        fields = [
            "use",
            "type",
            "text",
            "line",
            "city",
            "district",
            "state",
            "postal_code",
            "country",
        ]


class ContactSerializer(RecordSerializer[PatientContact]):
    """Whom to call about the patient."""

    relationship = CodingSerializer(code="relationship", display="relationship_display")

    class Meta:
        model = PatientContact
        fields = ["relationship", "family", "given", "gender", "phone", "email"]


class CommunicationSerializer(RecordSerializer[PatientCommunication]):
    """A language in which the patient can be spoken to."""

    language = CodingSerializer(code="language", display="language_display")

    class Meta:
        model = PatientCommunication
        fields = ["language", "preferred"]


class PatientSerializer(RecordSerializer[Patient]):
    """A patient in the list."""

    birth_date = serializers.CharField(
        source="birth_date_text",
        read_only=True,
        allow_null=True,
        help_text="No more than is known: YYYY-MM-DD, YYYY-MM or YYYY.",
    )
    links = serializers.SerializerMethodField(help_text="Where the patient's lists are.")

    class Meta:
        model = Patient
        fields: Sequence[str] = [
            "id",
            "mrn",
            "active",
            "family",
            "given",
            "gender",
            "birth_date",
            "deceased",
            "deceased_date_time",
            "last_updated",
            "links",
        ]
        extra_kwargs = {
            "deceased_date_time": {"source": "deceased_at"},
            "last_updated": {"source": "updated_at"},
        }

    @extend_schema_field(_LINKS)
    def get_links(self, patient: Patient) -> dict[str, str]:
        address = reverse("api:patients-detail", args=[patient.pk])
        return {"self": address} | {name: f"{address}{name}/" for name in COLLECTIONS}


class PatientDetailSerializer(PatientSerializer):
    """A patient with everything that the registry knows of the person."""

    identifier = IdentifierSerializer(source="identifiers", many=True, read_only=True)
    name = NameSerializer(source="names", many=True, read_only=True)
    telecom = TelecomSerializer(source="telecoms", many=True, read_only=True)
    address = AddressSerializer(source="addresses", many=True, read_only=True)
    contact = ContactSerializer(source="contacts", many=True, read_only=True)
    communication = CommunicationSerializer(source="communications", many=True, read_only=True)
    marital_status = CodingSerializer(code="marital_status", display="marital_status_display")

    class Meta(PatientSerializer.Meta):
        fields = [
            *PatientSerializer.Meta.fields[:-1],
            "marital_status",
            "identifier",
            "name",
            "telecom",
            "address",
            "contact",
            "communication",
            "links",
        ]


class BirthdateFilter(DateFilter):
    """A record that is less precise and may be it counts, as in the search of the pages."""

    def filter(self, queryset: QuerySet[Patient], value: Span | None) -> QuerySet[Patient]:
        if value is None:
            return queryset
        return queryset.filter(Meant(value.year, value.month, value.day).as_filter())


class IdentifierFilter(TokensFilter):
    """The clinic's own number counts as an identifier without a system."""

    def condition(self, tokens: list[str]) -> Q:
        others = PatientIdentifier.objects.filter(super().condition(tokens), patient=OuterRef("pk"))
        return Q(Exists(others)) | Q(mrn__in=[token.removeprefix("|") for token in tokens])


class PatientFilters(django_filters.FilterSet):  # type: ignore[misc]  # untyped
    search = django_filters.CharFilter(
        method="filter_search",
        help_text="Names in any order, without accents; a record number, an identifier, the end "
        "of a telephone number, a date of birth. The likeliest first.",
    )
    active = BooleanFilter(help_text="Whether the record is in use.")
    birthdate = BirthdateFilter(
        field_name="birth_date",
        help_text="A day, month or year; a record that is less precise and may be it counts.",
    )
    birthdate_ge = DateFilter(field_name="birth_date", bound="ge", help_text="Born then or later.")
    birthdate_le = DateFilter(field_name="birth_date", bound="le", help_text="Born by then.")
    deceased = BooleanFilter(help_text="Whether the patient has died.")
    gender = CodesFilter(Gender, help_text="One or several, with commas.")
    identifier = IdentifierFilter(
        system="system",
        code="value",
        help_text="`value`, `system|value`, `|value` (without a system) or `system|`; "
        "several with commas.",
    )
    mrn = django_filters.CharFilter(help_text="The clinic's own number, whole.")
    updated_since = SinceFilter(field_name="updated_at", help_text="Changed then or later.")
    ordering = Ordering(
        family="family",
        given="given",
        birthdate="birth_date",
        mrn="mrn",
        last_updated="updated_at",
    )

    class Meta:
        model = Patient
        fields: Sequence[str] = []

    def filter_search(
        self, queryset: QuerySet[Patient], name: str, value: str
    ) -> QuerySet[Patient]:
        return search(queryset, value)


@extend_schema_view(
    list=extend_schema(summary="Find patients"),
    retrieve=extend_schema(summary="Read a patient"),
)
class PatientViewSet(RecordViewSet[Patient]):
    """The people in the care of this clinic."""

    queryset = Patient.objects.defer("extra", "search_text")
    filterset_class = PatientFilters

    def get_serializer_class(self) -> type[BaseSerializer[Patient]]:
        return PatientDetailSerializer if self.action == "retrieve" else PatientSerializer
