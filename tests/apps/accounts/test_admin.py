"""Staff in a clinic's admin, operators on the base domain: who may enter, and how far."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission

from apps.accounts.models import User
from apps.accounts.roles import ROLES
from tenancy.models import Organization
from tenancy.testing import TenantClient

ADMIN = "/admin/"
STAFF = "/admin/accounts/user/"


def role(name: str) -> str:
    return str(Group.objects.get(name=name).pk)


def change_page(user: User) -> str:
    return f"{STAFF}{user.pk}/change/"


def person(**fields: Any) -> dict[str, Any]:
    """Return a filled-in form of a member of staff."""
    return {
        "username": "nora",
        "first_name": "Nora",
        "last_name": "Ng",
        "email": "",
        "is_active": "on",
        **fields,
    }


@pytest.fixture
def admin_client(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> TenantClient:
    """Elm's clinic admin at a browser."""
    sign_in(elm_client, "clinic_admin")
    return elm_client


@pytest.fixture
def operator(on_platform: None, platform_client: TenantClient) -> TenantClient:
    """The operator, who is a superuser, at the base domain."""
    platform_client.force_login(User.objects.create_superuser("operator", password="clinicx"))
    return platform_client


class TestDoor:
    @pytest.mark.parametrize("address", [ADMIN, STAFF, f"{ADMIN}login/", f"{ADMIN}jsi18n/"])
    def test_sends_strangers_to_the_sign_in_page(
        self, in_elm: Organization, elm_client: TenantClient, address: str
    ) -> None:
        response = elm_client.get(address)

        assert response.status_code == 302
        assert response["Location"].startswith("/sign-in/?next=/admin/")

    def test_does_so_on_the_base_domain_too(
        self, on_platform: None, platform_client: TenantClient
    ) -> None:
        response = platform_client.get(ADMIN)

        assert response["Location"] == "/sign-in/?next=/admin/"
        assert platform_client.get(response["Location"]).status_code == 200

    def test_sends_nobody_to_another_host_afterwards(
        self, in_elm: Organization, elm_client: TenantClient, staff: Any
    ) -> None:
        staff("clinic_admin")
        door = elm_client.get(f"{ADMIN}login/?next=https://evil.example/")["Location"]

        response = elm_client.post(door, {"username": "clinic_admin", "password": "clinicx"})

        assert response.status_code == 302
        assert "evil" not in response["Location"]

    @pytest.mark.parametrize("name", sorted(ROLES.keys() - {"clinic_admin"}))
    def test_refuses_the_other_roles(
        self, in_elm: Organization, elm_client: TenantClient, sign_in: Any, name: str
    ) -> None:
        sign_in(elm_client, name)

        for address in (ADMIN, STAFF, f"{ADMIN}login/", f"{ADMIN}patients/patient/"):
            assert elm_client.get(address).status_code == 403

    def test_opens_for_a_clinic_admin(
        self, admin_client: TenantClient, in_elm: Organization
    ) -> None:
        response = admin_client.get(ADMIN)

        assert response.status_code == 200
        assert f"{in_elm.name} admin" in response.content.decode()

    @pytest.mark.parametrize(
        "page", ["x", "0", "99", "9" * 5000], ids=["text", "0", "99", "5000 digits"]
    )
    def test_searches_no_page_that_is_not_there(
        self, admin_client: TenantClient, page: str
    ) -> None:
        assert admin_client.get(f"{ADMIN}search/?s=pat").status_code == 200
        assert admin_client.get(f"{ADMIN}search/?s=pat&page={page}").status_code == 404

    def test_opens_for_an_operator(self, operator: TenantClient) -> None:
        response = operator.get(ADMIN)

        assert response.status_code == 200
        assert "ClinicX operations" in response.content.decode()

    def test_signs_out_to_the_sign_in_page(self, admin_client: TenantClient) -> None:
        response = admin_client.post(f"{ADMIN}logout/")

        assert response["Location"] == "/sign-in/"
        assert admin_client.get(ADMIN).status_code == 302

    def test_relaxes_the_policy_for_its_own_pages_only(self, admin_client: TenantClient) -> None:
        inside = admin_client.get(ADMIN)["Content-Security-Policy"]
        outside = admin_client.get("/patients/")["Content-Security-Policy"]

        assert "script-src 'self' 'unsafe-eval'" in inside
        assert "style-src 'self' 'unsafe-inline'" in inside
        assert "unsafe" not in outside


