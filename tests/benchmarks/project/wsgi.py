"""
The application that gunicorn serves, and its rehearsal: has this thread served every tenant?

A thread has a database connection of its own, and PostgreSQL reads the catalogue of each
schema once for each connection. What is measured begins after that. The rehearsal also
looks at every answer: rows of another tenant are told to whoever asked for it.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

from tests.benchmarks.names import PATIENT, REHEARSAL, host, slug

served = get_wsgi_application()
_rehearsed = threading.local()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
    if environ["PATH_INFO"] != REHEARSAL:
        return served(environ, start_response)

    asked = parse_qs(environ["QUERY_STRING"])
    size, has_one_owner = int(asked["size"][0]), asked["owners"] == ["first"]
    if hasattr(_rehearsed, "wrong"):
        time.sleep(0.05)  # others, that have not, shall get the next request
    else:
        _rehearsed.wrong = [
            complaint
            for number in range(1, size + 1)
            for complaint in _list_complaints(environ, number, 1 if has_one_owner else number)
        ]
    thread = f"{os.getpid()}-{threading.get_ident()}"
    body = json.dumps({"thread": thread, "wrong": _rehearsed.wrong}).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


def _list_complaints(environ: WSGIEnvironment, number: int, owner: int) -> list[str]:
    """
    Return what is wrong with the answer at tenant `number`, whose rows should be `owner`'s.

    Every other tenant is asked for the list, which takes longer than one patient and
    teaches the connection no more.
    """
    path = "/patients/" if number % 2 else f"/patients/{PATIENT}/"
    said: list[str] = []
    request = {
        **environ,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "HTTP_HOST": host(number),
        "wsgi.input": io.BytesIO(),
    }
    answer = served(request, lambda status, headers, *rest: said.append(status))
    body = b"".join(answer)
    answer.close()
    if not said[0].startswith("200 "):
        return [f"{host(number)}{path} answered {said[0]}"]
    content = json.loads(body)
    rows = content.get("results", [content])
    owners = {row["clinic"] for row in rows}
    return (
        [] if owners == {slug(owner)} else [f"{host(number)}{path} answered with rows of {owners}"]
    )
