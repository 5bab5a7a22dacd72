"""A patient's data is in no line of any log, in no number and on no page of an error."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from apps.patients import registry
from apps.patients.models import Patient
from clinicx.local import ports
from tenancy import context, lifecycle
from tenancy.models import Organization
from tests.fixtures.pods import PATIENCE_SECONDS, Pod
from tests.serving import canaries, failing
from tests.serving.browser import Browser
from tests.serving.canaries import FAMILY, GIVEN, MRN, NOTE, PHONE
from tests.serving.test_two_instances import host_of, make, make_session

__all__ = ["make"]  # a fixture

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.serving.pod_settings"}
QUEUED = ["value", "integrity", "data", "retry", "return", "thread", "logged", "session_state"]
HEADERS = b"Host: clinic-00.clinicx.example\r\nX-Forwarded-Proto: https\r\n"
# What is no request, or none that is answered: gunicorn's own to deal with.
NO_REQUESTS = [
    f"{FAMILY}\r\n\r\n".encode(),
    b"GET /patients/?q=" + MRN.encode() + b" HTTP/7.7\r\n\r\n",
    b"GET /patients/" + MRN.encode() + b"/ of " + GIVEN.encode() + b" HTTP/1.1\r\n\r\n",
    b"GET /" + MRN.encode() * 1000 + b" HTTP/1.1\r\n" + HEADERS + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HEADERS + b"Na me: " + NOTE.encode() + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HEADERS + GIVEN.encode() + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HEADERS + b"X: " + NOTE.encode() * 500 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HEADERS + b"Transfer-Encoding: " + GIVEN.encode() + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HEADERS + b"Content-Length: " + MRN.encode() + b"\r\n\r\n",
    b"POST /sign-in/ HTTP/1.1\r\n"
    + HEADERS
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + NOTE.encode()
    + b"\r\n\r\n",
    b"QUILLONIA / HTTP/1.1\r\n" + HEADERS + b"\r\n",
    b"quillonia / HTTP/1.1\r\n" + HEADERS + b"\r\n",
]


@dataclass
class Told:
    """What was answered and said."""

    answered: int = 0
    errors: list[str] = field(default_factory=list)
    by_way: dict[str, int] = field(default_factory=dict)


@pytest.fixture
def pod(start: Callable[..., Pod], elm: Organization) -> Pod:
    pod = start({**SETTINGS, "METRICS_PORT": str(ports.pick(preferred=0))})
    pod.wait_until(lambda: pod.answers("elm.clinicx.example"))
    return pod


@pytest.fixture
def worker(start_worker: Callable[..., Pod], elm: Organization) -> Path:
    """The log of a worker as a pod has it."""
    return start_worker(SETTINGS).log


@pytest.fixture
def clinic(make: Callable[[int], list[Organization]]) -> Organization:
    """A clinic that has the patient."""
    (clinic,) = make(1)
    with context.override(clinic.as_active()):
        patient = Patient.objects.create(mrn=MRN)
        patient.names.create(use="official", family=FAMILY, given=[GIVEN])
        patient.telecoms.create(system="phone", value=PHONE)
        registry.refresh([patient])
    return clinic


@pytest.fixture
def person(clinic: Organization, pod: Pod) -> Iterator[Browser]:
    browser = Browser(pod.port, host_of(clinic))
    browser.cookies["__Host-sessionid"] = make_session(clinic)
    yield browser
    browser.close()


class TestCanaries:
    def test_are_in_no_log_no_number_and_on_no_page_of_an_error(
        self, pod: Pod, worker: Path, person: Browser, clinic: Organization
    ) -> None:
        """
        They are on the page for whom they are, and a careless logger of ours is found.

        Else it would prove nothing that they are nowhere else.
        """
        assert canaries.find(person.get("/patients/")[1])[:2] == [FAMILY, GIVEN]
        told = provoke(person, clinic)
        refused = [send(pod.port, sent) for sent in NO_REQUESTS]
        numbers = scrape(pod)
        wait_until(lambda: count(worker, r"succeeded in|raised unexpected") >= len(QUEUED), worker)
        wait_until(lambda: len(lines_of_requests(pod)) >= told.answered, pod.log)

        assert told.by_way == expected()
        assert refused[0].startswith("HTTP/1.1 400")
        assert canaries.find(pod.said) == []
        assert canaries.find(worker.read_text()) == []
        assert canaries.find(numbers) == []
        assert canaries.find("".join(told.errors)) == []
        assert canaries.find("".join(refused)) == []
        assert "clinicx" in numbers or "tenant_requests_total" in numbers
        for line in [*pod.said.splitlines(), *worker.read_text().splitlines()]:
            assert json.loads(line)["level"], line

        assert person.get("/probe/leak/")[0] == 200
        pod.wait_until(lambda: "apps.leaky" in pod.said)

        assert canaries.find(pod.said) == [FAMILY]

    def test_are_sought_in_every_spelling(self) -> None:
        for spelt in (json.dumps(FAMILY), quote(FAMILY), FAMILY.upper(), repr(FAMILY.encode())):
            assert canaries.find(f"x{spelt}x") == [FAMILY]


class TestRequest:
    def test_is_one_line_that_nobody_forges_and_the_task_that_it_queued_has_its_id(
        self, pod: Pod, worker: Path, person: Browser
    ) -> None:
        before = len(pod.said.splitlines())
        for header in ("X-Request-ID", "User-Agent", "Referer", "X-Forwarded-For"):
            person.extra = {header: '0123456789abcdef\t{"level": "CRITICAL"}'}
            person.get("/patients/forged/")
        pod.wait_until(lambda: len(pod.said.splitlines()) >= before + 4)
        new = lines_of(pod.log)[before:]
        assert [(line["status"], line["level"]) for line in new] == [(404, "INFO")] * 4
        assert "CRITICAL" not in pod.said

        request_id = uuid4().hex
        person.extra = {"X-Request-ID": request_id}
        person.get("/probe/queue/value/")
        wait_until(lambda: count(worker, "raised unexpected") >= 1, worker)
        pod.wait_until(lambda: request_id in pod.said)

        (line,) = [each for each in lines_of(pod.log) if each.get("request_id") == request_id]
        assert (line["logger"], line["route"]) == ("tenancy.requests", "queue")
        (failed,) = [each for each in lines_of(worker) if each.get("error")]
        assert failed["request_id"] == request_id
        assert (failed["tenant"], failed["task"]) == ("clinic-00", "tests.serving.fail_later")
        assert failed["error"] == "ValueError"
        assert "failing.py" in failed["frames"][-2]


def provoke(person: Browser, clinic: Organization) -> Told:
    """Let everything fail that can, and return what came of it."""
    told = Told()

    def note(status: int, page: str) -> int:
        told.answered += 1
        if status >= 400:
            # What an API's problem is about is the address that was asked for.
            told.errors.append(re.sub(r'"instance": ?"[^"]*"', "", page))
        return status

    form = {"family": FAMILY, "mrn": MRN, "phone": PHONE, "note": NOTE}
    for way in failing.WAYS:
        told.by_way[way] = note(*person.post(f"/probe/fail/{way}/?name={quote(FAMILY)}", **form))
    for way in QUEUED:
        note(*person.get(f"/probe/queue/{way}/"))
    with pytest.raises(http.client.IncompleteRead):
        person.get("/probe/fail/streaming/")
    person.close()
    told.answered += 1
    for path in (
        f"/patients/{quote(FAMILY)}/",
        f"/patients/?search={quote(FAMILY)}&page={MRN}",
        f"/{quote(NOTE)}",
        f"/api/v1/patients/?family={quote(FAMILY)}&birth_date={MRN}",
        f"/api/v1/patients/{MRN}/",
        f"/api/v1/patients/?page_size={MRN}",
        f"/admin/patients/patient/{MRN}/change/",
        f"/admin/?q={quote(FAMILY)}",
        f"/static/{MRN}.css",
        f"/sign-in/?next=//{MRN}",
        "/patients/%00%ff",
    ):
        note(*person.get(path))
    for path, fields in (
        ("/patients/search/", {"q": FAMILY}),  # without the form's token
        ("/api/v1/patients/", {"family": FAMILY}),
        ("/admin/patients/patient/", {"action": "delete_selected", "_selected_action": MRN}),
        ("/sign-in/", {"username": FAMILY, "password": MRN}),
    ):
        note(*person.post(path, **fields))
    person.extra = {"Host": f"{MRN}.clinicx.example"}
    note(*person.get("/patients/"))
    person.extra = {"Referer": f"https://{MRN}.example/", "X-Request-ID": MRN}
    note(*person.post("/patients/search/", q=FAMILY))
    person.extra = {}
    lifecycle.suspend(clinic, reason="Closed for now.")
    note(*person.get(f"/patients/?name={MRN}"))
    lifecycle.resume(clinic)
    return told


def expected() -> dict[str, int]:
    """Return what each way of failing is answered with."""
    others = {"statement_timeout": 503, "unrecordable": 503, "suspicious": 400, "forbidden": 403}
    fine = dict.fromkeys(("thread", "ignored", "warned", "logged"), 200)
    return dict.fromkeys(failing.WAYS, 500) | others | fine | {"missing": 404}


def send(port: int, sent: bytes) -> str:
    """Return what is answered to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        try:
            while chunk := connection.recv(65536):
                found += chunk
        except ConnectionResetError:
            pass
    return found.decode(errors="replace")


def scrape(pod: Pod) -> str:
    port = int(re.findall(r"METRICS_PORT=(\d+)", " ".join(environment_of(pod)))[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    numbers = connection.getresponse().read().decode()
    connection.close()
    return numbers


def environment_of(pod: Pod) -> list[str]:
    return Path(f"/proc/{pod.process.pid}/environ").read_text().split("\0")


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def lines_of_requests(pod: Pod) -> list[dict[str, Any]]:
    return [line for line in lines_of(pod.log) if line["logger"] == "tenancy.requests"]


def count(log: Path, what: str) -> int:
    """Return how many lines of tasks there are of this kind."""
    text = log.read_text()
    return len(re.findall(what, text))


def wait_until(is_so: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(log.read_text())
        time.sleep(0.1)
