"""`manage.py connection_plan`: what is opened where, and which limit is reached first?"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy import connection_plan
from tenancy.conf import settings
from tenancy.connection_plan import MODES, SCENARIOS, Deployment
from tenancy.management import connection_plans

NUMBERS = {
    "workers": "Processes of each pod.",
    "pool": "Connections of each pod, DB_POOL_SIZE, which its workers divide.",
    "threads": "Threads of each worker; one for each connection unless given.",
    "clients": "Others that come through the poolers, such as workers of tasks.",
    "poolers": "PgBouncers.",
    "pool-size": "Each pooler's default_pool_size.",
    "reserve": "Each pooler's reserve_pool_size.",
    "max-client-conn": "Each pooler's max_client_conn.",
    "pools": "Pairs of a database and a login; each pooler has a pool for each.",
    "max-connections": "The server's max_connections.",
    "reserved": "The server's superuser_reserved_connections.",
    "direct": "Others that go to the server itself: owner's workers, migrations, Keycloak.",
}


class Command(BaseCommand):
    help = (
        "Compute how many connections pods, poolers and the server open, and which limit is "
        "reached first. Nothing is asked: each number is TENANCY_CONNECTIONS's unless it is given "
        "here. Example: connection_plan --pods 5 50 --server-connections 250"
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--pods", type=int, nargs="+", metavar="N", help="A column for each number of pods."
        )
        parser.add_argument(
            "--scenario",
            choices=SCENARIOS,
            help="The pods and pools of one of the first plan's loads.",
        )
        parser.add_argument(
            "--scenarios", action="store_true", help="List what these three loads take."
        )
        parser.add_argument(
            "--mode", choices=MODES, help="How poolers work; none for pods that come directly."
        )
        for name, words in NUMBERS.items():
            parser.add_argument(f"--{name}", type=int, metavar="N", help=words)
        parser.add_argument(
            "--server-connections",
            type=int,
            metavar="N",
            help="Say with which default_pool_size the poolers open so many.",
        )
        parser.add_argument(
            "--tenants", type=int, metavar="N", help="Say for how many of them a pod works."
        )
        parser.add_argument("--json", action="store_true", help="Write it for a program.")

    def handle(self, **options: Any) -> None:
        if options["scenarios"]:
            self._write(connection_plans.tell_scenarios())
            return
        try:
            plans = _plans(options)
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            told = [connection_plan.as_facts(each, tenants=options["tenants"]) for each in plans]
            self.stdout.write(json.dumps(told, indent=2))
            return
        self._write(
            connection_plans.tell(
                plans, wanted=options["server_connections"], tenants=options["tenants"]
            )
        )

    def _write(self, lines: Any) -> None:
        for line in lines:
            self.stdout.write(line)


def _plans(options: dict[str, Any]) -> list[Deployment]:
    deployed, at_most = connection_plan.deployed(settings.CONNECTIONS)
    given = {field: options[field] for field in (name.replace("-", "_") for name in NUMBERS)}
    changes = {field: number for field, number in given.items() if number is not None}
    pods = options["pods"] or sorted({deployed.pods, at_most})
    if options["scenario"]:
        scenario = SCENARIOS[options["scenario"]]
        pods = options["pods"] or [scenario.at_least, scenario.at_most]
        changes = {"pool": scenario.pool, **changes}
    if options["mode"]:
        changes["mode"] = options["mode"]
    return [dataclasses.replace(deployed, **changes, pods=number) for number in pods]
