"""Every way in which a request or a task can fail while it has a patient in its hands."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from celery import shared_task
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import Context, Template
from django.views.decorators.csrf import csrf_exempt

from apps.patients.models import Patient
from tenancy import audit, context
from tests.serving.canaries import FAMILY, MRN, NOTE, PHONE

logger = logging.getLogger("somebodys.library")


def value() -> None:
    told = {"family": FAMILY, "mrn": MRN}
    raise ValueError(f"{FAMILY} has no {told}")


def caused() -> None:
    try:
        raise KeyError(PHONE)
    except KeyError as error:
        raise RuntimeError(NOTE) from error


def integrity() -> None:
    Patient.objects.create(mrn=MRN)
    Patient.objects.create(mrn=MRN)


def row() -> None:
    """PostgreSQL's detail has the whole row."""
    _execute("INSERT INTO patients_patient (id, family, mrn) VALUES (NULL, %s, %s)", FAMILY, MRN)


def data() -> None:
    _execute("SELECT %s::integer", FAMILY)


def raised() -> None:
    """What PostgreSQL's function raises, as one of the project's might."""
    _execute("SELECT lo_get(0) WHERE %s = ''", FAMILY)
    _execute("SELECT jsonb_path_query('{}', %s::jsonpath)", f"strict $.{FAMILY}")


def syntax() -> None:
    _execute(f"SELECT * FROM patients_patient WHERE family = '{FAMILY}' ORDER")


def statement_timeout() -> None:
    with transaction.atomic():
        _execute("SET LOCAL statement_timeout = 50")
        _execute("SELECT pg_sleep(5), %s", FAMILY)


def other_clinic() -> None:
    _execute("SELECT * FROM tenant_oak.patients_patient WHERE family = %s", FAMILY)


def session_state() -> None:
    _execute(f"SET application_name = '{FAMILY}'")


def nobody() -> None:
    with context.override(None):
        Patient.objects.filter(family=FAMILY).exists()


def nul() -> None:
    _execute("SELECT %s", f"{FAMILY}\x00")


def adapted() -> None:
    _execute("SELECT %s", type(FAMILY, (), {"__repr__": lambda self: MRN})())


def template() -> None:
    Template("{{ patient|divisibleby:patient }}").render(Context({"patient": FAMILY}))


def unrecordable() -> None:
    audit.record("patient.seen", kind="E", details={"note": NOTE}, pk="\x00" + MRN)


def suspicious() -> None:
    raise SuspiciousOperation(f"{FAMILY} is suspicious")


def forbidden() -> None:
    raise PermissionDenied(FAMILY)


def missing() -> None:
    raise Http404(FAMILY)


def thread() -> None:
    worker = threading.Thread(target=value, name=FAMILY)
    worker.start()
    worker.join()


def ignored() -> None:
    class Ending:
        def __del__(self) -> None:
            raise ValueError(FAMILY)

    Ending()


def warned() -> None:
    warnings.warn(f"Patient.birth_date of {FAMILY} is naive", RuntimeWarning, stacklevel=1)


def logged() -> None:
    """What a library may write, as far as anybody can know."""
    logger.error("The patient %s was not sent", FAMILY)
    logger.error("The patient %(name)s has %(what)s", {"name": 1, "what": MRN})
    logger.error("Not sent", extra={"body": NOTE, "patient": FAMILY})
    logger.error({"body": NOTE})
    logger.error(ValueError(FAMILY))
    logger.error("Too many %d %d", FAMILY)
    try:
        value()
    except ValueError:
        logger.exception("Not sent: %s", FAMILY, stack_info=True)


def recursion() -> None:
    def again(name: str) -> None:
        again(name)

    again(FAMILY)


WAYS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        *(value, caused, integrity, row, data, raised, syntax, statement_timeout, other_clinic),
        *(session_state, nobody, nul, adapted, template, unrecordable, suspicious, forbidden),
        *(missing, thread, ignored, warned, logged, recursion),
    )
}


def _execute(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)


@csrf_exempt
def fail(request: HttpRequest, way: str) -> HttpResponse:
    """Fail in this way, with the patient in the request's body too."""
    WAYS[way]()
    return HttpResponse("not failed")


def fail_streaming(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        yield "a part"
        raise ValueError(FAMILY)

    return StreamingHttpResponse(parts())


@csrf_exempt
def queue(request: HttpRequest, way: str) -> HttpResponse:
    """Queue a task that fails in this way."""
    from clinicx.celery import app  # only who queues needs Celery

    app.send_task(fail_later.name, [way, FAMILY])
    return HttpResponse("queued")


def leak(request: HttpRequest) -> HttpResponse:
    """What nobody may do: our own loggers are believed."""
    logging.getLogger("apps.leaky").warning("seen: %s", FAMILY)
    return HttpResponse("leaked")


@shared_task(bind=True, name="tests.serving.fail_later", max_retries=1)
def fail_later(self: Any, way: str, name: str) -> str:
    if way == "retry":
        try:
            value()
        except ValueError as error:
            raise self.retry(exc=error, countdown=0) from error
    if way != "return":
        WAYS[way]()
    return f"{name} is well"
