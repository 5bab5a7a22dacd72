"""Redis hangs, or is killed, under fifty requests a second: each of them is answered."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis

from tenancy.models import Organization
from tests.faults.crowd import Crowd, Seen, percentile
from tests.fixtures import servers
from tests.fixtures.own_redis import OwnRedis
from tests.fixtures.pods import Pod

ELM = "elm.clinicx.example"
OAK = "oak.clinicx.example"
SECONDS = 13.0

# What is done to Redis, and after how many seconds.
STEPS = {"frozen": 2.0, "thawed": 5.0, "killed": 7.5, "started": 10.0}

# A question waits for a second, and so does who waits for the thread behind it. Together two;
# three, so that the test does not tell how busy the machine is.
AT_MOST_MILLISECONDS = 3000


@pytest.fixture
def pod(
    start: Callable[[dict[str, str]], Pod],
    own_redis: OwnRedis,
    committed: None,
    elm: Organization,
    oak: Organization,
) -> Pod:
    """A pod with one process, at a Redis of its own."""
    pod = start(
        {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "DATABASE_URL": servers.database_url(servers.database_name(), "app"),
            "WEB_WORKERS": "1",
            "DB_POOL_SIZE": "10",
            "REDIS_URL": own_redis.url,
        }
    )
    pod.wait_until(lambda: pod.answers(OAK))
    return pod


def test_requests_go_on_without_redis(pod: Pod, own_redis: OwnRedis) -> None:
    """
    The page asks for rates, for requests in flight and for the clinic: several questions.
    """
    wait = Crowd(
        **{"port": pod.port, "hosts": [ELM, OAK], "path": "/quick/"},
        **{"clients": 10, "seconds": SECONDS, "pause": 0.18},
    ).start()
    act = dict(
        zip(
            STEPS,
            (own_redis.freeze, own_redis.thaw, own_redis.kill, own_redis.start),
            strict=True,
        )
    )
    began = time.monotonic()
    for step, at in STEPS.items():
        time.sleep(max(0.0, began + at - time.monotonic()))
        act[step]()
    seen = wait()
    show(seen)

    assert {each.status for each in seen} == {200}
    assert max(each.milliseconds for each in seen) < AT_MOST_MILLISECONDS
    # One in a while waits for the timeout of a second, and not each of them.
    frozen = [each for each in seen if STEPS["frozen"] + 0.5 <= each.at < STEPS["thawed"] - 0.5]
    assert percentile(frozen, 0.5) < 500
    # Once for each time, and not for each request.
    assert pod.said.count("Redis is away") == 2
    assert pod.said.count("Redis answers again") == 2
    with redis.Redis.from_url(own_redis.url) as client:
        asked = client.info("commandstats")
    # It knows nothing of before it was killed.
    assert asked["cmdstat_evalsha"]["calls"] > 20, "nothing was limited after it was back"


def show(seen: list[Seen]) -> None:
    """Print what clients saw between one step and the next, for `pytest -s`."""
    bounds = [0.0, *STEPS.values(), SECONDS + AT_MOST_MILLISECONDS]
    lines = [f"\n{'redis':<9}{'requests':>9}{'200':>6}{'p50 ms':>8}{'p99 ms':>8}{'most ms':>9}"]
    for name, low, high in zip(["answers", *STEPS], bounds[:-1], bounds[1:], strict=True):
        part = [each for each in seen if low <= each.at < high]
        good = sum(each.status == 200 for each in part)
        lines.append(
            f"{name:<9}{len(part):>9}{good:>6}{percentile(part, 0.5):>8.0f}"
            f"{percentile(part, 0.99):>8.0f}{max(each.milliseconds for each in part):>9.0f}"
        )
    print("\n".join(lines))  # noqa: T201  # the table is read by people
