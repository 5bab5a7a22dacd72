"""The arithmetic of connections, with the numbers of the first plan."""

from __future__ import annotations

import pytest

from tenancy import connection_plan
from tenancy.connection_plan import NONE, SCENARIOS, SESSION, TRANSACTION, Deployment, limits

# "PgBouncer Configuration (Optional but Recommended)"
ONE = Deployment(
    pods=10,
    mode=TRANSACTION,
    poolers=1,
    pool_size=25,
    reserve=5,
    max_client_conn=1000,
    max_connections=500,
)


def changed(of: Deployment, **numbers: object) -> Deployment:
    return Deployment(**{**of.numbers(), "mode": of.mode, **numbers})  # type: ignore[arg-type]


class TestFirstPlan:
    def test_ten_pods_of_twenty_are_two_hundred(self) -> None:
        assert Deployment(pods=10, pool=20, max_connections=500).at_server == 200

    def test_two_hundred_and_fifty_through_the_pooler_are_twelve_pods(self) -> None:
        """Each connection of a pod needs one of its own, as in session mode: 250 / 20."""
        plan = changed(ONE, mode=SESSION, pool_size=250, reserve=0)

        (first, *_) = limits(plan)

        assert plan.pooler_limit == 250
        assert (first.name, first.pods) == ("default_pool_size", 12)

    def test_five_hundred_at_the_server_are_twenty_four_pods_without_a_pooler(self) -> None:
        (only,) = limits(Deployment(pods=10, pool=20, max_connections=500, reserved=3))

        assert (only.name, only.pods) == ("max_connections", 24)

    def test_fifty_pods_are_the_thousand_clients_of_one_pooler(self) -> None:
        """ "Effective connections: 1000+, maximum pods: 50+"."""
        plan = changed(ONE, pods=50)

        (first, *_) = limits(plan)

        assert plan.all_clients == plan.client_limit == 1000
        assert (first.name, first.pods, first.headroom) == ("max_client_conn", 50, 0)
        assert not first.is_broken
        assert limits(changed(ONE, pods=51))[0].is_broken

    def test_fifty_clinics_on_five_pods_are_ten_each(self) -> None:
        assert connection_plan.tenants_per_pod(50, 5) == 10

    def test_two_poolers_of_25_and_5_open_sixty_and_not_250(self) -> None:
        plan = changed(ONE, poolers=2, pods=50)

        assert plan.through_poolers == 60
        assert connection_plan.pool_size_for(plan, 250) == 120
        assert changed(plan, pool_size=120).through_poolers == 250

    @pytest.mark.parametrize(
        ("name", "tenants", "pods", "pool", "connections", "cores", "gigabytes", "pooler"),
        [
            ("normal", "50-100", (3, 5), 20, (60, 100), (1, 2), (2, 3), "optional"),
            ("high", "200-300", (10, 15), 15, (150, 225), (2, 2), (3, 3), "enabled"),
            ("peak", "500+", (20, 30), 10, (200, 300), (2, 2), (4, 4), "required"),
        ],
    )
    def test_has_three_scenarios(
        self, name, tenants, pods, pool, connections, cores, gigabytes, pooler
    ):
        scenario = SCENARIOS[name]

        assert scenario.tenants == tenants
        assert (scenario.at_least, scenario.at_most) == pods
        assert scenario.pool == pool
        assert scenario.connections() == connections
        assert (scenario.cores, scenario.gigabytes) == (cores, gigabytes)
        assert scenario.pooler == pooler
        for number, sum in zip(pods, connections, strict=True):
            assert Deployment(pods=number, pool=pool).of_pods == sum


class TestPod:
    def test_loses_what_cannot_be_divided_among_its_workers(self) -> None:
        plan = Deployment(pods=10, workers=2, pool=15)

        assert (plan.per_worker, plan.per_pod) == (7, 14)
        assert (plan.asked_for, plan.of_pods) == (150, 140)

    def test_has_a_thread_for_each_connection(self) -> None:
        assert Deployment(workers=2, pool=20).at_work_per_pod == 20
        assert Deployment(workers=2, pool=20, threads=4).at_work_per_pod == 8


class TestServer:
    def test_gets_no_more_than_the_poolers_open(self) -> None:
        """However many pods there are."""
        for pods in (5, 50, 500):
            assert changed(ONE, pods=pods).at_server == 30

    def test_gets_less_where_fewer_ask(self) -> None:
        assert changed(ONE, pods=1).at_server == 20

    def test_has_others_too(self) -> None:
        assert changed(ONE, direct=60).at_server == 90

    def test_keeps_some_for_superusers(self) -> None:
        assert changed(ONE, reserved=10).server_limit == 490

    def test_may_be_too_small_for_the_poolers(self) -> None:
        (first, *_) = limits(changed(ONE, pool_size=120, poolers=2, max_connections=200))

        assert (first.name, first.is_broken, first.headroom) == ("max_connections", True, -3)

    def test_opens_a_pool_for_each_login(self) -> None:
        assert changed(ONE, pools=2).pooler_limit == 60


class TestLimits:
    def test_of_two_poolers_say_what_one_holds_alone(self) -> None:
        found = {limit.name: limit.pods for limit in limits(changed(ONE, poolers=2))}

        assert found == {
            connection_plan.ONE_AWAY: 50,
            "max_client_conn": 100,
            "max_connections": None,
        }

    def test_count_who_else_comes_through_the_poolers(self) -> None:
        assert limits(changed(ONE, clients=8))[0].pods == 49


class TestDeployment:
    @pytest.mark.parametrize(
        ("numbers", "words"),
        [
            ({"pods": -1}, "pods is -1"),
            ({"workers": 3, "pool": 2}, "A pool of 2 is not enough for 3 workers"),
            ({"workers": 0}, "not enough"),
            ({"mode": "statement"}, "mode is 'statement'"),
            ({"mode": TRANSACTION}, "give poolers, pool_size and max_client_conn"),
        ],
    )
    def test_is_refused_with_what_is_wrong(self, numbers, words):
        with pytest.raises(ValueError, match=words):
            Deployment(**numbers)

    def test_is_told_to_programs(self) -> None:
        told = connection_plan.as_facts(ONE, tenants=50)

        assert told["all_clients"] == 200
        assert told["at_server"] == 30
        assert told["tenants_per_pod"] == 5
        assert told["limits"][0]["name"] == "max_client_conn"
        assert "through_poolers" not in connection_plan.as_facts(changed(ONE, mode=NONE))
