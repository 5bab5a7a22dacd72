"""
The process that answers requests by itself, without a server and a socket before it.

A difference of microseconds would be lost in the noise of those. What is taken of the core is
counted and not what the clock says: to wait for PostgreSQL, or for other work on the machine,
costs no request anything that counting it could add to.
"""

from __future__ import annotations

import gc
import io
import json
import time
from itertools import cycle, islice
from statistics import median
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test.utils import override_settings

from tests.benchmarks import children, names
from tests.benchmarks.children import Answer
from tests.benchmarks.errors import WrongRows

PATHS = {"list": "/patients/", "detail": f"/patients/{names.PATIENT}/"}


# What counts a request, and is left out of every other one.
COUNTING = ("tenancy.metrics.", "django_prometheus.")


class Answering:
    """
    Tells what a request takes of a core, the median of those that are counted and of the others.

    They take turns, in one process and for the same tenant, so that whatever else goes on
    meets both.
    """

    def __init__(self) -> None:
        import django

        django.setup()
        self.counted, self.plain = self._handlers()
        self.tenants = iter(cycle([1]))

    def _handlers(self) -> tuple[WSGIHandler, WSGIHandler]:
        counted = WSGIHandler()
        rest = [each for each in settings.MIDDLEWARE if not each.startswith(COUNTING)]
        with override_settings(MIDDLEWARE=rest):
            return counted, WSGIHandler()

    def answer(self, asked: Answer) -> Answer:
        if "size" in asked:
            self.tenants = iter(cycle(range(1, asked["size"] + 1)))
            for endpoint in PATHS:
                self._time(endpoint, asked["size"])
            return {}
        return self._time(asked["endpoint"], asked["count"])

    def _time(self, endpoint: str, count: int) -> Answer:
        took: dict[bool, list[float]] = {True: [], False: []}
        gc.collect()
        gc.disable()  # a round of the collector would be somebody's
        try:
            for number, tenant in enumerate(islice(self.tenants, count)):
                # The second of two finds everything in the core's cache.
                for is_counted in (True, False) if number % 2 else (False, True):
                    # Another tenant in between, so that each is a switch.
                    self._answer(PATHS["detail"], tenant % 2 + 1, is_counted)
                    took[is_counted].append(self._answer(PATHS[endpoint], tenant, is_counted))
        finally:
            gc.enable()
        return {"counted": median(took[True]), "plain": median(took[False])}

    def _answer(self, path: str, tenant: int, is_counted: bool) -> float:
        """Return for how long a core was at work; raise WrongRows if it was for another."""
        request = self._request(path, tenant)
        said: list[str] = []
        application = self.counted if is_counted else self.plain
        _count(is_counted)
        began = time.thread_time()
        answer = application(request, lambda status, headers: said.append(status))
        body = b"".join(answer)
        answer.close()
        took = time.thread_time() - began
        self._check(request, said[0], body)
        return took

    def _request(self, path: str, tenant: int) -> dict[str, Any]:
        return {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": names.host(tenant),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "bench.owner": names.slug(tenant),
        }

    def _check(self, request: dict[str, Any], status: str, body: bytes) -> None:
        content = json.loads(body)
        owners = {row["clinic"] for row in content.get("results", [content])}
        if not status.startswith("200 ") or owners != {request["bench.owner"]}:
            raise WrongRows(f"{request['HTTP_HOST']} answered {status} with rows of {owners}")


def _count(is_counted: bool) -> None:
    """Have what this connection does counted from now on, or not, by whoever counts here."""
    from django.db.backends.postgresql.base import Cursor

    from tenancy import metrics
    from tenancy.backend.base import _bound_cursor_class

    settings.TENANCY_METRICS = is_counted and any(
        "tenancy.metrics" in it for it in settings.MIDDLEWARE
    )
    driver = connection.connection
    if driver is not None:
        factory = connection.get_connection_params()["cursor_factory"]
        driver.on_switch = metrics.switched if settings.TENANCY_METRICS else None
        driver.cursor_factory = factory if is_counted else _bound_cursor_class(Cursor)


if __name__ == "__main__":
    children.serve(Answering().answer)
