"""The pooler starts with the manifests' own configuration, and keeps clinics apart."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from threading import Thread

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections
from psycopg.rows import dict_row

from apps.accounts.models import User
from clinicx.local import account
from tenancy import context
from tenancy.checks import probe
from tests.fixtures import pgbouncer as fixture
from tests.k8s import pooler
from tests.k8s.manifests import BASE, load
from tests.k8s.pooler import Pooler

THREADS = 8
READS = 50


@pytest.fixture(scope="module")
def running(django_db_setup: None) -> Iterator[Pooler]:
    with pooler.running(pooler.configuration()) as found:
        yield found


@pytest.fixture
def through(running: Pooler, committed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pooler]:
    """Lead both of the application's addresses through it, as a pod's are, and check its name."""
    checked = {"sslmode": "verify-full", "sslrootcert": str(running.folder / "tls.crt")}
    for alias in ("default", "ddl"):
        connections[alias].close()
        settings = connections.settings[alias]
        monkeypatch.setitem(settings, "HOST", "127.0.0.1")
        monkeypatch.setitem(settings, "PORT", running.port)
        monkeypatch.setitem(settings, "OPTIONS", {**settings["OPTIONS"], **checked})
    yield running
    for alias in ("default", "ddl"):
        connections[alias].close()


@pytest.fixture
def readers(through: Pooler, elm, oak):
    """Elm and Oak, each with one user, named after it."""
    for organization in (elm, oak):
        with context.override(organization.as_active()):
            User.objects.create(username=f"reader-{organization.slug}")
    yield [elm, oak]
    for organization in (elm, oak):
        with context.override(organization.as_active()):
            User.objects.all().delete()


def show(running: Pooler, what: str) -> list[dict[str, object]]:
    with psycopg.connect(running.stats_url(), autocommit=True) as console:
        return list(console.cursor(row_factory=dict_row).execute(f"SHOW {what}"))


def config(running: Pooler) -> dict[str, str]:
    return {str(row["key"]): str(row["value"]) for row in show(running, "CONFIG")}


class TestConfiguration:
    WANTED = {
        "pool_mode": "transaction",
        "max_client_conn": "1000",
        "default_pool_size": "25",
        "reserve_pool_size": "5",
        "reserve_pool_timeout": "3",
        "server_idle_timeout": "600",
        "server_lifetime": "300",
        "query_wait_timeout": "5",
        "idle_transaction_timeout": "15",
        "server_login_retry": "1",
        "auth_type": "scram-sha-256",
        "client_tls_sslmode": "require",
    }

    def test_is_what_the_pooler_says_of_itself(self, running: Pooler):
        found = config(running)

        assert {name: found[name] for name in self.WANTED} == self.WANTED

    def test_ends_with_what_an_overlay_says(self, django_db_setup: None):
        with pooler.running(pooler.configuration("peak")) as peak:
            assert config(peak)["server_lifetime"] == "60"

    def test_has_directives_of_newer_versions_in_their_own_file(self, django_db_setup: None):
        """An older one does not start on a directive that it does not know."""
        if pooler.installed() >= (1, 25):
            pytest.skip("this PgBouncer knows all of them")
        with pooler.prepared(pooler.configuration(), newer=True) as prepared:
            done = subprocess.run(
                [fixture._program(), str(prepared.folder / "pgbouncer.ini")],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
                **account.choose().identity,
            )

        assert done.returncode != 0
        newer = pooler.configuration()["since-1.25.ini"]
        assert any(name in done.stderr for name in re.findall(r"^(\w+) =", newer, re.MULTILINE))


class TestClients:
    def test_without_tls_are_refused(self, running: Pooler):
        with pytest.raises(psycopg.OperationalError, match="SSL"):
            psycopg.connect(running.url("app").replace("verify-full", "disable"))

    def test_with_another_password_are_refused(self, running: Pooler):
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(running.url("app"), password="wrong")

    def test_who_are_not_in_the_list_are_refused(self, running: Pooler):
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(running.url("app"), user="postgres")


class TestClinics:
    def test_read_their_own_rows_through_it(self, through: Pooler, readers):
        """Eight threads ask for both in turn, over sessions that are whoever's is next."""
        found: Counter[tuple[str, str]] = Counter()

        def read() -> None:
            try:
                for organization in readers * READS:
                    with context.override(organization.as_active()):
                        (name,) = User.objects.values_list("username", flat=True)
                    found[organization.slug, name] += 1
            finally:
                connection.close()

        threads = [Thread(target=read) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert found == {(each.slug, f"reader-{each.slug}"): THREADS * READS for each in readers}
        login = f"{through.database}_app"
        (pool,) = [each for each in show(through, "POOLS") if each["user"] == login]
        assert int(str(pool["sv_idle"])) + int(str(pool["sv_active"])) <= 25

    def test_keep_their_connection_between_requests(self, through: Pooler, elm):
        """What TLS has to say after the handshake is not taken for a farewell."""
        with context.override(elm.as_active()):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            first = connection.connection
            assert connection.is_usable()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")

        assert connection.connection is first

    def test_meet_the_pooler_that_pods_demand(self, through: Pooler):
        with context.override(context.PLATFORM):
            assert probe.mode(connections["default"]) == "transaction"


class TestServer:
    def test_without_the_certificate_that_is_wanted_is_not_spoken_to(self, django_db_setup: None):
        """The tests' own PostgreSQL has no TLS: with the manifests' line nobody gets to it."""
        files = pooler.configuration()
        with pooler.prepared(files, newer=False, server_tls=True) as strict:
            try:
                strict.launch()
                with pytest.raises(psycopg.OperationalError, match="query_wait_timeout"):
                    psycopg.connect(strict.url("app"), connect_timeout=10).execute("SELECT 1")
                assert show(strict, "SERVERS") == []
            finally:
                strict.stop()


class TestDrain:
    def test_lets_a_transaction_end_before_it_goes(self, django_db_setup: None):
        """What preStop sends, and not SIGTERM, which until 1.23 cuts it off."""
        deployment = load(BASE / "pgbouncer" / "deployment.yaml")
        (container, _) = deployment["spec"]["template"]["spec"]["containers"]
        assert "kill -INT 1" in container["lifecycle"]["preStop"]["exec"]["command"][-1]
        with pooler.running(pooler.configuration()) as going:
            assert going.process is not None
            with psycopg.connect(going.url("app")) as client:
                client.execute("SELECT 1")

                going.process.send_signal(signal.SIGINT)

                assert client.execute("SELECT pg_sleep(1), 2").fetchone() == ("", 2)
                assert going.process.poll() is None
                client.commit()
            assert going.process.wait(timeout=10) == 0


class TestOwner:
    def test_has_sessions_of_its_own(self, through: Pooler):
        """So that a pod may ask whether all is migrated, and has no way past the pooler."""
        with context.override(context.PLATFORM):
            assert probe.mode(connections["ddl"]) == "session"

    def test_asks_through_it_whether_all_is_migrated(self, through: Pooler, capsys):
        """The whole of what the init container runs: `migrate_schemas --check`."""
        call_command("migrate_schemas", "--check")

    def test_has_at_most_two(self, running: Pooler):
        url = running.url("ddl_login")

        with psycopg.connect(url) as one, psycopg.connect(url) as two:
            one.execute("SELECT 1")
            two.execute("SELECT 1")
            with psycopg.connect(url) as third, pytest.raises(psycopg.OperationalError) as told:
                third.execute("SELECT 1")

        assert "query_wait_timeout" in str(told.value)
