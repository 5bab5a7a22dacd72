"""A template's name means what it means at the active tenant."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Engine, TemplateDoesNotExist

from tenancy import context
from tenancy.context import PLATFORM, ActiveTenant, Target

ELM = ActiveTenant(id=1, schema="tenant_elm")
OAK = ActiveTenant(id=2, schema="tenant_oak")


class TestTemplates:
    LOADER = "tenancy.template.loaders.{}.Loader"

    @pytest.fixture
    def folder(self, tmp_path: Path, settings: Any) -> Path:
        """Elm and the platform have a greeting of their own; Oak has what all have."""
        settings.MULTITENANT_TEMPLATE_DIRS = [tmp_path / "%s" / "templates"]
        for name in ("tenant_elm", "public", "all"):
            (tmp_path / name / "templates").mkdir(parents=True)
            (tmp_path / name / "templates" / "greeting.html").write_text(name)
        (tmp_path / "tenant_elm" / "templates" / "secret.html").write_text("Elm's")
        return tmp_path

    @pytest.fixture(params=["tenancy", "tenancy, nested"])
    def engine(self, request: pytest.FixtureRequest, folder: Path) -> Engine:
        own = self.LOADER.format("filesystem")
        everybodys = ("django.template.loaders.filesystem.Loader", [folder / "all" / "templates"])
        cached, djangos = self.LOADER.format("cached"), "django.template.loaders.cached.Loader"
        loaders = {
            "tenancy": [(cached, [own, everybodys])],
            "tenancy, nested": [(cached, [own]), (djangos, [everybodys])],
        }
        return Engine(loaders=loaders[request.param])

    def _greet(self, engine: Engine, target: Target | None) -> str:
        with context.override(target):
            return str(engine.get_template("greeting.html").render(Context()))

    def test_are_each_tenants_own(self, engine: Engine) -> None:
        greetings = [self._greet(engine, each) for each in (ELM, OAK, PLATFORM, None) * 2]

        assert greetings == ["tenant_elm", "all", "public", "all"] * 2

    def test_are_each_tenants_own_in_threads(self, engine: Engine) -> None:
        with ThreadPoolExecutor(4) as pool:
            greetings = list(pool.map(lambda each: self._greet(engine, each), [ELM, OAK] * 200))

        assert greetings == ["tenant_elm", "all"] * 200

    def test_are_read_once(self, engine: Engine, folder: Path) -> None:
        for target in (ELM, OAK, None):
            self._greet(engine, target)
        for path in folder.rglob("greeting.html"):
            path.write_text("changed")

        assert self._greet(engine, ELM) == "tenant_elm"
        assert self._greet(engine, None) == "all"
        for loader in engine.template_loaders:
            loader.reset()
        assert self._greet(engine, ELM) == "changed"

    def test_are_not_reached_from_another_tenants_folder(self, engine: Engine) -> None:
        names = ("secret.html", "../../tenant_elm/templates/secret.html")
        with context.override(ELM):
            assert engine.get_template("secret.html").render(Context()) == "Elm's"

        for name in names:
            with context.override(OAK), pytest.raises(TemplateDoesNotExist):
                engine.get_template(name)

    def test_are_mixed_by_djangos_own_cache(self, folder: Path) -> None:
        """
        Why check E023 refuses it.
        """
        engine = Engine(
            loaders=[("django.template.loaders.cached.Loader", [self.LOADER.format("filesystem")])]
        )
        self._greet(engine, ELM)

        assert self._greet(engine, OAK) == "tenant_elm"

    def test_need_their_setting(self, settings: Any) -> None:
        engine = Engine(loaders=[self.LOADER.format("filesystem")])

        with pytest.raises(ImproperlyConfigured, match="MULTITENANT_TEMPLATE_DIRS ="):
            self._greet(engine, ELM)
