"""`manage.py seed_demo`: the demo's staff and patients."""

from __future__ import annotations

import io
from collections import Counter
from datetime import date

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.chart.models import (
    AllergyIntolerance,
    Condition,
    Encounter,
    Immunization,
    MedicationRequest,
    Observation,
)
from apps.patients import mrn
from apps.patients.models import Patient
from apps.patients.search import search
from apps.scheduling.models import Practitioner
from clinicx.local.demo import people
from clinicx.local.demo.charts import Chart, Rows
from tenancy import context

VITALS = {"85354-9", "8867-4", "9279-1", "2708-6", "8310-5", "29463-7", "8302-2", "39156-5"}


def seed(slug, *arguments):
    out = io.StringIO()
    call_command("seed_demo", slug, *arguments, stdout=out)
    return out.getvalue().strip()


class TestStaff:
    def test_can_sign_in_with_the_roles_that_the_sign_in_page_offers(self, in_elm, settings):
        seed("elm", "--patients", "0")

        for username, _ in settings.CLINICX_DEMO_SIGN_INS:
            user = User.objects.get(username=username)
            assert user.check_password("clinicx")
            role = "clinic_admin" if username == "admin" else username
            assert [group.name for group in user.groups.all()] == [role]
            assert user.is_staff == (username == "admin")
            assert not user.is_superuser

    def test_keeps_a_password_that_was_changed(self, in_elm):
        seed("elm", "--patients", "0")
        doctor = User.objects.get(username="doctor")
        doctor.set_password("another")
        doctor.save()

        seed("elm", "--patients", "0")

        assert User.objects.get(username="doctor").check_password("another")


class TestPatients:
    @pytest.fixture(autouse=True)
    def _seeded(self, in_elm):
        seed("elm", "--patients", "26")

    def test_have_numbers_that_are_valid(self):
        numbers = [patient.mrn for patient in Patient.objects.all()]

        assert len(numbers) == 26
        assert all(mrn.is_valid(number) for number in numbers)

    def test_are_found_by_name(self):
        patient = Patient.objects.exclude(family="").first()

        assert patient in search(Patient.objects.all(), patient.full_name)

    def test_are_as_varied_as_people_are(self):
        everybody = Patient.objects.all()

        assert everybody.filter(deceased=True, deceased_at__isnull=False).exists()
        assert everybody.filter(birth_date_precision="Y").exists()
        assert everybody.filter(birth_date_precision="YM").exists()
        assert everybody.filter(gender="other").exists()
        assert everybody.filter(names__use="maiden").exists()
        assert any(not patient.full_name.isascii() for patient in everybody)

    def test_have_a_guardian_while_they_are_children(self):
        children = [patient for patient in Patient.objects.all() if patient.age() < 16]

        assert len(children) >= 2
        for child in children:
            guardian = child.contacts.get()
            assert guardian.relationship in ("MTH", "FTH")
            assert guardian.phone

    def test_have_three_states_of_allergies(self):
        severe = AllergyIntolerance.objects.current().filter(criticality="high")
        none_known = AllergyIntolerance.objects.none_known()
        nobody_asked = Patient.objects.filter(allergies__isnull=True)

        assert severe.exists()
        assert none_known.exists()
        assert nobody_asked.exists()
        assert (
            not Patient.objects.filter(pk__in=none_known.values("patient"))
            .filter(pk__in=AllergyIntolerance.objects.current().values("patient"))
            .exists()
        )

    def test_have_vital_signs_over_time(self):
        measured = Counter(Observation.objects.vital_signs().values_list("code", flat=True))

        assert measured.keys() == VITALS
        assert min(measured.values()) > 26
        pressure = Observation.objects.filter(code="85354-9").first()
        assert [part.code for part in pressure.components.all()] == ["8480-6", "8462-4"]

    def test_have_nothing_before_birth_or_after_death(self):
        moments = {
            Encounter: "period_start",
            Immunization: "occurrence_at",
            Condition: "onset_at",
            Observation: "effective_at",
            MedicationRequest: "authored_at",
        }
        for model, name in moments.items():
            for entry in model.objects.select_related("patient"):
                at = getattr(entry, name)
                assert at.date() >= entry.patient.birth_date
                assert at <= (entry.patient.deceased_at or timezone.now())

    def test_have_problems_and_medications_in_open_code_systems(self):
        systems = {
            *Condition.objects.values_list("code_system", flat=True),
            *MedicationRequest.objects.values_list("code_system", flat=True),
            *Immunization.objects.values_list("code_system", flat=True),
        }

        assert systems == {
            "http://hl7.org/fhir/sid/icd-10-cm",
            "http://www.nlm.nih.gov/research/umls/rxnorm",
            "http://hl7.org/fhir/sid/cvx",
        }


class TestAgain:
    def test_makes_nobody_and_asks_little(self, in_elm):
        seed("elm", "--patients", "3")
        before = list(Patient.objects.values())

        with CaptureQueriesContext(connection) as queries:
            said = seed("elm", "--patients", "3")

        assert said == "Elm Street Clinic has its demo already; nothing was made."
        assert list(Patient.objects.values()) == before
        assert len(queries) <= 6

    def test_makes_those_who_are_missing(self, in_elm):
        seed("elm", "--patients", "3")

        said = seed("elm", "--patients", "5")

        assert "made 0 staff, 2 patients" in said
        assert Patient.objects.count() == 5

    def test_invents_the_same_people(self, in_elm, oak):
        seed("elm", "--patients", "3", "--seed", "word")
        names = list(Patient.objects.values_list("family", "given"))

        with context.override(oak.as_active(), in_transaction=True):
            seed("oak", "--patients", "3", "--seed", "word")
            assert list(Patient.objects.values_list("family", "given")) == names


class TestClinics:
    def test_have_different_people(self, in_elm, oak):
        seed("elm", "--patients", "5")
        seed("oak", "--patients", "5")
        here = set(Patient.objects.values_list("family", "given"))

        with context.override(oak.as_active(), in_transaction=True):
            there = set(Patient.objects.values_list("family", "given"))

        assert len(there) == 5
        assert not here & there

    def test_must_exist(self, in_elm):
        with pytest.raises(CommandError, match="'elmo'"):
            seed("elmo")


class TestProduction:
    def test_is_refused(self, in_elm, settings):
        settings.CLINICX_DEMO_SIGN_INS = []

        with pytest.raises(CommandError, match="local stack only"):
            seed("elm")

        assert not User.objects.exists()


class TestPeople:
    def test_are_somebody_else_for_each_number_and_seed(self):
        today = date(2024, 6, 15)
        first = people.invent(number=0, seed="elm", today=today)

        assert first == people.invent(number=0, seed="elm", today=today)
        assert first != people.invent(number=25, seed="elm", today=today)
        assert first != people.invent(number=0, seed="oak", today=today)


class TestCharts:
    def test_give_nobody_what_harms_them(self):
        """
        Of several hundred people some are allergic to what their illness is treated with.
        """
        given = {}
        now = timezone.now()
        for number in range(400):
            person = people.invent(number=number, seed="elm", today=timezone.localdate(now))
            rows = Rows()
            Chart(
                person,
                Patient(),
                doctors=[Practitioner()],
                clinic="Elm",
                seed="elm",
                now=now,
                rows=rows,
            ).write()
            if any(allergy.display == "Penicillin" for allergy in rows.allergies):
                given[number] = {each.display for each in rows.medications}

        drugs = set().union(*given.values())
        assert any("Azithromycin" in drug for drug in drugs)
        assert not any("Amoxicillin" in drug for drug in drugs)
