"""The list of patients: who may see it, what a row says, how it is searched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.patients import queries, searches
from apps.patients.models import Patient
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient

PAGE = "/patients/"
SEARCH = "/patients/search/"
FROM_HTMX = {"HX-Request": "true"}

Register = Callable[..., Patient]


def text_of(response: Any) -> str:
    """Return the words of a page as they are read."""
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def find(browser: TenantClient, text: str) -> Any:
    """Type `text` into the search box and press Enter."""
    return browser.post(SEARCH, {"q": text}, follow=True)


@pytest.fixture
def receptionist(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> TenantClient:
    """Elm's receptionist at a browser."""
    sign_in(elm_client, "receptionist")
    return elm_client


class TestPage:
    def test_shows_the_clinics_patients(
        self, receptionist: TenantClient, register: Register
    ) -> None:
        register("Echevarría", "Carla", born="1981-02-14", gender="female", phone="555-0192")
        register("Murray", "Fabian")

        words = text_of(receptionist.get(PAGE))

        assert "2 in this clinic" in words
        assert "Echevarría , Carla" in words
        assert "Female 14 Feb 1981 555-0192" in words
        assert words.index("Echevarría") < words.index("Murray")

    def test_shows_nobody_of_another_clinic(
        self, receptionist: TenantClient, oak: Organization, register: Register
    ) -> None:
        with context.override(oak.as_active(), in_transaction=True):
            register("Oakes", "Otto")

        assert "Oakes" not in text_of(receptionist.get(PAGE))
        assert "No match for" in text_of(find(receptionist, "oakes"))

    def test_sends_a_stranger_to_sign_in(
        self, in_elm: Organization, elm_client: TenantClient
    ) -> None:
        response = elm_client.get(PAGE)

        assert response.status_code == 302
        assert response["Location"].startswith("/sign-in/?next=/patients/")

    def test_is_refused_to_whoever_has_no_right(
        self, in_elm: Organization, elm_client: TenantClient
    ) -> None:
        elm_client.force_login(User.objects.create_user("cleaner"))

        response = elm_client.get(PAGE)

        assert response.status_code == 403
        assert "Not for this account" in response.content.decode()

    @pytest.mark.parametrize("method", ["post", "put", "delete"])
    def test_answers_405_to_another_method(self, receptionist: TenantClient, method: str) -> None:
        assert getattr(receptionist, method)(PAGE).status_code == 405

    def test_is_in_no_cache(self, receptionist: TenantClient) -> None:
        assert "no-store" in receptionist.get(PAGE)["Cache-Control"]

    def test_makes_the_same_few_queries_whatever_its_length(
        self,
        receptionist: TenantClient,
        register: Register,
        django_assert_max_num_queries: Any,
    ) -> None:
        receptionist.get(PAGE)  # afterwards the host is cached
        for number in range(30):
            patient = register(f"Family{number}", "Ann", phone=f"555-010{number}")
            patient.encounters.create(status="finished", class_code="AMB")

        with django_assert_max_num_queries(8):
            response = receptionist.get(PAGE)

        assert len(response.context["rows"]) == 25


class TestCount:
    @pytest.fixture
    def nurse(
        self, committed: None, elm: Organization, sign_in: Callable[..., User]
    ) -> Iterator[TenantClient]:
        """Elm's nurse at a browser, with real commits: in a transaction nothing is remembered."""
        client = TenantClient(elm)
        user = sign_in(client, "nurse")
        yield client
        with context.override(elm.as_active()):
            Patient.objects.all().delete()
            client.session.delete()
            user.delete()

    def test_is_asked_for_once_until_there_is_another_patient(
        self, nurse: TenantClient, elm: Organization, register: Register
    ) -> None:
        counts = [self.counted(nurse, "0 in this clinic") for _ in range(2)]
        with context.override(elm.as_active()):
            register("Murray", "Fabian")
        counts += [self.counted(nurse, "1 in this clinic") for _ in range(2)]

        assert counts == [1, 0, 1, 0]

    def counted(self, nurse: TenantClient, says: str) -> int:
        """Return how many queries that count a page makes which says this."""
        with CaptureQueriesContext(connection) as queries:
            assert says in text_of(nurse.get(PAGE))
            return sum("COUNT(*)" in query["sql"] for query in queries)


