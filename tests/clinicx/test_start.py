"""A pod's gunicorn serves when that is safe, and ends with the cause when it is not."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from clinicx.local import account, ports
from tenancy.models import Organization
from tests.fixtures import servers
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.pods import PATIENCE_SECONDS, Pod


def as_superuser() -> str:
    """Return the address of the tests' database, logging in as the superuser."""
    address = urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
    return urlunsplit(address._replace(path=f"/{servers.database_name()}"))


def binding_at_server(login: str) -> Callable[[], str]:
    return lambda: (
        servers.database_url(servers.database_name(), login) + "?server_side_binding=true"
    )


class TestPod:
    def test_serves_when_it_is_safe(
        self, start: Callable[[dict[str, str]], Pod], elm: Organization
    ) -> None:
        """Also where each worker has one connection only, which its question gave back."""
        pod = start({"DB_POOL_SIZE": "2", "DB_POOL_TIMEOUT": "5"})
        pod.wait_until(lambda: pod.answers("elm.clinicx.example"))

        assert pod.ask("elm.clinicx.example") == 401
        assert pod.ask("nobody.clinicx.example") == 404
        assert "Not safe" not in pod.said
        pod.process.terminate()
        assert pod.process.wait(timeout=30) == 0

    @pytest.mark.parametrize(
        ("variables", "cause"),
        [
            ({"DATABASE_URL": as_superuser}, "tenancy.E008"),
            # Django makes a connection of the first address before it asks any check.
            ({"DATABASE_URL": binding_at_server("app")}, "['server_side_binding'] must not"),
            ({"DATABASE_DDL_URL": binding_at_server("ddl_login")}, "tenancy.E010"),
            ({"DB_POOLER_MODE": "transactional"}, "tenancy.E011"),
            ({"DB_POOLER_MODE": "transaction"}, "tenancy.E012"),
            ({"SECRET_KEY": "django-insecure-x"}, "security.W009"),
            ({"DB_POOL_SIZE": "1"}, "DB_POOL_SIZE=1 is less than WEB_WORKERS=2"),
            ({"DB_POOL_MIN_SIZE": "21"}, "DB_POOL_MIN_SIZE=21 is more than DB_POOL_SIZE=20"),
            ({"DB_ISOLATION_LEVEL": "serialisable"}, "DB_ISOLATION_LEVEL='serialisable'"),
        ],
        ids=lambda value: value.split()[0] if isinstance(value, str) else "",
    )
    def test_ends_with_the_cause_when_it_is_not(
        self,
        start: Callable[[dict[str, str]], Pod],
        variables: dict[str, str | Callable[[], str]],
        cause: str,
    ) -> None:
        pod = start({k: v() if callable(v) else v for k, v in variables.items()})

        status = pod.process.wait(timeout=PATIENCE_SECONDS)

        assert status != 0
        assert cause in pod.said


class TestPodWithoutPostgresql:
    @pytest.fixture
    def pooler(self) -> Iterator[PgBouncer]:
        """A way to PostgreSQL that is not open yet."""
        with tempfile.TemporaryDirectory(prefix="clinicx-pgbouncer-") as folder:
            account.choose().own(Path(folder))
            pooler = PgBouncer(port=ports.pick(preferred=0), folder=Path(folder))
            yield pooler
            pooler.stop()

    def test_waits_and_then_serves(
        self, start: Callable[[dict[str, str]], Pod], elm: Organization, pooler: PgBouncer
    ) -> None:
        """It is not restarted meanwhile, and serves nobody unasked: it has a pooler to ask for."""
        pod = start({"DATABASE_URL": pooler.url("app"), "DB_POOLER_MODE": "transaction"})
        pod.wait_until(lambda: pod.answers("elm.clinicx.example"))
        before = {host: pod.ask(host) for host in ("elm.clinicx.example", "nobody.example")}
        is_live = pod.is_live()
        # What Django answers without a database, and does not while it was not asked.
        redirect = pod.ask("elm.clinicx.example", scheme="http")

        pooler.start()
        came_back_at = time.monotonic()
        # Each of its workers, and they take turns.
        pod.wait_until(lambda: {pod.ask("elm.clinicx.example") for _ in range(8)} == {401})

        assert before == {"elm.clinicx.example": 503, "nobody.example": 503}
        assert is_live
        assert redirect == 503
        assert pod.ask("elm.clinicx.example", scheme="http") == 301
        assert time.monotonic() - came_back_at < 10

    def test_ends_when_it_turns_out_not_to_be_safe(
        self, start: Callable[[dict[str, str]], Pod], elm: Organization, pooler: PgBouncer
    ) -> None:
        """The pooler is one for transactions, and another was meant."""
        pod = start({"DATABASE_URL": pooler.url("app"), "DB_POOLER_MODE": "session"})
        pod.wait_until(lambda: pod.is_live())

        pooler.start()

        assert pod.process.wait(timeout=PATIENCE_SECONDS) != 0
        assert "tenancy.E013" in pod.said

    def test_ends_when_it_is_told_to(self, start: Callable[[dict[str, str]], Pod]) -> None:
        pod = start({"DATABASE_URL": "postgres://x:x@127.0.0.1:1/x"})
        pod.wait_until(lambda: "Waiting for PostgreSQL" in pod.said)

        pod.process.terminate()

        assert pod.process.wait(timeout=10) == 0
        assert re.search("Waiting for PostgreSQL.*refused", pod.said)

    def test_ends_with_the_process_that_started_it(
        self, start: Callable[[dict[str, str]], Pod]
    ) -> None:
        pod = start({"DATABASE_URL": "postgres://x:x@127.0.0.1:1/x", "WEB_WORKERS": "1"})
        pod.wait_until(lambda: "Waiting for PostgreSQL" in pod.said)

        pod.process.kill()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "Worker exiting" not in pod.said and time.monotonic() < deadline:
            time.sleep(0.05)

        assert "Worker exiting" in pod.said
