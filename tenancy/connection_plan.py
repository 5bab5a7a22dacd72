"""
How many connections are opened where, and which limit is reached first?

Arithmetic only. The numbers are upper bounds: pools open what they need, up to these.

    pods x workers x connections  ->  poolers x (pool + reserve)  ->  the server's max_connections
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

# Where a connection to the server stays with one client for as long as that is connected, and
# where it is anybody's after each transaction.
NONE, SESSION, TRANSACTION = "none", "session", "transaction"
MODES = (NONE, SESSION, TRANSACTION)

# The limit that holds while a pooler is restarted, or its node is.
ONE_AWAY = "max_client_conn, one away"


@dataclass(frozen=True)
class Deployment:
    """
    What is deployed. `pool` is a pod's, and is divided among its `workers`, which share
    nothing; the numbers of a pooler are each pooler's.
    """

    pods: int = 1
    workers: int = 1
    pool: int = 20
    threads: int = 0
    """Of each worker, 0 for one to each of its connections."""
    clients: int = 0
    """Others that come through the poolers, such as workers of tasks."""

    mode: str = NONE
    poolers: int = 0
    pool_size: int = 0
    reserve: int = 0
    max_client_conn: int = 0
    pools: int = 1
    """Pairs of a database and a login, of which each has a pool of its own in each pooler."""

    max_connections: int = 100
    reserved: int = 3
    """superuser_reserved_connections."""
    direct: int = 0
    """Others that go to the server itself, such as migrations."""

    def __post_init__(self) -> None:
        for name, number in self.numbers().items():
            if number < 0:
                raise ValueError(f"{name} is {number}; use 0 or more.")
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; use one of {', '.join(MODES)}.")
        if not self.workers or self.pool < self.workers:
            raise ValueError(
                f"A pool of {self.pool} is not enough for {self.workers} workers, each of which "
                "needs a connection."
            )
        if self.has_pooler and not (self.poolers and self.pool_size and self.max_client_conn):
            raise ValueError(
                f"With mode {self.mode!r} there are poolers: give poolers, pool_size and "
                "max_client_conn."
            )

    def numbers(self) -> dict[str, int]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.type == "int"}

    @property
    def has_pooler(self) -> bool:
        return self.mode != NONE

    # A pod

    @property
    def per_worker(self) -> int:
        return self.pool // self.workers

    @property
    def per_pod(self) -> int:
        """What a pod opens: what cannot be divided among its workers is nobody's."""
        return self.per_worker * self.workers

    @property
    def threads_per_worker(self) -> int:
        return self.threads or self.per_worker

    @property
    def at_work_per_pod(self) -> int:
        """Requests that a pod answers at once, each with a connection or waiting for one."""
        return self.threads_per_worker * self.workers

    # All of them

    @property
    def of_pods(self) -> int:
        """What all pods open together."""
        return self.pods * self.per_pod

    @property
    def asked_for(self) -> int:
        """What all pods were given, `pods x pool`."""
        return self.pods * self.pool

    @property
    def all_clients(self) -> int:
        return self.of_pods + self.clients

    @property
    def client_limit(self) -> int:
        """Clients that all poolers let in together."""
        return self.poolers * self.max_client_conn

    @property
    def client_limit_with_one_away(self) -> int:
        return max(self.poolers - 1, 0) * self.max_client_conn

    @property
    def per_pooler(self) -> int:
        """Connections to the server that one pooler opens when it is pressed."""
        return self.pools * (self.pool_size + self.reserve)

    @property
    def pooler_limit(self) -> int:
        return self.poolers * self.per_pooler

    @property
    def through_poolers(self) -> int:
        """Connections to the server that the poolers open, however many clients press them."""
        return min(self.all_clients, self.pooler_limit)

    @property
    def at_server(self) -> int:
        through = self.through_poolers if self.has_pooler else self.all_clients
        return through + self.direct

    @property
    def server_limit(self) -> int:
        """What the server has for others than superusers."""
        return max(self.max_connections - self.reserved, 0)

    @property
    def room_for_pods(self) -> int:
        """Connections to the server that are left for pods that come directly."""
        return max(self.server_limit - self.direct - self.clients, 0)


def deployed(numbers: Mapping[str, Any]) -> tuple[Deployment, int]:
    """
    Return the deployment that TENANCY_CONNECTIONS describes, and how many pods it may have.

    Its keys are the fields of Deployment, and `pods_at_most`. Raise ValueError for another.
    """
    known = {each.name for each in fields(Deployment)}
    if unknown := numbers.keys() - known - {"pods_at_most"}:
        raise ValueError(
            f"TENANCY_CONNECTIONS has {', '.join(sorted(unknown))}; there are "
            f"{', '.join(sorted(known))} and pods_at_most."
        )
    plan = Deployment(**{name: value for name, value in numbers.items() if name in known})
    return plan, int(numbers.get("pods_at_most", plan.pods))


