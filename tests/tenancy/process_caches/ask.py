"""
Ask for the same at two tenants: in turn, in two threads at once, in two tasks at once.

Prints as JSON what each tenant was answered, and how many queries five turns took.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import django

TENANTS = ("elm", "oak")
TURNS = 5


def enter(name: str) -> None:
    """Work for the tenant `name` from now on, as the project's middleware would."""
    from django.conf import settings
    from django.db import connection

    if settings.DATABASES["default"]["ENGINE"] == "tenancy.backend":
        from tenancy import context

        context.activate(context.ActiveTenant(TENANTS.index(name), f"tenant_{name}"))
    else:
        connection.set_schema(f"tenant_{name}")


def content_type() -> object:
    from django.contrib.contenttypes.models import ContentType

    return ContentType.objects.get_by_natural_key("accounts", "user").pk


def site() -> object:
    from django.contrib.sites.models import Site

    return Site.objects.get_current().domain


QUESTIONS: dict[str, Callable[[], object]] = {"content type": content_type, "site": site}


def forget() -> None:
    from django.contrib.contenttypes.models import ContentType
    from django.contrib.sites.models import Site

    ContentType.objects.clear_cache()
    Site.objects.clear_cache()


def ask_in_turn(question: Callable[[], object]) -> dict[str, Any]:
    from django.db import connection

    queries: list[str] = []

    def count(execute: Any, sql: str, *args: Any) -> Any:
        queries.append(sql)
        return execute(sql, *args)

    answers = {}
    with connection.execute_wrapper(count):
        for _ in range(TURNS):
            for name in TENANTS:
                enter(name)
                answers[name] = question()
    # django-tenants sends a SET before each, which may be counted as well.
    return {"answers": answers, "queries": len([sql for sql in queries if "SELECT" in sql])}


def ask_in_threads(question: Callable[[], object]) -> dict[str, Any]:
    """Both have entered before Elm asks, and Elm was answered before Oak asks."""
    from django.db import connections

    entered, answered = Barrier(2), Barrier(2)

    def ask(name: str) -> object:
        try:
            enter(name)
            entered.wait(10)
            if name == "elm":
                answer = question()
                answered.wait(10)
            else:
                answered.wait(10)
                answer = question()
            return answer
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        return {"answers": dict(zip(TENANTS, pool.map(ask, TENANTS), strict=True))}


def ask_in_tasks(question: Callable[[], object]) -> dict[str, Any]:
    from asgiref.sync import sync_to_async

    async def ask(name: str, before: asyncio.Event, after: asyncio.Event) -> object:
        await sync_to_async(enter)(name)
        before.set()
        await after.wait()
        return await sync_to_async(question)()

    async def both() -> dict[str, object]:
        elm, oak = asyncio.Event(), asyncio.Event()
        answers = await asyncio.gather(ask("elm", elm, oak), ask("oak", oak, elm))
        return dict(zip(TENANTS, answers, strict=True))

    return {"answers": asyncio.run(both())}


def main() -> dict[str, Any]:
    answers = {}
    for name, question in QUESTIONS.items():
        for way in (ask_in_turn, ask_in_threads, ask_in_tasks):
            forget()
            answers[f"{name}, {way.__name__}"] = way(question)
    return answers


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(json.dumps(main()))
