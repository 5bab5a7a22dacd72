"""How vital signs are shown: which comes first, in which unit, with how many decimals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from django.utils import timezone

from apps.chart.models import MeasuredValue, Observation
from apps.ui import wording

BLOOD_PRESSURE = "85354-9"
_SYSTOLIC, _DIASTOLIC = "8480-6", "8462-4"

# UCUM says it for machines; this is how it stands on a chart.
_UNITS = {
    "mm[Hg]": "mmHg",
    "/min": "per min",
    "Cel": "°C",
    "[degF]": "°F",
    "kg/m2": "kg/m²",
    "[lb_av]": "lb",
    "[in_i]": "in",
    "{score}": "of 10",
}


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A vital sign that the chart has a name of its own for."""

    label: str
    decimals: int


# LOINC's codes, in the order in which a nurse says them.
SIGNS = {
    BLOOD_PRESSURE: Sign(label="Blood pressure", decimals=0),
    "8867-4": Sign(label="Heart rate", decimals=0),
    "9279-1": Sign(label="Respiratory rate", decimals=0),
    "8310-5": Sign(label="Temperature", decimals=1),
    "2708-6": Sign(label="Oxygen saturation", decimals=0),
    "59408-5": Sign(label="Oxygen saturation", decimals=0),
    "29463-7": Sign(label="Weight", decimals=1),
    "8302-2": Sign(label="Height", decimals=1),
    "39156-5": Sign(label="BMI", decimals=1),
    "59576-9": Sign(label="BMI percentile", decimals=0),
    "9843-4": Sign(label="Head circumference", decimals=1),
    "72514-3": Sign(label="Pain", decimals=0),
}
_ORDER = {code: position for position, code in enumerate(SIGNS)}

# What whoever measured thought of it (HL7 v3 ObservationInterpretation).
_INTERPRETATIONS = {
    "L": "Low",
    "LL": "Critically low",
    "H": "High",
    "HH": "Critically high",
    "A": "Abnormal",
    "AA": "Critically abnormal",
}

# The drawing's own measure; the stylesheet gives it its size on the page.
WIDTH, HEIGHT, MARGIN = 96, 28, 3


@dataclass(frozen=True, kw_only=True)
class Point:
    x: str
    y: str


@dataclass(frozen=True, kw_only=True)
class Sparkline:
    """The shape of the last readings: lines in an SVG of WIDTH by HEIGHT, and in words."""

    lines: tuple[str, ...]
    ends: tuple[Point, ...]
    label: str
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, kw_only=True)
class Vital:
    """The latest reading of one vital sign, and what became of it since the one before."""

    label: str
    value: str
    unit: str
    taken: date
    trend: str
    trend_icon: str
    sparkline: Sparkline | None
    interpretation: str
    is_preliminary: bool


@dataclass(frozen=True, kw_only=True)
class _Reading:
    at: datetime
    numbers: tuple[Decimal, ...]
    unit: str
    interpretation: str


def summarize(observations: Sequence[Observation]) -> Vital | None:
    """
    Return what to show of one vital sign, given its observations, the latest first.

    None when there is no number among them. Readings in another unit than the latest's
    are left out of the comparison, not converted: a chart must not invent figures.
    """
    sign = SIGNS.get(observations[0].code) or Sign(label=str(observations[0]), decimals=1)
    readings = [reading for reading in map(_reading, observations) if reading]
    if not readings:
        return None
    latest = readings[0]
    comparable = [
        reading
        for reading in readings
        if reading.unit == latest.unit and len(reading.numbers) == len(latest.numbers)
    ]
    trend, trend_icon = _trend(comparable, sign.decimals)
    return Vital(
        label=sign.label,
        value="/".join(_write(number, sign.decimals) for number in latest.numbers),
        unit=latest.unit,
        taken=timezone.localdate(latest.at),
        trend=trend,
        trend_icon=trend_icon,
        sparkline=_sparkline(comparable[::-1], sign.decimals),
        interpretation=latest.interpretation,
        is_preliminary=observations[0].status in ("registered", "preliminary"),
    )


def position(code: str) -> tuple[int, str]:
    """Return where a vital sign stands among the others; unknown ones come last."""
    return _ORDER.get(code, len(_ORDER)), code


def _reading(observation: Observation) -> _Reading | None:
    if observation.effective_at is None:
        return None
    if observation.code == BLOOD_PRESSURE:
        parts = {part.code: part for part in observation.components.all()}
        values: list[MeasuredValue | None] = [parts.get(_SYSTOLIC), parts.get(_DIASTOLIC)]
    else:
        values = [observation]
    numbers = tuple(
        value.value_quantity for value in values if value and value.value_quantity is not None
    )
    if len(numbers) != len(values) or values[0] is None:
        return None
    said = [value.interpretation for value in [observation, *values] if value]
    return _Reading(
        at=observation.effective_at,
        numbers=numbers,
        unit=_unit(values[0]),
        interpretation=next(
            (_INTERPRETATIONS[code] for code in said if code in _INTERPRETATIONS), ""
        ),
    )


def _unit(value: MeasuredValue) -> str:
    return _UNITS.get(value.value_unit_code or value.value_unit) or value.value_unit


def _round(number: Decimal, decimals: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def _write(number: Decimal, decimals: int) -> str:
    return f"{_round(number, decimals):f}"


def _trend(readings: Sequence[_Reading], decimals: int) -> tuple[str, str]:
    """Return how the first number moved since the reading before, and the arrow for it."""
    if len(readings) < 2:
        return "First reading", "steady"
    latest, before = readings[0], readings[1]
    change = _round(latest.numbers[0], decimals) - _round(before.numbers[0], decimals)
    since = f"since {wording.day(before.at)}"
    if not change:
        return f"Unchanged {since}", "steady"
    if change > 0:
        return f"Up {_write(change, decimals)} {since}", "rising"
    return f"Down {_write(-change, decimals)} {since}", "falling"


def _sparkline(readings: Sequence[_Reading], decimals: int) -> Sparkline | None:
    """Return the drawing of readings in the order of time, None when there is no line."""
    if len(readings) < 2:
        return None
    series = list(zip(*(reading.numbers for reading in readings), strict=True))
    low = min(min(numbers) for numbers in series)
    high = max(max(numbers) for numbers in series)
    lines, ends = [], []
    for numbers in series:
        points = list(_points([reading.at for reading in readings], numbers, low, high))
        lines.append(" ".join(f"{point.x},{point.y}" for point in points))
        ends.append(points[-1])
    label = (
        f"{len(readings)} readings since {wording.day(readings[0].at)}, "
        f"between {_write(low, decimals)} and {_write(high, decimals)}"
    )
    return Sparkline(lines=tuple(lines), ends=tuple(ends), label=label)


def _points(
    times: Sequence[datetime], numbers: Sequence[Decimal], low: Decimal, high: Decimal
) -> Iterable[Point]:
    whole_time = (times[-1] - times[0]).total_seconds() or 1
    whole_range = high - low
    for at, number in zip(times, numbers, strict=True):
        across = (at - times[0]).total_seconds() / whole_time
        up = float((number - low) / whole_range) if whole_range else 0.5
        yield Point(
            x=f"{MARGIN + across * (WIDTH - 2 * MARGIN):.1f}",
            y=f"{HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN):.1f}",
        )
