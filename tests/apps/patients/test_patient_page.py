"""The patient page: who may see it, what the banner says, what each role sees of the chart."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.patients import views
from apps.patients.models import Patient
from apps.scheduling.models import Practitioner
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient

Register = Callable[..., Patient]

CLINICAL = ["Problems", "Medications", "Visits", "Allergies", "Latest vitals", "Immunizations"]


def address_of(patient: Patient) -> str:
    return f"/patients/{patient.pk}/"


def text_of(response: Any) -> str:
    """Return the words of a page as they are read."""
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def cards_of(response: Any) -> list[str]:
    titles = re.findall(r'<h2 class="card__title"[^>]*>(.*?)</h2>', response.content.decode())
    return [title.strip() for title in titles]


@pytest.fixture
def carla(in_elm: Organization, register: Register) -> Patient:
    """Carla Echevarría of Elm."""
    return register("Echevarría", "Carla", born="1981-02-14", gender="female", phone="555-0192")


@pytest.fixture
def at_elm(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> Callable[[str], Any]:
    """A function that returns Elm's browser with somebody of that role signed in."""

    def at_elm(role: str) -> TenantClient:
        sign_in(elm_client, role)
        return elm_client

    return at_elm


class TestPage:
    def test_shows_who_the_patient_is(self, carla: Patient, at_elm: Any) -> None:
        words = text_of(at_elm("doctor").get(address_of(carla)))

        assert "Carla Echevarría" in words
        assert "Born 14 Feb 1981 Female" in words
        assert f"MRN {carla.mrn}" in words

    def test_of_another_clinic_is_not_there(
        self, oak: Organization, register: Register, at_elm: Any
    ) -> None:
        with context.override(oak.as_active(), in_transaction=True):
            otto = register("Oakes", "Otto")

        assert at_elm("doctor").get(address_of(otto)).status_code == 404

    def test_of_nobody_is_not_there(self, at_elm: Any) -> None:
        response = at_elm("doctor").get(f"/patients/{uuid4()}/")

        assert response.status_code == 404
        assert "Nothing here" in response.content.decode()

    def test_sends_a_stranger_to_sign_in(self, carla: Patient, elm_client: TenantClient) -> None:
        response = elm_client.get(address_of(carla))

        assert response.status_code == 302
        assert response["Location"] == f"/sign-in/?next={address_of(carla)}"

    def test_is_refused_to_whoever_has_no_right(
        self, carla: Patient, elm_client: TenantClient
    ) -> None:
        elm_client.force_login(User.objects.create_user("cleaner"))

        assert elm_client.get(address_of(carla)).status_code == 403

    @pytest.mark.parametrize("method", ["post", "put", "delete"])
    def test_answers_405_to_another_method(self, carla: Patient, at_elm: Any, method: str) -> None:
        assert getattr(at_elm("doctor"), method)(address_of(carla)).status_code == 405

    def test_is_in_no_cache(self, carla: Patient, at_elm: Any) -> None:
        assert "no-store" in at_elm("doctor").get(address_of(carla))["Cache-Control"]


class TestRoles:
    @pytest.mark.parametrize("role", ["doctor", "nurse", "clinic_admin"])
    def test_that_treat_see_the_chart(self, carla: Patient, at_elm: Any, role: str) -> None:
        response = at_elm(role).get(address_of(carla))

        assert cards_of(response) == [*CLINICAL, "Details"]

    @pytest.mark.parametrize("role", ["receptionist", "billing"])
    def test_that_do_not_see_the_person_only(self, carla: Patient, at_elm: Any, role: str) -> None:
        carla.allergies.create(display="Penicillin", clinical_status="active")

        response = at_elm(role).get(address_of(carla))

        assert cards_of(response) == ["Details"]
        assert "555-0192" in text_of(response)
        assert "Penicillin" not in text_of(response)
        assert "llergies" not in text_of(response)

    def test_see_a_section_for_each_permission(
        self, carla: Patient, elm_client: TenantClient
    ) -> None:
        pharmacist = User.objects.create_user("pharmacist")
        pharmacist.user_permissions.set(
            Permission.objects.filter(codename__in=["view_patient", "view_medicationrequest"])
        )
        elm_client.force_login(pharmacist)

        assert cards_of(elm_client.get(address_of(carla))) == ["Medications", "Details"]


