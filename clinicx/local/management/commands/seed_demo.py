"""`manage.py seed_demo`: staff and invented patients for one clinic of the local stack."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from clinicx.local.demo import seeding
from tenancy import context, provisioning
from tenancy.errors import TenancyError


class Command(BaseCommand):
    help = (
        "Make the demo's staff and patients in one clinic. What is there already is left as it "
        "is, so it can be run at any time. Example: seed_demo elm --patients 200"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="The clinic, e.g. 'elm'.")
        parser.add_argument(
            "--patients", type=int, default=50, metavar="N", help="How many there should be (50)."
        )
        parser.add_argument(
            "--seed", default="", help="Another word makes other people; else it is the slug."
        )

    def handle(self, *, slug: str, patients: int, seed: str, **options: Any) -> None:
        if not settings.CLINICX_DEMO_SIGN_INS:
            raise CommandError(
                "Sign-ins whose password everybody knows are for the local stack only, and these "
                "settings are not its: CLINICX_DEMO_SIGN_INS is empty."
            )
        try:
            clinic = provisioning.get_by_slug(slug).as_active()
        except TenancyError as error:
            raise CommandError(str(error)) from error

        with context.override(clinic):
            made = seeding.seed(patients=patients, seed=seed or slug, now=timezone.now())

        if made.is_nothing:
            self.stdout.write(f"{clinic.name} has its demo already; nothing was made.")
            return
        self.stdout.write(
            f"{clinic.name}: made {made.staff} staff, {made.patients} patients, "
            f"{made.encounters} encounters and {made.observations:,} observations."
        )
