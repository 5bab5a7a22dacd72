"""What is done about accounts while nobody waits."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.utils import timezone

from apps.accounts.tasks import clear_expired_sessions
from clinicx.celery import app
from tenancy import context
from tenancy.context import Target
from tenancy.models import Organization

assert app  # without it `shared_task` is a task of nobody's application

Session = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()


def make(key: str, *, hours: int) -> None:
    Session.objects.create(
        session_key=key.ljust(32, "0"),
        session_data="",
        expire_date=timezone.now() + timedelta(hours=hours),
    )


def keys(target: Target) -> set[str]:
    with context.override(target, in_transaction=True):
        return {each.rstrip("0") for each in Session.objects.values_list("pk", flat=True)}


class TestClearExpiredSessions:
    def test_clears_those_of_its_clinic_and_no_other(self, in_elm: Organization, oak: Organization):
        for organization in (in_elm, oak):
            with context.override(organization.as_active(), in_transaction=True):
                make("ended", hours=-1)
                make("going", hours=1)

        clear_expired_sessions.apply(throw=True)

        assert keys(in_elm.as_active()) == {"going"}
        assert keys(oak.as_active()) == {"ended", "going"}

    def test_clears_the_operators(self, on_platform: None):
        make("ended", hours=-1)

        clear_expired_sessions.apply(throw=True)

        assert keys(context.PLATFORM) == set()

    def test_is_done_every_night_for_everybody(self):
        entries = [
            (entry["tenants"], app.tasks[entry["task"]].name)
            for entry in app.conf.beat_schedule.values()
        ]

        assert sorted(entries) == [
            ("all", clear_expired_sessions.name),
            ("platform", clear_expired_sessions.name),
        ]