class TestRow:
    def row_of(self, patient: Patient) -> queries.PatientRow:
        return queries.list_rows([patient], today=date(2026, 11, 20))[0]

    def test_says_no_more_of_a_birth_date_than_is_known(
        self, in_elm: Organization, register: Register
    ) -> None:
        row = self.row_of(register("Özdemir", "Ayşe", born="1981"))

        assert (row.born, row.age) == ("1981", "about 45 years")

    def test_says_the_age_of_a_child_in_months(
        self, in_elm: Organization, register: Register
    ) -> None:
        assert self.row_of(register("Doe", "Sam", born="2026-02-01")).age == "9 months"

    def test_says_which_age_the_dead_reached(
        self, in_elm: Organization, register: Register
    ) -> None:
        died = datetime(1993, 10, 17, 12, tzinfo=UTC)
        row = self.row_of(
            register("Blick", "Jacob", born="1955-12-28", deceased=True, deceased_at=died)
        )

        assert (row.age, row.is_deceased, row.is_past) == ("37 years", True, True)

    def test_says_no_age_where_it_cannot_be_known(
        self, in_elm: Organization, register: Register
    ) -> None:
        assert self.row_of(register("Blick", "Eve", born="1955-12-28", deceased=True)).age == ""
        assert self.row_of(register("Doe", "Jo")).age == ""

    def test_has_the_phone_number_that_comes_first(
        self, in_elm: Organization, register: Register
    ) -> None:
        patient = register("Murray", "Fabian")
        patient.telecoms.create(system="phone", value="555-0200", position=1)
        patient.telecoms.create(system="phone", value="555-0300", rank=1, position=2)

        assert self.row_of(patient).phone == "555-0300"

    def test_has_a_phone_number_that_still_holds(
        self, in_elm: Organization, register: Register
    ) -> None:
        patient = register("Murray", "Fabian")
        patient.telecoms.create(system="email", value="f@example.org", position=1)
        patient.telecoms.create(system="phone", value="555-0100", use="old", position=2)
        patient.telecoms.create(system="phone", value="555-0200", position=3)

        assert self.row_of(patient).phone == "555-0200"

    def test_has_the_day_of_the_last_visit(self, in_elm: Organization, register: Register) -> None:
        patient = register("Murray", "Fabian")
        for year in (2019, 2021, 2020):
            start = datetime(year, 5, 1, 9, tzinfo=UTC)
            patient.encounters.create(status="finished", class_code="AMB", period_start=start)

        assert self.row_of(patient).last_visit == date(2021, 5, 1)

    @pytest.mark.parametrize("status", ["planned", "cancelled", "entered-in-error"])
    def test_has_no_visit_that_did_not_take_place(
        self, in_elm: Organization, register: Register, status: str
    ) -> None:
        patient = register("Murray", "Fabian")
        patient.encounters.create(
            status=status, class_code="AMB", period_start=datetime(2021, 5, 1, 9, tzinfo=UTC)
        )

        assert self.row_of(patient).last_visit is None

    def test_marks_a_closed_record(self, receptionist: TenantClient, register: Register) -> None:
        register("Murray", "Fabian", active=False)

        assert "Inactive" in text_of(receptionist.get(PAGE))


