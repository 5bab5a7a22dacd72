"""Two instances behind one address: either answers anybody, for whatever clinic."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group
from django.test import override_settings

from apps.accounts.models import User
from apps.patients import registry
from apps.patients.models import Patient
from tenancy import context, lifecycle
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.fixtures.pods import COMPLETE, Pod
from tests.serving import service
from tests.serving.browser import Browser
from tests.serving.service import Service

CLINICS = 20
REQUESTS = 1_000
PASSWORD = "correct horse battery"
# What each page has to prove whose it is: a patient who is nowhere else.
PAGES = ["/patients/", "/api/v1/patients/", "/probe/who/"]

# What TENANCY_RESOLVER_MEMORY is here, that nobody has to wait for its half minute.
MEMORY_SECONDS = 3


@pytest.fixture
def instances(start: Callable[..., Pod], elm: Organization) -> Iterator[tuple[Service, list[Pod]]]:
    """Two instances and their address."""
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.serving.pod_settings",
        "WEB_WORKERS": "1",
        "TEST_RESOLVER_MEMORY": str(MEMORY_SECONDS),
    }
    pods = [start(variables) for _ in range(2)]
    with service.running() as address:
        for pod in pods:
            pod.wait_until(lambda pod=pod: pod.answers("elm.clinicx.example"))
            address.add(pod.port)
        yield address, pods


@pytest.fixture
def make(scratch: Callable[..., Organization]) -> Callable[[int], list[Organization]]:
    """A function that makes clinics, each with a patient of its own name, and a doctor."""

    def make(count: int) -> list[Organization]:
        clinics = [scratch(f"clinic-{number:02}") for number in range(count)]
        for clinic in clinics:
            with context.override(clinic.as_active()):
                _people(clinic)
        return clinics

    return make


def _people(clinic: Organization) -> None:
    patient = Patient.objects.create()
    patient.names.create(use="official", family=family_of(clinic), given=["Kim"])
    registry.refresh([patient])
    doctor = User.objects.create(username="doctor")
    # As production's hasher has it, and quick.
    doctor.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    doctor.save()
    doctor.groups.add(Group.objects.get(name="doctor"))


def family_of(clinic: Organization) -> str:
    return f"Of-{clinic.slug}-only"


def host_of(clinic: Organization) -> str:
    return f"{clinic.slug}.clinicx.example"


@pytest.fixture
def browser(instances: tuple[Service, list[Pod]]) -> Iterator[Callable[..., Browser]]:
    """A function that returns somebody at a clinic, signed in unless it is not wanted."""
    opened: list[Browser] = []

    def browser(clinic: Organization, *, port: int = 0, is_signed_in: bool = True) -> Browser:
        made = Browser(port or instances[0].port, host_of(clinic))
        if is_signed_in:
            made.cookies["__Host-sessionid"] = make_session(clinic)
        opened.append(made)
        return made

    yield browser
    for each in opened:
        each.close()


def make_session(clinic: Organization) -> str:
    """Sign the clinic's doctor in without a page, with the instances' own key."""
    client = TenantClient(clinic)
    with context.override(clinic.as_active()), override_settings(SECRET_KEY=COMPLETE["SECRET_KEY"]):
        client.force_login(User.objects.get(username="doctor"))
    return client.cookies["sessionid"].value


class TestAlternating:
    def test_requests_get_their_own_clinics_page_from_either_instance(
        self,
        instances: tuple[Service, list[Pod]],
        make: Callable[[int], list[Organization]],
        browser: Callable[..., Browser],
    ) -> None:
        """
        A thousand, of twenty sessions, in no order, eight at a time.

        The first clinic's somebody signed in with a form, which one instance gave and the
        other one took.
        """
        address, pods = instances
        clinics = make(CLINICS)
        people = [browser(clinic, is_signed_in=clinic is not clinics[0]) for clinic in clinics]
        people[0].sign_in("doctor", PASSWORD)
        address.served.clear()
        dice = random.Random(7)  # the same order each time
        turns = [(at, dice.choice(PAGES)) for at in range(CLINICS)] * (REQUESTS // CLINICS)
        dice.shuffle(turns)
        # One person asks one thing at a time, and eight of them at once.
        by_person = [[page for at, page in turns if at == number] for number in range(CLINICS)]

        with ThreadPoolExecutor(8) as pool:
            wrong = [
                fault
                for faults in pool.map(ask_all, people, clinics, by_person, [clinics] * CLINICS)
                for fault in faults
            ]

        assert wrong == []
        assert address.lost == []
        assert address.served == {pods[0].port: REQUESTS // 2, pods[1].port: REQUESTS // 2}


def ask_all(
    person: Browser, clinic: Organization, pages: list[str], clinics: list[Organization]
) -> list[str]:
    """Ask for each page; return what was not this clinic's, or another's."""
    return [fault for page in pages if (fault := find_fault(person, clinic, page, clinics))]


def find_fault(person: Browser, clinic: Organization, page: str, clinics: Any) -> str:
    status, content = person.get(page)
    if page == "/probe/who/":
        right = content == clinic.schema_name
    else:
        told = [each for each in clinics if family_of(each) in content]
        right = told == [clinic]
    return "" if status == 200 and right else f"{clinic.slug} {page}: {status} {content[:200]}"


class TestOther:
    def test_sees_a_sign_out_at_once(
        self,
        instances: tuple[Service, list[Pod]],
        make: Callable[[int], list[Organization]],
        browser: Callable[..., Browser],
    ) -> None:
        (clinic,) = make(1)
        here, there = (browser(clinic, port=pod.port) for pod in instances[1])
        there.cookies = here.cookies
        before = [each.get("/patients/")[0] for each in (here, there)]
        session = dict(here.cookies)
        here.sign_out()
        there.cookies = session

        assert before == [200, 200]
        assert there.get("/patients/")[0] == 302

    def test_sees_a_suspension_and_its_end_within_the_stated_time(
        self,
        instances: tuple[Service, list[Pod]],
        make: Callable[[int], list[Organization]],
        browser: Callable[..., Browser],
    ) -> None:
        """What a process remembers of a clinic it forgets after TENANCY_RESOLVER_MEMORY."""
        (clinic,) = make(1)
        people = [browser(clinic, port=pod.port) for pod in instances[1]]
        before = [each.get("/probe/who/")[0] for each in people]

        lifecycle.suspend(clinic, reason="Closed.")
        statuses, took = wait_for(503, people)
        lifecycle.resume(clinic)

        assert before == [200, 200]
        assert statuses == [503, 503]
        assert took <= MEMORY_SECONDS + 2

    def test_sees_what_was_cached_for_its_own_clinic_alone(
        self,
        instances: tuple[Service, list[Pod]],
        make: Callable[[int], list[Organization]],
        browser: Callable[..., Browser],
    ) -> None:
        """One Redis for both instances, and a clinic's keys are its own."""
        one, other = make(2)
        here, there = instances[1]

        kept = browser(one, port=here.port).get("/probe/cache/?value=of-one")
        seen = browser(one, port=there.port).get("/probe/cache/")
        at_the_other = browser(other, port=there.port).get("/probe/cache/")

        assert (kept[1], seen[1], at_the_other[1]) == ("of-one", "of-one", "None")


def wait_for(status: int, people: list[Browser]) -> tuple[list[int], float]:
    """Ask until all are told so; return what they are told in the end, and after how long."""
    began = time.monotonic()
    while True:
        told = [each.get("/probe/who/")[0] for each in people]
        took = time.monotonic() - began
        if told == [status] * len(people) or took > MEMORY_SECONDS + 5:
            return told, took
        time.sleep(0.2)