class TestStaffList:
    def test_shows_the_clinics_people_with_their_roles(
        self, admin_client: TenantClient, staff: Any
    ) -> None:
        staff("doctor")

        page = admin_client.get(STAFF).content.decode()

        assert "Clinic admin" in page
        assert "Doctor" in page

    def test_takes_the_same_queries_for_two_and_for_many(
        self, admin_client: TenantClient, staff: Any, django_assert_max_num_queries: Any
    ) -> None:
        nurse = Group.objects.get(name="nurse")
        for number in range(30):
            User.objects.create(username=f"nurse{number}").groups.add(nurse)

        with django_assert_max_num_queries(12):
            assert admin_client.get(STAFF).status_code == 200


class TestAddingAPerson:
    def test_makes_an_account_with_a_role(self, admin_client: TenantClient) -> None:
        response = admin_client.post(
            f"{STAFF}add/",
            person(
                groups=[role("doctor")],
                password1="a long enough phrase",
                password2="a long enough phrase",
            ),
        )

        nora = User.objects.get(username="nora")
        assert response.status_code == 302
        assert nora.check_password("a long enough phrase")
        assert nora.has_perm("chart.view_observation")
        assert not nora.is_staff

    def test_lets_a_clinic_admin_in(self, admin_client: TenantClient, in_elm: Organization) -> None:
        admin_client.post(
            f"{STAFF}add/",
            person(
                groups=[role("clinic_admin"), role("doctor")],
                password1="a long enough phrase",
                password2="a long enough phrase",
            ),
        )
        browser = TenantClient(in_elm)

        browser.post("/sign-in/", {"username": "nora", "password": "a long enough phrase"})

        assert browser.get(ADMIN).status_code == 200

    def test_asks_for_a_password_that_is_hard_to_guess(self, admin_client: TenantClient) -> None:
        response = admin_client.post(f"{STAFF}add/", person(password1="nora", password2="nora"))

        assert response.status_code == 200
        assert not User.objects.filter(username="nora").exists()


class TestNobodyRisesAboveTheirRole:
    """What a clinic admin may send, however it is written, and what must not come of it."""

    ALL = {
        "is_superuser": "on",
        "is_staff": "on",
        "user_permissions": ["1", "2", "3"],
        "_is_superuser": "True",
    }

    def test_by_adding_a_person(self, admin_client: TenantClient) -> None:
        admin_client.post(
            f"{STAFF}add/",
            person(
                groups=[role("nurse")],
                password1="a long enough phrase",
                password2="a long enough phrase",
                **self.ALL,
            ),
        )

        nora = User.objects.get(username="nora")
        assert (nora.is_superuser, nora.is_staff) == (False, False)
        assert not nora.user_permissions.exists()

    def test_by_changing_oneself(self, admin_client: TenantClient, staff: Any) -> None:
        me = staff("clinic_admin")

        admin_client.post(
            change_page(me), person(username=me.username, groups=[role("clinic_admin")], **self.ALL)
        )

        me = User.objects.get(pk=me.pk)
        assert me.first_name == "Nora"
        assert not me.is_superuser
        assert not me.user_permissions.exists()

    def test_by_a_group_of_another_kind(self, admin_client: TenantClient, staff: Any) -> None:
        almighty = Group.objects.create(name="almighty")
        almighty.permissions.set(Permission.objects.all())
        doctor = staff("doctor")

        response = admin_client.post(
            change_page(doctor), person(username="doctor", groups=[str(almighty.pk)])
        )

        assert response.status_code == 200
        assert list(doctor.groups.values_list("name", flat=True)) == ["doctor"]

    def test_by_a_superusers_password(self, admin_client: TenantClient) -> None:
        root = User.objects.create_superuser("root", password="clinicx")

        password = admin_client.post(
            f"{STAFF}{root.pk}/password/",
            {"usable_password": "true", "password1": "stolen 12345", "password2": "stolen 12345"},
        )
        change = admin_client.post(change_page(root), person(username="root"))

        root.refresh_from_db()
        assert (password.status_code, change.status_code) == (403, 403)
        assert root.check_password("clinicx")

    @pytest.mark.parametrize(
        "address",
        [
            "auth/group/",
            "auth/permission/",
            "admin/logentry/",
            "tenancy/organization/",
            "auth/user/",
        ],
    )
    def test_by_another_page(self, admin_client: TenantClient, address: str) -> None:
        assert admin_client.get(f"{ADMIN}{address}").status_code == 404

    def test_by_deleting_who_is_in_the_way(self, admin_client: TenantClient, staff: Any) -> None:
        doctor = staff("doctor")

        assert admin_client.post(f"{STAFF}{doctor.pk}/delete/", {"post": "yes"}).status_code == 403
        assert User.objects.filter(pk=doctor.pk).exists()


