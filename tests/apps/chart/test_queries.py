"""What the patient page shows of the chart: what comes first, what is left out, in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apps.chart import queries
from apps.patients.models import Patient
from apps.scheduling.models import Practitioner
from tenancy.models import Organization


@pytest.fixture
def carla(in_elm: Organization) -> Patient:
    """Carla Echevarría of Elm."""
    return Patient.objects.create(family="Echevarría", given="Carla")


def on(year: int) -> datetime:
    return datetime(year, 6, 1, 12, tzinfo=UTC)


class TestProblems:
    def test_are_active_or_past(self, carla: Patient) -> None:
        carla.conditions.create(display="Asthma", clinical_status="active", onset_at=on(2010))
        carla.conditions.create(display="Gout", clinical_status="relapse", onset_at=on(2015))
        carla.conditions.create(
            display="Flu", clinical_status="resolved", onset_at=on(2018), abatement_at=on(2019)
        )
        carla.conditions.create(display="Cold", clinical_status="inactive")

        problems = queries.get_problems(carla.pk)

        assert [problem.name for problem in problems.active] == ["Gout", "Asthma"]
        assert [problem.name for problem in problems.past] == ["Flu", "Cold"]
        assert (problems.past[0].since, problems.past[0].until) == ("1 Jun 2018", "1 Jun 2019")

    def test_that_were_refuted_are_left_out(self, carla: Patient) -> None:
        for status in ("refuted", "entered-in-error"):
            carla.conditions.create(display="Asthma", verification_status=status)

        problems = queries.get_problems(carla.pk)

        assert problems.active == problems.past == ()

    def test_say_when_they_are_not_certain(self, carla: Patient) -> None:
        carla.conditions.create(
            display="Asthma", clinical_status="active", verification_status="provisional"
        )

        assert queries.get_problems(carla.pk).active[0].doubt == "Provisional"

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("Viral sinusitis (disorder)", "Viral sinusitis"),
            ("Normal pregnancy (finding)", "Normal pregnancy"),
            ("Dander (animal) allergy", "Dander (animal) allergy"),
            ("Asthma (mild)", "Asthma (mild)"),
        ],
    )
    def test_leave_out_what_snomed_says_for_machines(
        self, carla: Patient, written: str, shown: str
    ) -> None:
        carla.conditions.create(display=written, clinical_status="active")

        assert queries.get_problems(carla.pk).active[0].name == shown

    def test_end_somewhere(self, carla: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queries, "MOST_ENTRIES", 2)
        for number in range(3):
            carla.conditions.create(display=f"Cold {number}", clinical_status="resolved")

        problems = queries.get_problems(carla.pk)

        assert len(problems.past) == 2
        assert problems.are_more


class TestMedications:
    def test_are_active_or_past(self, carla: Patient) -> None:
        for status in ("stopped", "completed", "active", "on-hold", "draft", "entered-in-error"):
            carla.medications.create(display=status, status=status, intent="order")

        medications = queries.get_medications(carla.pk, at=timezone.now())

        assert {entry.name for entry in medications.active} == {"active", "on-hold"}
        assert {entry.name for entry in medications.past} == {"stopped", "completed"}

    def test_that_nobody_looked_at_for_a_year_ask_for_it(self, carla: Patient) -> None:
        now = timezone.now()
        for days in (10, 400):
            carla.medications.create(
                display=f"{days}",
                status="active",
                intent="order",
                authored_at=now - timedelta(days=days),
            )

        medications = queries.get_medications(carla.pk, at=now)

        assert [entry.is_due_for_review for entry in medications.active] == [False, True]
        assert medications.due_for_review == 1


class TestVisits:
    def test_are_the_latest_with_their_number(self, carla: Patient) -> None:
        june = Practitioner.objects.create(prefix="Dr.", given="June", family="Kassulke")
        for year in range(2000, 2012):
            carla.encounters.create(
                status="finished",
                class_code="AMB",
                type_display="Encounter for check up (procedure)",
                reason_display="Asthma (disorder)",
                period_start=on(year),
                practitioner=june,
                service_provider="Elm Street Clinic",
            )

        visits = queries.get_visits(carla.pk)

        assert (len(visits.recent), visits.count, visits.earlier) == (8, 12, 4)
        visit = visits.recent[0]
        assert (visit.start, visit.what, visit.reason) == (
            on(2011),
            "Encounter for check up",
            "Asthma",
        )
        assert visit.status == ""
        assert visit.note == "Dr. June Kassulke"

    def test_say_what_is_not_to_be_expected(self, carla: Patient) -> None:
        carla.encounters.create(
            status="finished", class_code="EMER", service_provider="Saint Anne's"
        )

        assert queries.get_visits(carla.pk).recent[0].note == "Emergency · Saint Anne's"

    @pytest.mark.parametrize(
        ("status", "label", "is_open"),
        [
            ("in-progress", "In progress", True),
            ("planned", "Planned", True),
            ("cancelled", "Cancelled", False),
            ("finished", "", False),
        ],
    )
    def test_say_how_they_stand(
        self, carla: Patient, status: str, label: str, is_open: bool
    ) -> None:
        carla.encounters.create(status=status, class_code="AMB")

        [visit] = queries.get_visits(carla.pk).recent

        assert (visit.status, visit.is_open) == (label, is_open)

    def test_entered_in_error_are_left_out(self, carla: Patient) -> None:
        carla.encounters.create(status="entered-in-error", class_code="AMB")

        assert queries.get_visits(carla.pk).count == 0


class TestVaccines:
    def test_are_counted_by_kind(self, carla: Patient) -> None:
        for year in (2017, 2019, 2018):
            carla.immunizations.create(
                status="completed", code="140", display="Influenza", occurrence_at=on(year)
            )
        carla.immunizations.create(
            status="completed", code="115", display="Tdap", occurrence_text="as a child"
        )
        carla.immunizations.create(status="not-done", code="62", display="HPV")

        given = queries.get_vaccines(carla.pk).given

        assert [(vaccine.name, vaccine.doses, vaccine.last) for vaccine in given] == [
            ("Influenza", 3, "1 Jun 2019"),
            ("Tdap", 1, "as a child"),
        ]


class TestAllergies:
    def test_say_what_happened(self, carla: Patient) -> None:
        allergy = carla.allergies.create(
            display="Penicillin",
            clinical_status="active",
            type="allergy",
            categories=["medication"],
            recorded_at=on(2019),
        )
        allergy.reactions.create(manifestations=["Hives", "Swelling"], severity="severe")

        [shown] = queries.get_allergies(carla.pk).listed

        assert (shown.reactions, shown.kind) == ("Hives, Swelling, severe", "Allergy, medication")

    def test_that_are_over_are_left_out(self, carla: Patient) -> None:
        carla.allergies.create(display="Milk", clinical_status="resolved")

        allergies = queries.get_allergies(carla.pk)

        assert (allergies.listed, allergies.none_known) == ((), False)

    def test_in_the_list_outweigh_that_none_were_known(self, carla: Patient) -> None:
        carla.allergies.create(code="no-known-allergies", clinical_status="active")
        carla.allergies.create(display="Milk", clinical_status="active")

        assert [entry.name for entry in queries.get_allergies(carla.pk).listed] == ["Milk"]
