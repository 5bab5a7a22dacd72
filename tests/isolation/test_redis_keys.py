"""Redis is told of no key that belongs to nobody, whatever people at two clinics do."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.urls import reverse

from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.fixtures import redis_keys, servers

PAGES = [
    reverse("patients:list"),
    reverse("admin:index"),
    reverse("api:patients-list"),
    "/nowhere/",
]


@pytest.fixture
def stranger() -> Any:
    """A connection that knows of no clinic."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        yield client
        client.flushdb()


class TestRequests:
    def test_name_keys_of_their_clinic_or_of_the_platform(
        self,
        outside: list[Organization],
        sign_in: Callable[..., Any],
        platform_client: TenantClient,
    ):
        clients = [TenantClient(organization) for organization in outside]

        with redis_keys.watched() as commands:
            for client in clients:
                sign_in(client, "clinic_admin")
                for page in PAGES:
                    assert client.get(page).status_code in (200, 404)
            platform_client.get("/sign-in/")

        assert redis_keys.list_keys(commands)
        assert redis_keys.list_strangers(commands) == []


class TestStranger:
    """The check sees one key without an owner, however it is spelled."""

    @pytest.mark.parametrize(
        "command",
        [
            ("SET", "patients", "1"),
            ("GET", "clinicx"),
            ("GET", "clinicx:elm:1:key"),
            ("GET", "xclinicx:platform:1:key"),
            ("MGET", "clinicx:platform:1:key", "key"),
            ("RENAME", "clinicx:platform:1:key", "key"),
            ("EVAL", "return redis.call('GET', KEYS[1])", 1, "key"),
            ("EVAL", "return redis.call('GET', 'key')", 0),
            ("KEYS", "*"),
            ("SCAN", 0),
            ("SCAN", 0, "MATCH", "*:key"),
            ("FLUSHDB",),
            ("RANDOMKEY",),
        ],
    )
    def test_is_seen(self, command: tuple[Any, ...], stranger: redis.Redis):
        stranger.set("clinicx:platform:1:key", 1)

        with redis_keys.watched() as commands:
            stranger.execute_command(*command)

        assert redis_keys.list_strangers(commands) != []

    @pytest.mark.parametrize(
        "command",
        [
            ("SET", "clinicx:platform:1:a key\n\xe9", "1"),
            ("GET", "clinicx:shared:1:key"),
            ("GET", "clinicx:0e6a53c1-2b4f-4c55-9d5e-3f0a1c7b8d90:1:key"),
            ("SCAN", 0, "MATCH", "clinicx:platform:*"),
            ("PING",),
        ],
    )
    def test_is_not_seen_where_there_is_none(self, command: tuple[Any, ...], stranger: redis.Redis):
        with redis_keys.watched() as commands:
            stranger.execute_command(*command)

        assert redis_keys.list_strangers(commands) == []

    def test_of_another_database_is_nobodys_business(self):
        url = servers.redis_url(servers.redis_number("queue"))
        with redis_keys.watched() as commands, redis.Redis.from_url(url) as other:
            other.get("key")

        assert redis_keys.list_keys(commands) == []