@dataclass(frozen=True)
class Limit:
    """Something that is full when there are more than `pods`; None where pods do not fill it."""

    name: str
    used: int
    available: int
    pods: int | None
    remedy: str

    @property
    def is_broken(self) -> bool:
        return self.used > self.available

    @property
    def headroom(self) -> int:
        return self.available - self.used


def limits(of: Deployment) -> list[Limit]:
    """Return every limit of a deployment, the one that is reached first in front."""
    return sorted(_limits(of), key=_order)


def _order(limit: Limit) -> tuple[bool, float]:
    return not limit.is_broken, float("inf") if limit.pods is None else limit.pods


def _limits(of: Deployment) -> Iterator[Limit]:
    if not of.has_pooler:
        yield Limit(
            "max_connections",
            of.at_server,
            of.server_limit,
            of.room_for_pods // of.per_pod,
            "put poolers between, or give each pod fewer connections",
        )
        return
    yield Limit(
        "max_client_conn",
        of.all_clients,
        of.client_limit,
        max(of.client_limit - of.clients, 0) // of.per_pod,
        "more poolers, or a higher max_client_conn",
    )
    if of.poolers > 1:
        yield Limit(
            ONE_AWAY,
            of.all_clients,
            of.client_limit_with_one_away,
            max(of.client_limit_with_one_away - of.clients, 0) // of.per_pod,
            "more poolers, or a higher max_client_conn",
        )
    if of.mode == SESSION:
        # A client has its connection for as long as it is there, so that each needs one.
        yield Limit(
            "default_pool_size",
            of.all_clients,
            of.pooler_limit,
            max(of.pooler_limit - of.clients, 0) // of.per_pod,
            "pool_mode = transaction, in which clients share connections",
        )
    yield Limit(
        "max_connections",
        of.at_server,
        of.server_limit,
        None,
        "a smaller default_pool_size, or a higher max_connections",
    )


def pool_size_for(of: Deployment, wanted: int) -> int:
    """
    Return the default_pool_size with which the poolers open `wanted` connections to the server,
    or the last few less where that cannot be divided.
    """
    each = wanted // (of.poolers * of.pools) if of.poolers else 0
    return max(each - of.reserve, 0)


def tenants_per_pod(tenants: int, pods: int) -> float:
    """Return for how many tenants a pod works on average; any pod works for any of them."""
    return tenants / pods if pods else 0.0


@dataclass(frozen=True)
class Scenario:
    """A load as the first plan has it: `at_least` and `at_most` so many pods, and what each has."""

    tenants: str
    at_least: int
    at_most: int
    pool: int
    cores: tuple[int, int]
    gigabytes: tuple[int, int]
    pooler: str

    def connections(self) -> tuple[int, int]:
        """Return `total_connections`: what the pods are given together."""
        return self.at_least * self.pool, self.at_most * self.pool


SCENARIOS: Mapping[str, Scenario] = {
    "normal": Scenario("50-100", 3, 5, 20, (1, 2), (2, 3), "optional"),
    "high": Scenario("200-300", 10, 15, 15, (2, 2), (3, 3), "enabled"),
    "peak": Scenario("500+", 20, 30, 10, (2, 2), (4, 4), "required"),
}


def as_facts(of: Deployment, *, tenants: int | None = None) -> dict[str, Any]:
    """Return a plan for programs."""
    told: dict[str, Any] = {
        **of.numbers(),
        "mode": of.mode,
        "per_worker": of.per_worker,
        "per_pod": of.per_pod,
        "of_pods": of.of_pods,
        "all_clients": of.all_clients,
        "at_server": of.at_server,
        "server_limit": of.server_limit,
        "limits": [
            {
                "name": limit.name,
                "used": limit.used,
                "available": limit.available,
                "headroom": limit.headroom,
                "pods": limit.pods,
            }
            for limit in limits(of)
        ],
    }
    if of.has_pooler:
        told |= {
            "client_limit": of.client_limit,
            "per_pooler": of.per_pooler,
            "through_poolers": of.through_poolers,
        }
    if tenants is not None:
        told |= {"tenants": tenants, "tenants_per_pod": tenants_per_pod(tenants, of.pods)}
    return told
