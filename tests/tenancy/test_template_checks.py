"""What is said at start of template loaders, by id."""

from __future__ import annotations

from typing import Any

import pytest

from tenancy.checks import templates

OURS = "tenancy.template.loaders.{}.Loader"
DJANGOS = "django.template.loaders.{}.Loader"
DJANGO_TENANTS = "django_tenants.template.loaders.{}.Loader"

RIGHT: dict[str, list[Any]] = {
    "none": [],
    "Django's": [(DJANGOS.format("cached"), [DJANGOS.format("app_directories")])],
    "ours": [(OURS.format("cached"), [OURS.format("filesystem")])],
    "ours, not remembered": [OURS.format("filesystem")],
    "ours, before Django's": [
        (OURS.format("cached"), [OURS.format("filesystem")]),
        (DJANGOS.format("cached"), [(DJANGOS.format("filesystem"), ["/templates"])]),
    ],
}
WRONG: dict[str, list[Any]] = {
    "cached": [(DJANGOS.format("cached"), [OURS.format("filesystem")])],
    "filesystem": [DJANGO_TENANTS.format("filesystem")],
    "cached, of django-tenants": [
        (DJANGO_TENANTS.format("cached"), [DJANGOS.format("app_directories")])
    ],
    "nested": [(OURS.format("cached"), [(DJANGO_TENANTS.format("filesystem"), ["/templates"])])],
}


class TestLoaders:
    def test_are_in_order_here(self) -> None:
        assert templates.check_loaders(None) == []

    @pytest.mark.parametrize("loaders", RIGHT.values(), ids=RIGHT)
    def test_e023_is_not_said(self, loaders: list[Any], settings: Any) -> None:
        settings.TEMPLATES = [{"OPTIONS": {"loaders": loaders}}]

        assert templates.check_loaders(None) == []

    @pytest.mark.parametrize(("name", "loaders"), WRONG.items(), ids=WRONG)
    def test_e023_a_loader_without_an_owner(
        self, name: str, loaders: list[Any], settings: Any
    ) -> None:
        settings.TEMPLATES = [{"OPTIONS": {"loaders": loaders}}]

        (message,) = templates.check_loaders(None)

        remedy = name.split(",")[0].replace("nested", "filesystem")
        assert message.id == "tenancy.E023"
        assert message.hint == f"Use tenancy.template.loaders.{remedy}.Loader in its place."
