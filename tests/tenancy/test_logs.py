"""A request has an id and a line; what is logged meanwhile says whose it is."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from tenancy import context, logs
from tenancy.models import Organization
from tenancy.testing import TenantClient

ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    """A function that returns the lines of requests."""
    caplog.set_level(logging.INFO, "tenancy.requests")
    return lambda: [each for each in caplog.records if each.name == "tenancy.requests"]


def answer(response: Any, *, method: str = "GET", **headers: str) -> Any:
    """Return what RequestLog makes of `response`."""
    request = RequestFactory().generic(method, "/Rossi/", **headers)
    return logs.RequestLog(lambda request: response)(request)


def close(response: Any) -> None:
    """Do what the server does at the end, but for Django's look after its connections."""
    for closer in response._resource_closers:
        closer()


class TestRequestId:
    @pytest.mark.parametrize(
        "said", [ID, ID.upper(), "2f1c9d62-7c1e-4a51-9c0a-0123456789ab", "0123456789abcdef"]
    )
    def test_is_the_ingresss_own(self, said: str) -> None:
        assert answer(HttpResponse(), HTTP_X_REQUEST_ID=said)["X-Request-ID"] == said

    @pytest.mark.parametrize(
        "said",
        ["", "MariaRossi", "Maria-Rossi-born-1970", ID * 3, f"{ID}\n", f"{ID}\r\nX: y", f"-{ID}"],
    )
    def test_is_made_where_the_requests_own_is_none(self, said: str) -> None:
        made = answer(HttpResponse(), HTTP_X_REQUEST_ID=said)["X-Request-ID"]

        assert logs.is_id(made)
        assert made != said

    def test_is_known_while_the_request_is_answered_and_not_after(self) -> None:
        seen: list[str] = []
        middleware = logs.RequestLog(
            lambda request: HttpResponse(seen.append(logs.get_request_id()))
        )
        middleware(RequestFactory().get("/", HTTP_X_REQUEST_ID=ID))

        assert seen == [ID]
        assert logs.get_request_id() == ""

    def test_is_known_while_a_stream_is_sent(self) -> None:
        def steps() -> Iterator[str]:
            yield logs.get_request_id()

        streamed = answer(StreamingHttpResponse(steps()), HTTP_X_REQUEST_ID=ID)

        assert logs.get_request_id() == ""
        assert b"".join(streamed) == ID.encode()


class TestLine:
    def test_is_one_for_each_request_and_says_whose_it_was(
        self,
        committed: None,
        elm_client: TenantClient,
        elm: Organization,
        written: Callable[[], list[Any]],
    ) -> None:
        response = elm_client.get("/sign-in/", headers={"X-Request-ID": ID})

        (line,) = written()
        assert (line.request_id, line.tenant, line.tenant_id) == (ID, "elm", str(elm.pk))
        assert (line.method, line.route, line.status) == ("GET", "accounts:sign_in", 200)
        assert line.bytes == len(response.content)
        assert line.milliseconds > 0

    @pytest.mark.parametrize(
        ("host", "path", "whose", "status"),
        [
            ("localhost", "/sign-in/", "platform", 200),
            ("nobody.localhost", "/sign-in/", "", 404),
            ("elm.localhost", "/patients/MariaRossi/", "elm", 404),
        ],
    )
    def test_says_nothing_that_was_typed(
        self,
        committed: None,
        written: Callable[[], list[Any]],
        host: str,
        path: str,
        whose: str,
        status: int,
    ) -> None:
        TenantClient(host=host).get(path, {"q": "MariaRossi"})

        (line,) = written()
        assert (line.tenant, line.status) == (whose, status)
        assert "Rossi" not in str(vars(line))

    def test_has_no_method_that_somebody_made_up(self, written: Callable[[], list[Any]]) -> None:
        close(answer(HttpResponse(), method="ROSSI"))

        assert [line.method for line in written()] == ["OTHER"]

    def test_comes_when_a_stream_is_sent_with_its_bytes(
        self, written: Callable[[], list[Any]]
    ) -> None:
        response = answer(StreamingHttpResponse(iter(["ab", "cde"])))
        before = len(written())
        b"".join(response)
        close(response)

        assert before == 0
        assert [line.bytes for line in written()] == [5]

    def test_leaves_a_file_to_the_server(self, written: Callable[[], list[Any]]) -> None:
        file = BytesIO(b"abc")
        response = answer(FileResponse(file))
        close(response)

        assert response.file_to_stream is file
        assert [line.bytes for line in written()] == [3]

    def test_is_there_under_asgi_too(self, written: Callable[[], list[Any]]) -> None:
        async def steps() -> AsyncIterator[str]:
            yield logs.get_request_id()

        async def view(request: Any) -> Any:
            return StreamingHttpResponse(steps())

        async def ask() -> bytes:
            request = RequestFactory().get("/", HTTP_X_REQUEST_ID=ID)
            response: Any = await logs.RequestLog(view)(request)
            sent = b"".join([chunk async for chunk in response])
            close(response)
            return sent

        assert async_to_sync(ask)() == ID.encode()
        assert [line.bytes for line in written()] == [len(ID)]


class TestFilter:
    def record(self) -> Any:
        record = logging.LogRecord("any", logging.INFO, __file__, 1, "said", None, None)
        assert logs.RequestFilter().filter(record)
        return record

    def test_says_for_whom_the_code_was_working(self, elm: Organization) -> None:
        with context.override(elm.as_active()), logs.about(request_id=ID, task="t"):
            record = self.record()

        assert (record.tenant, record.tenant_id) == ("elm", str(elm.pk))
        assert (record.request_id, record.task) == (ID, "t")

    def test_says_that_nobody_was_active(self) -> None:
        record = self.record()

        assert (record.tenant, record.tenant_id) == ("", "")
        assert not hasattr(record, "request_id")


class TestErrorPage:
    @pytest.mark.parametrize("template", ["500.html", "503.html"])
    def test_says_by_what_support_finds_it(self, template: str) -> None:
        from django.template.loader import render_to_string

        with logs.about(request_id=ID):
            page = render_to_string(template)

        assert f"<code>{ID}</code>" in page
        assert "say this number" not in render_to_string(template)
