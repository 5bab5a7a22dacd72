"""
Makes django-tenants' own tables in the public schema, with a row for each clinic.
"""

from __future__ import annotations

import sys

import django
from django.db import connection

from tests.benchmarks import names


def make(size: int) -> None:
    from tests.benchmarks.project.clinics.models import Clinic, Domain

    with connection.schema_editor() as editor:
        editor.create_model(Clinic)
        editor.create_model(Domain)
    clinics = Clinic.objects.bulk_create(
        Clinic(schema_name=names.schema(number), name=f"Clinic {number}")
        for number in range(1, size + 1)
    )
    Domain.objects.bulk_create(
        Domain(domain=names.host(number), tenant=clinic)
        for number, clinic in enumerate(clinics, start=1)
    )


if __name__ == "__main__":
    django.setup()
    make(int(sys.argv[1]))
