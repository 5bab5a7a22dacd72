"""What the demo's people have gone through: visits, measurements, problems, medications."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from django.utils import timezone

from apps.chart.models import (
    ABSENT_OR_UNKNOWN,
    NO_KNOWN_ALLERGIES,
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
from apps.scheduling.models import Practitioner
from clinicx.local.demo import people, terminology
from clinicx.local.demo.people import Person, months_after
from clinicx.local.demo.terminology import Drug, Measurement, Problem

_LONG_AGO = 600  # days after which an order without an end looks forgotten


@dataclass(slots=True)
class Rows:
    """Unsaved rows, a list for each table."""

    encounters: list[Encounter] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    components: list[ObservationComponent] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    allergies: list[AllergyIntolerance] = field(default_factory=list)
    reactions: list[AllergyReaction] = field(default_factory=list)
    medications: list[MedicationRequest] = field(default_factory=list)
    immunizations: list[Immunization] = field(default_factory=list)


class Chart:
    """One person's chart, made from the beginning of their time at the clinic until now."""

    def __init__(
        self,
        person: Person,
        patient: Patient,
        *,
        doctors: list[Practitioner],
        clinic: str,
        seed: str,
        now: datetime,
        rows: Rows,
    ) -> None:
        self._person = person
        self._patient = patient
        self._doctor = doctors[person.number % len(doctors)]
        self._clinic = clinic
        self._now = now
        self._end = min(now, person.deceased_at or now)
        self._rows = rows
        self._rng = Random(f"{seed}/{person.number}/chart")  # noqa: S311  # nothing secret
        self._build = self._rng.uniform(0.85, 1.3)
        self._harmful: set[str] = set()
        self._chronic: list[Problem] = []

    def write(self) -> None:
        first_visit = self._first_visit()
        self._write_allergies(first_visit)
        self._write_immunizations()
        dates = sorted(self._visit_dates(first_visit))
        self._chronic = list(self._choose_chronic())
        unknown = list(self._chronic)
        for position, started in enumerate(dates):
            visit = self._write_visit(started, is_first=position == 0)
            if visit.status == "cancelled":
                continue
            found = [each for each in unknown if self._may_have(each, started)]
            for problem in found:
                self._write_chronic(problem, visit)
                unknown.remove(problem)
            if position % 3 == 0:
                self._write_laboratory(visit)

    def _first_visit(self) -> datetime:
        """Return when the clinic first saw them: some years ago, or when they were born."""
        years = self._rng.choice([1, 2, 3, 4, 6, 8])
        earliest = timezone.make_aware(
            datetime.combine(self._person.birth_date, time(9)) + timedelta(days=10)
        )
        return max(self._end - timedelta(days=365 * years), min(earliest, self._end))

    def _visit_dates(self, first: datetime) -> Iterator[datetime]:
        yield self._office_hour(first)
        when = first
        while (when := when + timedelta(days=self._rng.randrange(60, 300))) < self._end:
            yield self._office_hour(when)

    def _office_hour(self, day: datetime) -> datetime:
        """Return a quarter of an hour of that day's practice, in the clinic's own time."""
        local = timezone.localtime(day)
        while local.weekday() > 4:
            local -= timedelta(days=1)
        quarter = self._rng.randrange(8 * 4, 17 * 4)
        started = local.replace(hour=quarter // 4, minute=quarter % 4 * 15, second=0, microsecond=0)
        return min(started, self._end - timedelta(hours=1))

    # Visits

    def _write_visit(self, started: datetime, *, is_first: bool) -> Encounter:
        was_missed = not is_first and self._rng.random() < 0.06
        is_routine = is_first or was_missed or self._rng.random() < 0.4
        acute = None if is_routine else self._choose_acute(started)
        is_call = not is_first and acute is None and self._rng.random() < 0.15
        visit = Encounter(
            patient=self._patient,
            practitioner=self._doctor,
            status="cancelled" if was_missed else "finished",
            class_code="VR" if is_call else "AMB",
            type_display=self._type(is_first=is_first, is_call=is_call, acute=acute),
            period_start=started,
            period_end=started + timedelta(minutes=self._rng.choice([15, 20, 30, 45])),
            service_provider=self._clinic,
        )
        if acute:
            visit.reason_system = terminology.ICD_10_CM
            visit.reason_code, visit.reason_display = acute.code, acute.display
        self._rows.encounters.append(visit)
        if not (is_call or was_missed):
            self._write_vitals(visit, is_ill=acute is not None and acute.code[0] in "JHAN")
        if acute:
            self._write_acute(acute, visit)
        return visit

    def _type(self, *, is_first: bool, is_call: bool, acute: Problem | None) -> str:
        if is_call:
            return "Telephone consultation"
        if is_first:
            return "First visit"
        if acute:
            return "Problem visit"
        return "Well child visit" if self._age(self._end) < 16 else "Follow-up visit"

    def _age(self, at: datetime) -> int:
        return self._person.age(timezone.localdate(at))

    def _choose_acute(self, at: datetime) -> Problem:
        fitting = [each for each in terminology.ACUTE if self._may_have(each, at)]
        return self._rng.choices(fitting, [each.share for each in fitting])[0]

    def _choose_chronic(self) -> Iterator[Problem]:
        chosen = set()
        for problem in terminology.CHRONIC:
            may = self._may_have(problem, self._end) and problem.code not in chosen
            if may and self._rng.random() < problem.share:
                chosen.add(problem.code)
                yield problem

    def _may_have(self, problem: Problem, at: datetime) -> bool:
        return self._age(at) in problem.ages and problem.gender in ("", self._person.gender)

    # Measurements

    def _write_vitals(self, visit: Encounter, *, is_ill: bool) -> None:
        assert visit.period_start is not None  # noqa: S101  # set by _write_visit
        at = visit.period_start + timedelta(minutes=4)
        age = (timezone.localdate(at) - self._person.birth_date).days / 365.25
        height = _height(age, self._person.gender)
        weight = _weight(age, height, self._build) * self._rng.uniform(0.98, 1.02)
        self._measure(visit, at, terminology.HEIGHT, height)
        self._measure(visit, at, terminology.WEIGHT, weight)
        self._measure(visit, at, terminology.BODY_MASS_INDEX, weight / (height / 100) ** 2)
        fever = self._rng.uniform(0.8, 2.2) if is_ill else 0
        self._measure(visit, at, terminology.TEMPERATURE, self._rng.gauss(36.7, 0.2) + fever)
        pulse = 72 + max(0, 16 - age) * 3.2 + fever * 9
        self._measure(visit, at, terminology.HEART_RATE, self._rng.gauss(pulse, 6))
        breaths = 15 + max(0, 12 - age) * 1.6 + fever * 2
        self._measure(visit, at, terminology.RESPIRATORY_RATE, self._rng.gauss(breaths, 1.2))
        has_copd = any(problem.code == "J44.9" for problem in self._chronic)
        saturation = min(100, self._rng.gauss(93 if has_copd else 98, 1))
        self._measure(visit, at, terminology.OXYGEN_SATURATION, saturation)
        if age >= 3:
            self._write_blood_pressure(visit, at, age)
        if age >= 15 and self._rng.random() < 0.4:
            self._write_smoking(visit, at)

    def _measure(
        self,
        visit: Encounter,
        at: datetime,
        what: Measurement,
        value: float,
        category: str = "vital-signs",
    ) -> None:
        self._rows.observations.append(
            Observation(
                **self._observed(visit, at, what, category),
                value_quantity=_rounded(value, what),
                value_unit=what.unit,
                value_unit_code=what.unit,
            )
        )

    def _observed(
        self, visit: Encounter, at: datetime, what: Measurement, category: str
    ) -> dict[str, object]:
        return {
            "patient": self._patient,
            "encounter": visit,
            "status": "final",
            "category": category,
            "code_system": terminology.LOINC,
            "code": what.code,
            "display": what.display,
            "effective_at": at,
            "issued_at": at,
        }

    def _write_blood_pressure(self, visit: Encounter, at: datetime, age: float) -> None:
        has_hypertension = any(problem.code == "I10" for problem in self._chronic)
        mean = 95 + min(age, 20) * 1.2 + max(0, age - 40) * 0.35 + 17 * has_hypertension
        systolic = self._rng.gauss(mean, 7)
        diastolic = systolic * 0.62 + self._rng.gauss(0, 4)
        panel = Observation(**self._observed(visit, at, terminology.BLOOD_PRESSURE, "vital-signs"))
        self._rows.observations.append(panel)
        for position, (what, value) in enumerate(
            [(terminology.SYSTOLIC, systolic), (terminology.DIASTOLIC, diastolic)]
        ):
            self._rows.components.append(
                ObservationComponent(
                    observation=panel,
                    position=position,
                    code_system=terminology.LOINC,
                    code=what.code,
                    display=what.display,
                    value_quantity=_rounded(value, what),
                    value_unit=what.unit,
                    value_unit_code=what.unit,
                )
            )

    def _write_smoking(self, visit: Encounter, at: datetime) -> None:
        habit = Random(f"{self._patient.pk}/smoking")  # noqa: S311  # the same at each visit
        code, words = habit.choices(terminology.SMOKING_STATUS, [6, 3, 2])[0]
        self._rows.observations.append(
            Observation(
                **self._observed(visit, at, terminology.SMOKING, "social-history"),
                value_code_system=terminology.LOINC,
                value_code=code,
                value_text=words,
            )
        )

    def _write_laboratory(self, visit: Encounter) -> None:
        assert visit.period_start is not None  # noqa: S101  # set by _write_visit
        for problem in self._chronic:
            if problem.code in terminology.LABORATORY:
                what, low, high = terminology.LABORATORY[problem.code]
                at = visit.period_start + timedelta(hours=20)
                if at < self._end:
                    self._measure(visit, at, what, self._rng.uniform(low, high), "laboratory")

    # Problems and what is given for them

    def _write_chronic(self, problem: Problem, visit: Encounter) -> None:
        assert visit.period_start is not None  # noqa: S101  # set by _write_visit
        began = visit.period_start - timedelta(days=self._rng.randrange(10, 200))
        born = timezone.make_aware(datetime.combine(self._person.birth_date, time()))
        self._rows.conditions.append(
            Condition(
                patient=self._patient,
                encounter=visit,
                clinical_status="active",
                verification_status="confirmed",
                category="problem-list-item",
                code_system=terminology.ICD_10_CM,
                code=problem.code,
                display=problem.display,
                onset_at=max(began, born),
                recorded_at=visit.period_start,
            )
        )
        is_recent = (self._now - visit.period_start).days < _LONG_AGO
        for name in problem.drugs:
            is_stopped = not is_recent and self._rng.random() < 0.25
            self._prescribe(name, visit, "stopped" if is_stopped else "active")

    def _write_acute(self, problem: Problem, visit: Encounter) -> None:
        assert visit.period_start is not None  # noqa: S101  # set by _write_visit
        over_at = visit.period_start + timedelta(days=self._rng.randrange(7, 21))
        is_over = over_at < self._end
        self._rows.conditions.append(
            Condition(
                patient=self._patient,
                encounter=visit,
                clinical_status="resolved" if is_over else "active",
                verification_status="confirmed",
                category="encounter-diagnosis",
                code_system=terminology.ICD_10_CM,
                code=problem.code,
                display=problem.display,
                onset_at=visit.period_start - timedelta(days=self._rng.randrange(1, 6)),
                abatement_at=over_at if is_over else None,
                recorded_at=visit.period_start,
            )
        )
        for name in problem.drugs:
            self._prescribe(name, visit, "completed" if is_over else "active")

    def _prescribe(self, name: str, visit: Encounter, status: str) -> None:
        drug = self._harmless(terminology.DRUGS[name])
        self._rows.medications.append(
            MedicationRequest(
                patient=self._patient,
                encounter=visit,
                requester=self._doctor,
                status=status,
                intent="order",
                code_system=terminology.RXNORM,
                code=drug.code,
                display=drug.display,
                authored_at=visit.period_start,
                dosage_text=drug.dosage,
            )
        )

    def _harmless(self, drug: Drug) -> Drug:
        """Return what to give instead to those who are allergic."""
        if drug.family in self._harmful:
            return terminology.DRUGS[terminology.INSTEAD.get(drug.family, "acetaminophen")]
        return drug

    def _write_allergies(self, recorded_at: datetime) -> None:
        story = self._person.story
        if story == people.NEVER_ASKED:
            return
        if story == people.SEVERE_ALLERGY:
            self._write_allergy(terminology.ALLERGENS[0], recorded_at, is_severe=True)
        elif story == people.NO_KNOWN_ALLERGY or self._rng.random() < 0.55:
            self._write_no_known_allergies(recorded_at)
        elif self._rng.random() < 0.8:
            for allergen in self._rng.sample(terminology.ALLERGENS, self._rng.choice([1, 1, 2, 3])):
                self._write_allergy(allergen, recorded_at, is_severe=self._rng.random() < 0.25)

    def _write_allergy(
        self, allergen: terminology.Allergen, recorded_at: datetime, *, is_severe: bool
    ) -> None:
        self._harmful.add(allergen.family or allergen.display)
        allergy = AllergyIntolerance(
            patient=self._patient,
            clinical_status="active",
            verification_status="confirmed",
            type="allergy",
            categories=[allergen.category],
            criticality="high" if is_severe else "low",
            code_system=terminology.RXNORM if allergen.code else "",
            code=allergen.code,
            display=allergen.display,
            recorded_at=recorded_at,
        )
        self._rows.allergies.append(allergy)
        self._rows.reactions.append(
            AllergyReaction(
                allergy=allergy,
                manifestations=["Anaphylaxis" if is_severe else allergen.reaction],
                severity="severe" if is_severe else self._rng.choice(["mild", "moderate"]),
            )
        )

    def _write_no_known_allergies(self, recorded_at: datetime) -> None:
        self._rows.allergies.append(
            AllergyIntolerance(
                patient=self._patient,
                clinical_status="active",
                verification_status="confirmed",
                code_system=ABSENT_OR_UNKNOWN,
                code=NO_KNOWN_ALLERGIES,
                display="No known allergies",
                recorded_at=recorded_at,
            )
        )

    def _write_immunizations(self) -> None:
        born = self._person.birth_date
        end = timezone.localdate(self._end)
        is_child = self._person.age(end) < 18
        for vaccine in terminology.CHILD_VACCINES if is_child else terminology.ADULT_VACCINES:
            for months in vaccine.months:
                due = months_after(born, months)
                if due < end and self._rng.random() < (0.95 if is_child else 0.6):
                    given = due + timedelta(days=self._rng.randrange(0, 20))
                    self._immunize(vaccine, min(given, end))
        for years_ago in range(3):
            october = date(end.year - years_ago, 10, self._rng.randrange(1, 29))
            if months_after(born, 6) < october < end and self._rng.random() < 0.4:
                self._immunize(terminology.INFLUENZA, october)

    def _immunize(self, vaccine: terminology.Vaccine, day: date) -> None:
        at = timezone.make_aware(datetime.combine(day, time(self._rng.randrange(9, 16), 30)))
        self._rows.immunizations.append(
            Immunization(
                patient=self._patient,
                status="completed",
                code_system=terminology.CVX,
                code=vaccine.code,
                display=vaccine.display,
                occurrence_at=min(at, self._end),
                primary_source=True,
                lot_number=f"{self._rng.choice('ABCDEF')}{self._rng.randrange(10_000, 99_999)}",
            )
        )


def _rounded(value: float, what: Measurement) -> Decimal:
    return Decimal(f"{value:.{what.places}f}")


# Centimetres at birth, and at 1, 2, 4 ... 18 years; in between people grow evenly.
_AGES = [0, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18]
_HEIGHTS = {
    "female": [49, 74, 86, 101, 115, 127, 138, 150, 160, 163, 164],
    "male": [50, 76, 88, 102, 116, 128, 138, 149, 164, 173, 177],
}


def _height(age: float, gender: str) -> float:
    heights = _HEIGHTS.get(gender, _HEIGHTS["female"])
    if age >= _AGES[-1]:
        return heights[-1]
    upper = next(position for position, limit in enumerate(_AGES) if age < limit)
    low, high = _AGES[upper - 1], _AGES[upper]
    share = (age - low) / (high - low)
    return heights[upper - 1] + share * (heights[upper] - heights[upper - 1])


def _weight(age: float, height: float, build: float) -> float:
    """Return kilograms for a usual body mass index at that age, thinner in childhood."""
    usual = 22.5 if age >= 18 else 15.5 + max(0, age - 6) * 0.5
    return usual * (height / 100) ** 2 * (build if age >= 16 else (build + 1) / 2)
