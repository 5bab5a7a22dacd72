"""
Which request is a line of the log about, and whose; and what became of it?

RequestLog gives each request an id, says it in the answer and writes one line when the answer
is sent. RequestFilter puts the id and the tenant on every line in between, and on those of
tasks. Neither knows a path, a parameter or a name: identifiers only.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeGuard, cast
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from tenancy import context
from tenancy.context import ActiveTenant

logger = logging.getLogger("tenancy.requests")

HEADER = "X-Request-ID"
TASK_HEADER = "tenancy_request_id"
# Hexadecimal, as nginx and UUIDs have it: nothing that was chosen to be read, such as a name.
LOOKS_LIKE_ID = re.compile(r"[0-9A-Fa-f][0-9A-Fa-f-]{14,62}[0-9A-Fa-f]")

# Any other word is as much the client's own as the path is.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_about: ContextVar[Mapping[str, str]] = ContextVar("tenancy.about", default={})  # noqa: B039  # never changed


def get_request_id() -> str:
    """Return the id of the request that is being answered, or that queued this task, or ""."""
    return _about.get().get("request_id", "")


@contextmanager
def about(*, request_id: object, **facts: str) -> Iterator[None]:
    """
    Let the lines of the block be about this request, and have these facts.

    About no request where that is no id: whoever writes messages could write anything there.
    """
    token = _about.set({"request_id": request_id if is_id(request_id) else "", **facts})
    try:
        yield
    finally:
        _about.reset(token)


def is_id(text: object) -> TypeGuard[str]:
    """Tell whether `text` is what somebody in front of us may call a request."""
    return isinstance(text, str) and LOOKS_LIKE_ID.fullmatch(text) is not None


class RequestFilter(logging.Filter):
    """Says on each record which request it is about, and for whom the code was working."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _about.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        if not hasattr(record, "tenant"):
            record.tenant, record.tenant_id = _naming(context.get_current())
        return True


def _naming(target: context.Target | None) -> tuple[str, str]:
    """Return the slug and the id of whoever is active."""
    if isinstance(target, ActiveTenant):
        return str(target), "" if target.id is None else str(target.id)
    return (target.value, "") if target else ("", "")


@dataclass(slots=True)
class _Answer:
    """What the line of a request says that is known only when it was sent."""

    request: HttpRequest
    request_id: str
    began: float
    status: int = 0
    bytes: int | None = None

    def write_down(self) -> None:
        request = self.request
        tenant, tenant_id = _tenant_of(request)
        match = request.resolver_match
        method = request.method if request.method in METHODS else "OTHER"
        milliseconds = round((time.perf_counter() - self.began) * 1000, 1)
        logger.info(
            "answered",
            extra={
                "request_id": self.request_id,
                "tenant": tenant,
                "tenant_id": tenant_id,
                "method": method,
                # Its name, or its pattern: what somebody typed in its place is theirs.
                "route": (match.view_name or match.route) if match else "",
                "status": self.status,
                "milliseconds": milliseconds,
                "bytes": self.bytes,
            },
        )


def _tenant_of(request: HttpRequest) -> tuple[str, str]:
    """Return slug and id of whose request it was; of an unknown host's neither."""
    if not hasattr(request, "tenant"):
        return "", ""
    tenant: Any = request.tenant
    if tenant is None:
        return context.PLATFORM.value, ""
    slug = getattr(tenant, "slug", "") or getattr(tenant, "schema_name", "")
    return str(slug), str(tenant.pk)


class RequestLog:
    """
    Middleware: an id for each request, in the answer's X-Request-ID and in the log, and a line.

    First among all that may answer, so that what they answer has a line too. The id is the one
    that the request brings, where it looks like one, so that it is the ingress's as well.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.answer(request)
        answer = _begin(request)
        with about(request_id=answer.request_id):
            response: HttpResponseBase = self.get_response(request)
        return _finish(answer, response)

    async def answer(self, request: HttpRequest) -> HttpResponseBase:
        answer = _begin(request)
        with about(request_id=answer.request_id):
            response: HttpResponseBase = await self.get_response(request)
        return _finish(answer, response)


def _begin(request: HttpRequest) -> _Answer:
    said = request.headers.get(HEADER)
    request_id = said if is_id(said) else uuid4().hex
    return _Answer(request, request_id, time.perf_counter())


def _finish(answer: _Answer, response: HttpResponseBase) -> HttpResponseBase:
    response.headers[HEADER] = answer.request_id
    answer.status = response.status_code
    if answer.request.method == "HEAD":
        answer.bytes = 0
    elif not response.streaming:
        answer.bytes = len(cast("Any", response).content)
    elif getattr(response, "file_to_stream", None) is None:
        _count(answer, cast("Any", response))
    else:  # the server sends it, and counts for itself
        length = response.headers.get("Content-Length", "")
        answer.bytes = int(length) if length.isdecimal() else None
    # Last of all: when the server closes the response, it has sent it.
    closers: list[Callable[[], None]] = response._resource_closers  # type: ignore[attr-defined]
    closers.append(answer.write_down)
    return response


def _count(answer: _Answer, response: Any) -> None:
    """Count what is streamed, each step of which is about this request too."""
    answer.bytes = 0
    content = response.streaming_content
    stream: Any = _astream if response.is_async else _stream
    response.streaming_content = stream(content, answer)


def _stream(content: Iterator[bytes], answer: _Answer) -> Iterator[bytes]:
    while True:
        with about(request_id=answer.request_id):
            try:
                chunk = next(content)
            except StopIteration:
                return
        answer.bytes = (answer.bytes or 0) + len(chunk)
        yield chunk


async def _astream(content: AsyncIterator[bytes], answer: _Answer) -> AsyncIterator[bytes]:
    while True:
        with about(request_id=answer.request_id):
            try:
                chunk = await anext(content)
            except StopAsyncIteration:
                return
        answer.bytes = (answer.bytes or 0) + len(chunk)
        yield chunk
