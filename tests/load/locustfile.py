"""
What do the people of a clinic do, and whose data is in each answer?

Started by `python -m tests.load`, in a process of its own: locust changes Python's sockets
for the whole process. Every answer is read: a patient of another clinic in it, or a page
that does not say this clinic's name, is a failure of that request.
"""

from __future__ import annotations

import html
import itertools
import os
import random
import re
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, between, task
from locust.exception import StopUser

from tests.load import roster

CLINICS = roster.load(Path(os.environ["LOAD_ROSTER"]))
OWNERS = {patient: clinic.slug for clinic in CLINICS for patient in clinic.patients}
# One clinic after the other, so that each has people.
_turn = itertools.cycle(CLINICS)

PASSWORD = "clinicx"
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
# Who was registered by a test says where: see ClinicAdmin.
REGISTERED = re.compile(r"Loadtest (load-\d+)")
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?')
# A 429 is no failure but a wait, so often; it has a row of its own in the table.
TOLD_TO_WAIT, PATIENCE = "told to come back (429)", 5
# As a receptionist types them: beginnings of names, a year.
SEARCHES = ("an", "ma", "jo", "smith", "ga", "le", "19", "1985", "el", "ro")


class Person(FastHttpUser):
    """Somebody who has signed in at one clinic, and works there until the end."""

    abstract = True
    wait_time = between(0.3, 1.5)
    username = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clinic = next(_turn)
        # `*.localhost` resolves in browsers alone, so the address is a number and the host said.
        self.client.client.default_headers["Host"] = (
            f"{self.clinic.slug}.{os.environ['LOAD_DOMAIN']}"
        )
        self.tags: dict[str, str] = {}
        self.token = ""

    def on_start(self) -> None:
        self.sign_in()

    def sign_in(self) -> None:
        self.token = fields(self.page("/sign-in/", kind="sign-in page")).get(
            "csrfmiddlewaretoken", ""
        )
        typed = {"username": self.username, "password": PASSWORD, "next": "/patients/"}
        page = self.page("/sign-in/", kind="sign in", sent=typed)
        if 'id="sign-in"' in page or not page:
            raise StopUser
        self.token = fields(page).get("csrfmiddlewaretoken", self.token)

    def page(
        self, path: str, *, kind: str, sent: dict[str, str] | None = None, part: bool = False
    ) -> str:
        """Return a page of the clinic, or nothing if the answer was none: then it has failed."""
        headers = {"HX-Request": "true"} if part else {}
        data = {"csrfmiddlewaretoken": self.token} | sent if sent is not None else None
        text = self._ask(path, kind=kind, data=data, headers=headers, names_clinic=not part)
        return text or ""

    def read(self, path: str, *, kind: str) -> None:
        """Read from the API, and only what has changed since the last time, where it can say so."""
        headers = {"Accept": "application/json"}
        if path in self.tags:
            headers["If-None-Match"] = self.tags[path]
        self._ask(path, kind=kind, headers=headers, names_clinic=False)

    def _ask(self, path: str, **asked: Any) -> str | None:
        """Ask, and again where the clinic has used up its share and is told when to come back."""
        for _ in range(PATIENCE):
            answer = self._ask_once(path, **asked)
            if not isinstance(answer, int):
                return answer
            gevent.sleep(answer)
        return self._ask_once(path, **asked, is_patient=False) or None

    def _ask_once(
        self, path: str, *, kind: str, headers: dict[str, str], names_clinic: bool,
        data: dict[str, str] | None = None, is_patient: bool = True,
    ) -> str | int | None:  # fmt: skip
        """Return the text; or nothing if that failed; or after how many seconds to come back."""
        with self.client.request(
            "GET" if data is None else "POST", path,
            name=kind, data=data, headers=headers, catch_response=True,
        ) as answer:  # fmt: skip
            if answer.status_code == 429 and is_patient and "Retry-After" in answer.headers:
                answer.request_meta["name"] = TOLD_TO_WAIT
                answer.success()
                return int(answer.headers["Retry-After"])
            if answer.status_code not in (200, 304):
                answer.failure(f"status {answer.status_code}")
                return None
            text = answer.text or ""
            if answer.headers.get("ETag"):
                self.tags[path] = answer.headers["ETag"]
            if answer.status_code == 200 and (fault := self._fault(text, path, names_clinic)):
                answer.failure(fault)
                return None
            answer.success()
            return text

    def _fault(self, text: str, path: str, names_clinic: bool) -> str | None:
        """Return what of this answer is not this clinic's. It names no patient: it is printed."""
        mine = self.clinic.slug
        found = {OWNERS.get(each, mine) for each in UUID.findall(text)}
        found |= set(REGISTERED.findall(text))
        if strangers := found - {mine}:
            return f"WRONG CLINIC: {', '.join(sorted(strangers))} at {mine}"
        if names_clinic and html.escape(self.clinic.name) not in text:
            return f"WRONG CLINIC: a page at {mine} that does not name it"
        # A page says the name, the API the id.
        asked = {each: html.escape(self.clinic.patients[each]) for each in UUID.findall(path)}
        if any(key not in text and name not in text for key, name in asked.items()):
            return "WRONG PATIENT: not the one that was asked for"
        return None

    def some_patient(self) -> str:
        return random.choice(list(self.clinic.patients))  # no secret


