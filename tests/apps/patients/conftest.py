"""People for the registry's tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from apps.patients import registry
from apps.patients.models import Patient


@pytest.fixture
def register() -> Callable[..., Patient]:
    """A function that puts a person into the active clinic's registry."""

    def register(
        family: str = "",
        *given: str,
        born: str = "",
        maiden: str = "",
        phone: str = "",
        identifier: str = "",
        **fields: Any,
    ) -> Patient:
        if born:
            year, month, day = [*map(int, born.split("-")), 1, 1][:3]
            fields["birth_date"] = date(year, month, day)
            fields["birth_date_precision"] = {4: "Y", 7: "YM", 10: "YMD"}[len(born)]
        patient = Patient.objects.create(**fields)
        patient.names.create(use="official", family=family, given=list(given))
        if maiden:
            patient.names.create(use="maiden", family=maiden, given=list(given), position=1)
        if phone:
            patient.telecoms.create(system="phone", value=phone)
        if identifier:
            patient.identifiers.create(type_code="SS", value=identifier)
        registry.refresh([patient])
        patient.refresh_from_db()
        return patient

    return register