class TestAClinicKeepsAnAdmin:
    @pytest.mark.parametrize("fields", [{"is_active": ""}, {"groups": []}])
    def test_who_cannot_give_up_by_accident(
        self, admin_client: TenantClient, staff: Any, fields: dict[str, Any]
    ) -> None:
        me = staff("clinic_admin")
        form = person(username=me.username, groups=[role("clinic_admin")]) | fields

        response = admin_client.post(change_page(me), form)

        assert "Ask another clinic admin." in response.content.decode()
        assert User.objects.get(pk=me.pk).is_active

    def test_who_may_close_a_colleagues_account(
        self, admin_client: TenantClient, staff: Any
    ) -> None:
        doctor = staff("doctor")
        form = person(username="doctor", groups=[role("doctor")], is_active="")

        admin_client.post(change_page(doctor), form)

        assert not User.objects.get(pk=doctor.pk).is_active

    def test_who_may_take_the_role_back(self, admin_client: TenantClient) -> None:
        other = User.objects.create(username="other", is_staff=True)
        other.groups.add(Group.objects.get(name="clinic_admin"))

        admin_client.post(change_page(other), person(username="other", groups=[role("nurse")]))

        other = User.objects.get(pk=other.pk)
        assert not other.is_staff
        assert not other.has_perm("accounts.view_user")


class TestOperators:
    def test_are_listed_on_the_base_domain(self, operator: TenantClient) -> None:
        assert "operator" in operator.get(STAFF).content.decode()

    def test_are_managed_by_superusers_only(
        self, on_platform: None, platform_client: TenantClient
    ) -> None:
        helper = User.objects.create(username="helper", is_staff=True)
        helper.user_permissions.set(Permission.objects.all())
        platform_client.force_login(helper)

        assert platform_client.get(ADMIN).status_code == 200
        assert platform_client.get(STAFF).status_code == 403
        assert platform_client.get(f"{STAFF}add/").status_code == 403
        assert platform_client.get(change_page(helper)).status_code == 403

    @pytest.mark.parametrize(
        "address", ["patients/patient/", "chart/observation/", "fhir/rawresource/"]
    )
    def test_find_nothing_clinical(self, operator: TenantClient, address: str) -> None:
        assert operator.get(f"{ADMIN}{address}").status_code == 404

    def test_are_nobody_at_a_clinic(self, operator: TenantClient, elm: Organization) -> None:
        operator.defaults["HTTP_HOST"] = elm.host

        assert operator.get(ADMIN).status_code == 302


class TestClinicAdminsAtAnotherClinic:
    def test_are_nobody(self, admin_client: TenantClient, oak: Organization) -> None:
        admin_client.defaults["HTTP_HOST"] = oak.host

        assert admin_client.get(ADMIN).status_code == 302

    def test_are_nobody_on_the_base_domain(self, admin_client: TenantClient) -> None:
        admin_client.defaults["HTTP_HOST"] = "localhost"

        assert admin_client.get(ADMIN).status_code == 302
