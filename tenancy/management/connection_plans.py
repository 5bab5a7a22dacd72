"""
How is a plan of connections told, in 80 columns?
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

from tenancy import connection_plan
from tenancy.connection_plan import SCENARIOS, TRANSACTION, Deployment, Limit, Scenario
from tenancy.management import tables

WIDTH = 80
BAR = 24

HEAD: tuple[str, ...] = (
    *("LOAD", "TENANTS", "PODS", "EACH", "TOGETHER"),
    *("CORES", "GB", "ALL CORES", "ALL GB", "POOLER"),
)

Row = tuple[str, Sequence[int], str]


def tell(
    plans: Sequence[Deployment], *, wanted: int | None = None, tenants: int | None = None
) -> Iterator[str]:
    """Say what is opened where, a column for each of `plans`, which differ in their pods."""
    yield from _table(plans)
    for plan in plans:
        yield from _bars(plan)
    yield ""
    for sentence in _sentences(plans, wanted=wanted, tenants=tenants):
        yield from textwrap.wrap(sentence, WIDTH, break_on_hyphens=False)


def _table(plans: Sequence[Deployment]) -> Iterator[str]:
    rows = [("", *(_pods(plan.pods) for plan in plans), "")]
    rows += [(name, *(f"{n:,}" for n in numbers), said) for name, numbers, said in _rows(plans)]
    right = frozenset(range(1, len(plans) + 1))
    yield from tables.lay_out(rows, width=None, right=right)


def _rows(plans: Sequence[Deployment]) -> Iterator[Row]:
    one = plans[0]
    each = f"{_count(one.workers, 'worker')} x {_count(one.per_worker, 'connection')}"
    threads = "" if one.threads_per_worker == one.per_worker else f", {one.threads} threads"
    yield "each pod opens", [plan.per_pod for plan in plans], f"{each}{threads}"
    yield "all pods", [plan.of_pods for plan in plans], ""
    if one.clients:
        yield "other clients", [plan.clients for plan in plans], "workers of tasks"
    if one.has_pooler:
        poolers = _count(one.poolers, "pooler")
        limit = f"of {one.client_limit:,}: {poolers} x {one.max_client_conn:,}"
        yield "clients of the poolers", [plan.all_clients for plan in plans], limit
        opened = f"{poolers} x ({one.pool_size} + {one.reserve})"
        opened += f" x {one.pools} logins" if one.pools > 1 else ""
        yield "poolers open", [plan.through_poolers for plan in plans], f"at most {opened}"
    if one.direct:
        yield "others open", [plan.direct for plan in plans], "past the poolers"
    limit = f"of {one.server_limit:,}: {one.max_connections} - {one.reserved} reserved"
    yield "at the server", [plan.at_server for plan in plans], limit


def _bars(plan: Deployment) -> Iterator[str]:
    yield ""
    yield _pods(plan.pods)
    found = connection_plan.limits(plan)
    width = max(len(limit.name) for limit in found)
    for limit in found:
        mark = " !" if limit.is_broken else ""
        yield f"  {limit.name:<{width}} {_bar(limit)} {limit.used:,} of {limit.available:,}{mark}"


def _bar(limit: Limit) -> str:
    share = limit.used / limit.available if limit.available else 1.0
    filled = min(BAR, math.ceil(share * BAR))
    return f"[{'#' * filled}{'.' * (BAR - filled)}]"


def _sentences(
    plans: Sequence[Deployment], *, wanted: int | None, tenants: int | None
) -> Iterator[str]:
    one, most = plans[0], plans[-1]
    yield from _first(one)
    for plan in plans:
        for limit in connection_plan.limits(plan):
            if limit.is_broken:
                yield (
                    f"! At {_pods(plan.pods)} {limit.name} is too small by {-limit.headroom:,}: "
                    f"{limit.remedy}."
                )
    if one.per_pod != one.pool:
        yield (
            f"A pool of {one.pool} is not divided evenly among {one.workers} workers: "
            f"{one.per_pod} are used, and all pods have {most.of_pods:,} and not "
            f"{most.asked_for:,}."
        )
    yield from _sharing(most)
    yield (
        f"Not counted: each of {_count(most.pods * most.workers, 'worker')} opens one more for "
        "some milliseconds, to ask whether the server is there."
    )
    if wanted is not None:
        yield from _wanted(one, wanted)
    if tenants is not None:
        each = " and ".join(
            f"{connection_plan.tenants_per_pod(tenants, plan.pods):,.3g} on each of "
            f"{_pods(plan.pods)}"
            for plan in plans
        )
        yield f"{tenants:,} tenants at once: {each}. Any pod works for any of them."


def _first(plan: Deployment) -> Iterator[str]:
    bounded = [limit for limit in connection_plan.limits(plan) if limit.pods is not None]
    bounded.sort(key=lambda limit: limit.pods or 0)
    told = [f"{limit.name}, with more than {_pods(limit.pods or 0)}" for limit in bounded]
    yield f"Reached first: {'; then '.join(told)}."


def _sharing(plan: Deployment) -> Iterator[str]:
    if plan.mode != TRANSACTION or plan.all_clients <= plan.through_poolers:
        return
    yield (
        f"That {plan.all_clients:,} clients share {plan.through_poolers} connections to the "
        "server is meant: a client has one while a transaction of its runs, and nobody's between "
        f"two. Of those that begin one at once {plan.through_poolers} go on and the others wait, "
        "up to query_wait_timeout."
    )


def _wanted(plan: Deployment, wanted: int) -> Iterator[str]:
    if not plan.has_pooler:
        yield f"{wanted:,} connections through poolers: there are none."
        return
    opened = plan.pooler_limit
    said = f"{_count(plan.poolers, 'pooler')} at {plan.pool_size} + {plan.reserve} open {opened}"
    if opened == wanted:
        yield f"{said} connections to the server, as wanted."
        return
    size = connection_plan.pool_size_for(plan, wanted)
    then = plan.poolers * plan.pools * (size + plan.reserve)
    yield (
        f"{said} connections to the server and not {wanted}. "
        f"default_pool_size = {size} would open {then}: {plan.poolers} x ({size} + {plan.reserve})."
    )


def tell_scenarios() -> Iterator[str]:
    """Say what the three loads of the first plan take."""
    rows = [HEAD, *(_scenario(name, each) for name, each in SCENARIOS.items())]
    yield from tables.lay_out(rows, width=None, right=frozenset(range(1, 9)))


def _scenario(name: str, of: Scenario) -> tuple[str, ...]:
    low, high = of.at_least, of.at_most
    return (
        name,
        of.tenants,
        _span(low, high),
        str(of.pool),
        _span(*of.connections()),
        _span(*of.cores),
        _span(*of.gigabytes),
        _span(low * of.cores[0], high * of.cores[1]),
        _span(low * of.gigabytes[0], high * of.gigabytes[1]),
        of.pooler,
    )


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _pods(number: int) -> str:
    return _count(number, "pod")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
