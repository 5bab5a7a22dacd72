"""A user's rights end where its tenant ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync

from apps.accounts.models import User
from tenancy import context
from tenancy.context import PLATFORM
from tenancy.errors import CrossTenantAccess
from tenancy.models import Organization


class TestPermissions:
    ASKS: tuple[Callable[[User], object], ...] = (
        lambda user: user.has_perm("accounts.view_user"),
        lambda user: user.has_perms(["accounts.view_user"]),
        lambda user: user.has_module_perms("accounts"),
        lambda user: user.get_all_permissions(),
        lambda user: user.get_user_permissions(),
        lambda user: user.get_group_permissions(),
        lambda user: async_to_sync(user.ahas_perm)("accounts.view_user"),
        lambda user: async_to_sync(user.aget_all_permissions)(),
    )

    @pytest.mark.parametrize("ask", ASKS)
    @pytest.mark.parametrize("is_superuser", [True, False])
    def test_of_a_user_are_asked_at_its_own_tenant_only(
        self,
        is_superuser: bool,
        ask: Callable[[User], object],
        in_elm: Organization,
        oak: Organization,
    ) -> None:
        User.objects.create(username="sam", is_superuser=is_superuser)
        sam = User.objects.get(username="sam")
        ask(sam)  # what is remembered from here on

        for target in (oak.as_active(), PLATFORM):
            with (
                context.override(target),
                pytest.raises(CrossTenantAccess, match=r"accounts\.User"),
            ):
                ask(sam)
        ask(sam)