class Receptionist(Person):
    """Looks through the list, types into the search, opens whom they found."""

    weight = 5
    username = "receptionist"

    @task(3)
    def look_through_the_list(self) -> None:
        self.page("/patients/", kind="patient list")

    @task(5)
    def search(self) -> None:
        text = random.choice(SEARCHES)  # no secret
        for end in range(2, len(text) + 1):
            self.page(
                "/patients/search/", kind="search (a keystroke)", sent={"q": text[:end]}, part=True
            )

    @task(5)
    def open_a_patient(self) -> None:
        self.page(f"/patients/{self.some_patient()}/", kind="patient's page")

    @task(1)
    def come_back_from_lunch(self) -> None:
        self.page("/sign-out/", kind="sign out", sent={})
        self.sign_in()


class Doctor(Person):
    """Reads charts."""

    weight = 3
    username = "doctor"

    @task(1)
    def look_through_the_list(self) -> None:
        self.page("/patients/", kind="patient list")

    @task(6)
    def read_a_chart(self) -> None:
        self.page(f"/patients/{self.some_patient()}/", kind="patient's chart")


class Program(Person):
    """Another system of the clinic, that reads the API, and asks again what it knows."""

    weight = 2
    username = "nurse"

    def on_start(self) -> None:
        super().on_start()
        self.known = random.sample(list(self.clinic.patients), min(3, len(self.clinic.patients)))

    @task(2)
    def list_patients(self) -> None:
        self.read("/api/v1/patients/", kind="API: patients")

    @task(4)
    def read_a_patient(self) -> None:
        patient = random.choice(self.known)  # no secret
        self.read(f"/api/v1/patients/{patient}/", kind="API: a patient")

    @task(2)
    def read_observations(self) -> None:
        patient = random.choice(self.known)  # no secret
        self.read(f"/api/v1/patients/{patient}/observations/", kind="API: observations")


class ClinicAdmin(Person):
    """Registers patients, in clinics that were made for this and in no other."""

    weight = 1
    username = "admin"

    @task(3)
    def look_through_the_list(self) -> None:
        self.page("/admin/patients/patient/", kind="admin: patients")

    @task(1)
    def register_a_patient(self) -> None:
        if not self.clinic.is_ours:
            return
        form = fields(self.page("/admin/patients/patient/add/", kind="admin: form"))
        typed = form | {
            "names-TOTAL_FORMS": "1",
            "names-0-use": "official",
            "names-0-family": f"Loadtest {self.clinic.slug}",
            "names-0-given": "Somebody",
            "active": "on",
            "gender": "unknown",
        }
        self.page("/admin/patients/patient/add/", kind="admin: register a patient", sent=typed)


def fields(page: str) -> dict[str, str]:
    """Return a form's fields that nobody types into."""
    return {name: html.unescape(value) for name, value in HIDDEN.findall(page)}
