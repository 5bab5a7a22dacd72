"""What a request asks for: a page of patients, or one of them."""

from __future__ import annotations

from rest_framework import serializers, viewsets

from tests.benchmarks.project.records.models import Patient


class PatientSerializer(serializers.ModelSerializer[Patient]):
    class Meta:
        model = Patient
        fields = "__all__"


class PatientViewSet(viewsets.ReadOnlyModelViewSet[Patient]):
    queryset = Patient.objects.all()
    serializer_class = PatientSerializer