class TestSearch:
    @pytest.fixture(autouse=True)
    def people(self, in_elm: Organization, register: Register) -> None:
        register("Echevarría", "Carla", born="1981-02-14", phone="555-0192")
        register("Murray", "Fabian")

    def test_finds_without_script(self, receptionist: TenantClient) -> None:
        response = find(receptionist, "echev")

        assert "1 match for “echev”" in text_of(response)
        assert "Murray" not in text_of(response)
        assert 'value="echev"' in response.content.decode()

    def test_answers_htmx_with_the_results_alone(self, receptionist: TenantClient) -> None:
        response = receptionist.post(SEARCH, {"q": "carla"}, headers=FROM_HTMX)
        page = response.content.decode()

        assert "<html" not in page
        assert 'hx-swap-oob="innerHTML:#count"' in page
        assert "Echevarría" in page
        assert "HX-Request" in response["Vary"]

    def test_keeps_what_was_typed_out_of_every_address(self, receptionist: TenantClient) -> None:
        """Histories, bookmarks and logs on the way all write addresses down."""
        typed = receptionist.post(SEARCH, {"q": "carla"}, headers=FROM_HTMX)
        entered = find(receptionist, "carla")

        addresses = [typed["HX-Replace-Url"], *[address for address, _ in entered.redirect_chain]]
        assert addresses[0].startswith("/patients/?search=")
        assert len(set(addresses)) == 1
        assert "carla" not in addresses[0]
        assert "1 match for “carla”" in text_of(receptionist.get(addresses[0]))

    def test_is_nobody_elses(
        self, receptionist: TenantClient, elm: Organization, sign_in: Any
    ) -> None:
        (address, _), *_ = find(receptionist, "carla").redirect_chain
        nurse = TenantClient(elm)
        sign_in(nurse, "nurse")

        assert "2 in this clinic" in text_of(nurse.get(address))

    def test_remembers_so_many_and_no_more(self, receptionist: TenantClient) -> None:
        (first, _), *_ = find(receptionist, "carla").redirect_chain
        for number in range(searches.KEPT):
            find(receptionist, f"carla {number}")

        assert "2 in this clinic" in text_of(receptionist.get(first))
        assert len(receptionist.session[searches.SESSION_KEY]) == searches.KEPT

    def test_of_nothing_shows_everybody(self, receptionist: TenantClient) -> None:
        assert find(receptionist, " ").redirect_chain == [("/patients/", 302)]

    def test_leads_a_stranger_to_the_list_after_signing_in(
        self, elm_client: TenantClient, receptionist: TenantClient
    ) -> None:
        assert TenantClient(elm_client.organization).post(SEARCH).status_code == 302
        assert receptionist.get(SEARCH, follow=True).redirect_chain == [("/patients/", 302)]

    @pytest.mark.parametrize("method", ["put", "delete"])
    def test_answers_405_to_another_method(self, receptionist: TenantClient, method: str) -> None:
        assert getattr(receptionist, method)(SEARCH).status_code == 405

    def test_is_refused_to_whoever_has_no_right(
        self, in_elm: Organization, elm_client: TenantClient
    ) -> None:
        elm_client.force_login(User.objects.create_user("cleaner"))

        assert elm_client.post(SEARCH, {"q": "carla"}).status_code == 403

    def test_says_what_to_try_when_nobody_fits(self, receptionist: TenantClient) -> None:
        words = text_of(find(receptionist, "zzz"))

        assert "Nobody by that description" in words
        assert "Show all patients" in words

    @pytest.mark.parametrize(
        "text", ["<script>alert(1)</script>", "' OR 1=1 --", "\x00", "%", "x" * 999]
    )
    def test_survives_whatever_is_typed(self, receptionist: TenantClient, text: str) -> None:
        response = find(receptionist, text)

        assert response.status_code == 200
        assert "<script>alert" not in response.content.decode()


class TestPages:
    @pytest.fixture(autouse=True)
    def people(self, in_elm: Organization, register: Register) -> None:
        for number in range(60):
            register(f"Family{number:02}", "Ann")

    def test_hold_25_each(self, receptionist: TenantClient) -> None:
        response = receptionist.get(PAGE)

        assert len(response.context["rows"]) == 25
        assert "1–25 of 60" in text_of(response)
        assert "Previous" not in text_of(response)

    def test_keep_the_search(self, receptionist: TenantClient) -> None:
        (address, _), *_ = find(receptionist, "ann family").redirect_chain

        response = receptionist.get(f"{address}&page=2")
        links = re.findall(r'href="(\?[^"]+)"', response.content.decode())

        query = address.removeprefix("/patients/")
        assert links == [f"{query}&amp;page=1", f"{query}&amp;page=3"]

    @pytest.mark.parametrize(("page", "shown"), [("3", 10), ("99", 10), ("x", 25), ("-1", 10)])
    def test_beyond_the_last_are_the_last(
        self, receptionist: TenantClient, page: str, shown: int
    ) -> None:
        assert len(receptionist.get(PAGE, {"page": page}).context["rows"]) == shown


class TestEmptyClinic:
    def test_says_how_to_begin(self, receptionist: TenantClient) -> None:
        assert "No patients yet" in text_of(receptionist.get(PAGE))
