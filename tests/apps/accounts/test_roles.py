"""What a role may do is the same at every clinic, and costs little to look after."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts import roles
from tenancy.models import Organization


def count_queries() -> int:
    with CaptureQueriesContext(connection) as captured:
        roles.sync()
    return len(captured)


def list_granted() -> set[tuple[str, str]]:
    groups = Group.objects.filter(name__in=roles.ROLES)
    return set(groups.values_list("name", "permissions__codename"))


class TestSync:
    def test_asks_three_times_when_nothing_changes(self, in_elm: Organization) -> None:
        before = list_granted()

        assert count_queries() == 3
        assert list_granted() == before

    def test_gives_back_what_was_taken(self, in_elm: Organization) -> None:
        before = list_granted()
        Group.objects.filter(name__in=["nurse", "billing"]).delete()
        Group.objects.get(name="doctor").permissions.clear()

        assert count_queries() <= 5
        assert list_granted() == before

    def test_takes_what_a_role_may_not(self, in_elm: Organization) -> None:
        before = list_granted()
        Group.objects.get(name="billing").permissions.add(
            Permission.objects.get(codename="delete_patient")
        )

        assert count_queries() <= 5
        assert list_granted() == before

    def test_leaves_groups_that_the_clinic_made(self, in_elm: Organization) -> None:
        interns = Group.objects.create(name="interns")
        interns.permissions.add(Permission.objects.get(codename="view_patient"))

        roles.sync()

        assert interns.permissions.count() == 1

    @pytest.mark.parametrize(
        ("role", "may", "may_not"),
        [
            ("receptionist", "add_patient", "view_condition"),
            ("doctor", "change_condition", "delete_condition"),
            ("billing", "view_patient", "change_patient"),
            ("clinic_admin", "add_user", "delete_user"),
        ],
    )
    def test_gives_what_the_table_says(
        self, in_elm: Organization, role: str, may: str, may_not: str
    ) -> None:
        granted = list_granted()

        assert (role, may) in granted
        assert (role, may_not) not in granted
