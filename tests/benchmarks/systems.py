"""
What is compared?

Each system runs in processes of its own: `tenancy` hooks into Django's ORM, and plain
Django shall not pay for that.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fixtures import servers

_SETTINGS = "tests.benchmarks.project.settings"


@dataclass(frozen=True)
class System:
    """`key` is its name in the JSON, `login` whose rights it has in the database."""

    key: str
    title: str
    settings: str
    login: str

    def environment(self, *, port: int | None = None) -> dict[str, str]:
        """Return what a process of this system needs to know; `port` leads to the database."""
        return {
            "DJANGO_SETTINGS_MODULE": f"{_SETTINGS}.{self.settings}",
            "BENCH_DATABASE_URL": servers.database_url(
                servers.database_name(), self.login, port=port
            ),
        }


OURS = System("ours", "tenancy", "ours", "app")
PLAIN = System("plain_django", "plain Django", "plain", "plain")
STOCK = System("django_tenants", "django-tenants", "stock", "stock")
# The least that path and role can cost, with the rights that ours has.
LIMIT = System("limit", "limit", "plain", "app")

ALL = (OURS, PLAIN, STOCK, LIMIT)
WITH_DJANGO = (OURS, PLAIN, STOCK)