class TestBanner:
    def test_of_the_dead_says_when_and_how_old(
        self, in_elm: Organization, register: Register, at_elm: Any
    ) -> None:
        died = datetime(1993, 10, 17, 12, tzinfo=UTC)
        jacob = register("Blick", "Jacob", born="1955-12-28", deceased=True, deceased_at=died)

        words = text_of(at_elm("nurse").get(address_of(jacob)))

        assert "Deceased Died 17 Oct 1993 at 37 years Born 28 Dec 1955" in words

    def test_of_a_closed_record_says_so(
        self, in_elm: Organization, register: Register, at_elm: Any
    ) -> None:
        fabian = register("Murray", "Fabian", active=False)

        assert "Inactive record" in text_of(at_elm("nurse").get(address_of(fabian)))

    def test_says_what_is_not_known(
        self, in_elm: Organization, register: Register, at_elm: Any
    ) -> None:
        words = text_of(at_elm("nurse").get(address_of(register())))

        assert "Name not recorded" in words
        assert "Age not recorded Birth date not recorded Sex not recorded" in words
        assert "No phone number and no e-mail address recorded" in words


class TestAllergies:
    def test_nobody_asked_about_are_a_warning(self, carla: Patient, at_elm: Any) -> None:
        page = at_elm("nurse").get(address_of(carla)).content.decode()

        assert re.search(r'badge--warning".*?Allergies not recorded', page, re.DOTALL)

    def test_that_are_none_are_good_news(self, carla: Patient, at_elm: Any) -> None:
        carla.allergies.create(code="no-known-allergies", clinical_status="active")

        page = at_elm("nurse").get(address_of(carla)).content.decode()

        assert re.search(r'badge--good".*?No known allergies', page, re.DOTALL)

    def test_begin_with_the_dangerous(self, carla: Patient, at_elm: Any) -> None:
        carla.allergies.create(display="Aspirin", clinical_status="active")
        carla.allergies.create(display="Wasps", clinical_status="active", criticality="high")

        words = text_of(at_elm("nurse").get(address_of(carla)))

        assert "Allergies Wasps high risk Aspirin" in words

    def test_that_were_refuted_warn_nobody(self, carla: Patient, at_elm: Any) -> None:
        carla.allergies.create(display="Aspirin", verification_status="refuted")

        assert "Allergies not recorded" in text_of(at_elm("nurse").get(address_of(carla)))


class TestQueries:
    """At most 25, and as many for a long chart as for a short one."""

    LIMIT = 25

    def lengthen(self, patient: Patient, times: int) -> None:
        now = timezone.now()
        for number in range(times):
            at = now - timedelta(days=number)
            june = Practitioner.objects.create(given="June", family=f"Kassulke {number}")
            visit = patient.encounters.create(
                status="finished", class_code="AMB", period_start=at, practitioner=june
            )
            pressure = patient.observations.create(
                status="final", category="vital-signs", code="85354-9", effective_at=at
            )
            pressure.components.create(code="8480-6", value_quantity=Decimal(120 + number % 9))
            pressure.components.create(code="8462-4", value_quantity=Decimal(80))
            patient.observations.create(
                status="final",
                category="vital-signs",
                code="29463-7",
                effective_at=at,
                value_quantity=Decimal(70),
                encounter=visit,
            )
            patient.conditions.create(clinical_status="resolved", display=f"Cold {number}")
            patient.conditions.create(clinical_status="active", display=f"Pain {number}")
            patient.medications.create(
                status="active", intent="order", authored_at=at, requester=june
            )
            patient.immunizations.create(status="completed", occurrence_at=at, display="Flu")
            allergy = patient.allergies.create(display=f"Thing {number}")
            allergy.reactions.create(manifestations=["Hives"])
            patient.telecoms.create(system="phone", value=f"555-{number}")

    def test_do_not_grow_with_the_chart(
        self, carla: Patient, at_elm: Any, django_assert_max_num_queries: Any
    ) -> None:
        browser = at_elm("doctor")
        self.lengthen(carla, times=2)
        browser.get(address_of(carla))  # afterwards the host is cached
        with django_assert_max_num_queries(self.LIMIT) as short:
            browser.get(address_of(carla))
        self.lengthen(carla, times=30)

        with django_assert_max_num_queries(self.LIMIT) as long:
            browser.get(address_of(carla))

        assert len(long) == len(short)

    def test_are_never_made_by_templates(
        self, carla: Patient, at_elm: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Once rendering has begun, a queryset that is not loaded yet is an error.
        """
        browser = at_elm("doctor")
        self.lengthen(carla, times=2)
        rendering: list[bool] = []
        fetch = QuerySet._fetch_all

        def watch(queryset: QuerySet[Any]) -> None:
            assert not (rendering and queryset._result_cache is None), str(queryset.query)
            fetch(queryset)

        def begin(*args: Any, **kwargs: Any) -> Any:
            rendering.append(True)
            return render(*args, **kwargs)

        render = views.render
        monkeypatch.setattr(views, "render", begin)
        monkeypatch.setattr(QuerySet, "_fetch_all", watch)

        assert browser.get(address_of(carla)).status_code == 200
        assert rendering
