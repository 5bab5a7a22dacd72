"""How a vital sign is summed up: its last reading, rounded, and where it goes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from apps.chart import queries, vitals
from apps.chart.models import Observation, ObservationComponent
from apps.patients.models import Patient
from tenancy.models import Organization

WEIGHT, PRESSURE = "29463-7", "85354-9"


@pytest.fixture
def carla(in_elm: Organization) -> UUID:
    """Carla Echevarría of Elm."""
    patient: Patient = Patient.objects.create(family="Echevarría", given="Carla")
    return patient.pk


def measure(patient: UUID, number: str, *, year: int, code: str = WEIGHT, unit: str = "kg") -> None:
    Observation.objects.create(
        patient_id=patient,
        status="final",
        category="vital-signs",
        code=code,
        effective_at=datetime(year, 6, 1, 12, tzinfo=UTC),
        value_quantity=Decimal(number),
        value_unit=unit,
        value_unit_code=unit,
    )


def press(patient: UUID, systolic: str, diastolic: str | None, *, year: int) -> None:
    panel = Observation.objects.create(
        patient_id=patient,
        status="final",
        category="vital-signs",
        code=PRESSURE,
        effective_at=datetime(year, 6, 1, 12, tzinfo=UTC),
    )
    for code, number in (("8462-4", diastolic), ("8480-6", systolic)):
        if number is not None:
            panel.components.create(
                code=code, value_quantity=Decimal(number), value_unit_code="mm[Hg]"
            )


def latest(patient: UUID) -> list[vitals.Vital]:
    return list(queries.get_vitals(patient).latest)


class TestValue:
    def test_is_the_latest_rounded_for_reading(self, carla: UUID) -> None:
        measure(carla, "71.94999999999999", year=2020)
        measure(carla, "53.25000000000001", year=2021)

        [weight] = latest(carla)

        assert (weight.label, weight.value, weight.unit) == ("Weight", "53.3", "kg")
        assert weight.taken == date(2021, 6, 1)

    def test_of_blood_pressure_is_systolic_over_diastolic(self, carla: UUID) -> None:
        press(carla, "131.6489", "84.51", year=2021)

        [pressure] = latest(carla)

        assert (pressure.value, pressure.unit) == ("132/85", "mmHg")

    def test_may_be_nought(self, carla: UUID) -> None:
        measure(carla, "0", year=2021, code="72514-3", unit="{score}")

        [pain] = latest(carla)

        assert (pain.value, pain.unit) == ("0", "of 10")

    def test_of_half_a_blood_pressure_is_not_shown(self, carla: UUID) -> None:
        press(carla, "120", "80", year=2020)
        press(carla, "131", None, year=2021)

        [pressure] = latest(carla)

        assert pressure.value == "120/80"

    def test_leaves_out_what_was_withdrawn(self, carla: UUID) -> None:
        measure(carla, "71", year=2020)
        measure(carla, "710", year=2021)
        Observation.objects.filter(value_quantity=710).update(status="entered-in-error")

        assert [weight.value for weight in latest(carla)] == ["71.0"]

    def test_of_something_without_a_number_is_not_shown(self, carla: UUID) -> None:
        Observation.objects.create(
            patient_id=carla, status="final", category="vital-signs", code=WEIGHT
        )

        assert latest(carla) == []


class TestInterpretation:
    def test_is_what_was_recorded(self, carla: UUID) -> None:
        measure(carla, "38.4", year=2021, code="8310-5", unit="Cel")
        Observation.objects.update(interpretation="H")

        assert [vital.interpretation for vital in latest(carla)] == ["High"]

    def test_may_be_of_a_part(self, carla: UUID) -> None:
        press(carla, "180", "80", year=2021)
        ObservationComponent.objects.filter(code="8480-6").update(interpretation="HH")

        assert [vital.interpretation for vital in latest(carla)] == ["Critically high"]

    @pytest.mark.parametrize("code", ["", "N", "no-such-code"])
    def test_is_silent_when_there_is_nothing_to_say(self, carla: UUID, code: str) -> None:
        measure(carla, "36.8", year=2021, code="8310-5", unit="Cel")
        Observation.objects.update(interpretation=code)

        assert [vital.interpretation for vital in latest(carla)] == [""]


class TestOrder:
    def test_is_a_nurses(self, carla: UUID) -> None:
        measure(carla, "20.5", year=2020, code="39156-5", unit="kg/m2")
        measure(carla, "7", year=2020, code="1234-5", unit="x")
        measure(carla, "53", year=2020)
        measure(carla, "69", year=2020, code="8867-4", unit="/min")
        press(carla, "120", "80", year=2020)
        Observation.objects.filter(code="1234-5").update(display="Grip strength")

        assert [vital.label for vital in latest(carla)] == [
            "Blood pressure",
            "Heart rate",
            "Weight",
            "BMI",
            "Grip strength",
        ]


class TestTrend:
    @pytest.mark.parametrize(
        ("before", "after", "text", "icon"),
        [
            ("70", "72.5", "Up 2.5 since 1 Jun 2020", "rising"),
            ("70", "69.96", "Unchanged since 1 Jun 2020", "steady"),
            ("70", "68", "Down 2.0 since 1 Jun 2020", "falling"),
        ],
    )
    def test_compares_with_the_reading_before(
        self, carla: UUID, before: str, after: str, text: str, icon: str
    ) -> None:
        measure(carla, before, year=2020)
        measure(carla, after, year=2021)

        [weight] = latest(carla)

        assert (weight.trend, weight.trend_icon) == (text, icon)

    def test_needs_a_reading_before(self, carla: UUID) -> None:
        measure(carla, "70", year=2020)

        [weight] = latest(carla)

        assert weight.trend == "First reading"
        assert weight.sparkline is None

    def test_compares_nothing_in_another_unit(self, carla: UUID) -> None:
        measure(carla, "154", year=2020, unit="[lb_av]")
        measure(carla, "70", year=2021, unit="kg")

        [weight] = latest(carla)

        assert weight.trend == "First reading"


class TestSparkline:
    def test_goes_from_left_to_right_and_higher_is_up(self, carla: UUID) -> None:
        for year, number in ((2019, "70"), (2020, "75"), (2021, "80")):
            measure(carla, number, year=year)

        [weight] = latest(carla)

        assert weight.sparkline is not None
        [line] = weight.sparkline.lines
        points = [tuple(map(float, point.split(","))) for point in line.split()]
        assert points[0] == (3.0, 25.0)
        assert points[-1] == (93.0, 3.0)
        assert points[1][1] == 14.0
        assert weight.sparkline.label == "3 readings since 1 Jun 2019, between 70.0 and 80.0"

    def test_has_a_line_for_each_number(self, carla: UUID) -> None:
        press(carla, "120", "80", year=2020)
        press(carla, "130", "85", year=2021)

        [pressure] = latest(carla)

        assert pressure.sparkline is not None
        assert len(pressure.sparkline.lines) == len(pressure.sparkline.ends) == 2

    def test_of_what_never_changes_is_level(self, carla: UUID) -> None:
        measure(carla, "70", year=2020)
        measure(carla, "70", year=2021)

        [weight] = latest(carla)

        assert weight.sparkline is not None
        assert weight.sparkline.lines == ("3.0,14.0 93.0,14.0",)

    def test_shows_the_last_twelve(self, carla: UUID) -> None:
        for year in range(2000, 2020):
            measure(carla, str(year - 1950), year=year)

        [weight] = latest(carla)

        assert weight.sparkline is not None
        assert weight.sparkline.label.startswith("12 readings since 1 Jun 2008")
