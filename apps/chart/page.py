"""What the chart adds to the patient page, by what the viewer may see."""

from __future__ import annotations

from datetime import datetime

from apps.accounts.models import User
from apps.chart import queries
from apps.patients.models import Patient
from apps.patients.page import Contribution, Section


def contribute(patient: Patient, viewer: User, at: datetime) -> Contribution:
    """
    Return the clinical sections, each of them only with its own permission.

    What the viewer may not see is not fetched either.
    """
    banner: list[Section] = []
    main: list[Section] = []
    aside: list[Section] = []
    if viewer.has_perm("chart.view_allergyintolerance"):
        allergies = queries.get_allergies(patient.pk)
        banner.append(Section(template="chart/_allergy_chips.html", content=allergies))
        aside.append(Section(template="chart/_allergies.html", content=allergies))
    if viewer.has_perm("chart.view_condition"):
        problems = queries.get_problems(patient.pk)
        main.append(Section(template="chart/_problems.html", content=problems))
    if viewer.has_perm("chart.view_medicationrequest"):
        medications = queries.get_medications(patient.pk, at=at)
        main.append(Section(template="chart/_medications.html", content=medications))
    if viewer.has_perm("chart.view_encounter"):
        visits = queries.get_visits(patient.pk)
        main.append(Section(template="chart/_visits.html", content=visits))
    if viewer.has_perm("chart.view_observation"):
        vitals = queries.get_vitals(patient.pk)
        aside.append(Section(template="chart/_vitals.html", content=vitals))
    if viewer.has_perm("chart.view_immunization"):
        vaccines = queries.get_vaccines(patient.pk)
        aside.append(Section(template="chart/_vaccines.html", content=vaccines))
    return Contribution(
        banner=tuple(banner),
        main=tuple(main),
        aside=tuple(aside),
        stylesheets=("chart/chart.css",) if main or aside else (),
    )
