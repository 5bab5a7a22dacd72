"""Who is active, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from tenancy import context
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.errors import NoActiveTenant

ELM = ActiveTenant(id=1, schema="tenant_elm", slug="elm", name="Elm Street Clinic")
OAK = ActiveTenant(id=2, schema="tenant_oak", slug="oak", name="Oak Lane Clinic")


@pytest.fixture(autouse=True)
def _nobody_is_active() -> Iterator[None]:
    with context.override(None):
        yield


class TestOverride:
    def test_ends_with_the_block(self) -> None:
        with context.override(ELM):
            assert context.get_current() == ELM

        assert context.get_current() is None

    def test_restores_the_outer_tenant_after_an_error(self) -> None:
        """An exception inside a nested block leaves the outer tenant active."""
        with context.override(ELM):
            with pytest.raises(ZeroDivisionError), context.override(OAK):
                _ = 1 / 0

            assert context.get_current() == ELM

    def test_steps_outside_every_tenant(self) -> None:
        with context.override(ELM), context.override(None):
            assert context.get_current() is None


class TestRequireCurrent:
    def test_refuses_when_nobody_said(self) -> None:
        with pytest.raises(NoActiveTenant, match=r"context\.override"):
            context.require_current()

    def test_takes_the_platform_for_an_answer(self) -> None:
        with context.override(PLATFORM):
            assert context.require_current() is PLATFORM


class TestRequireTenant:
    def test_returns_the_tenant(self) -> None:
        with context.override(ELM):
            assert context.require_tenant() == ELM

    def test_refuses_the_platform(self) -> None:
        with context.override(PLATFORM), pytest.raises(NoActiveTenant, match="platform"):
            context.require_tenant()


class TestActivate:
    def test_lasts_until_it_is_taken_back(self) -> None:
        context.activate(ELM)

        assert context.is_tenant_active()

        context.deactivate()

        assert not context.is_tenant_active()


class TestThreads:
    def test_a_bare_thread_has_nobody(self) -> None:
        """A ContextVar is not inherited by a thread: it must be told."""
        seen: list[object] = []
        with context.override(ELM):
            thread = threading.Thread(target=lambda: seen.append(context.get_current()))
            thread.start()
            thread.join()

        assert seen == [None]

    def test_a_copied_context_carries_the_tenant(self) -> None:
        seen: list[object] = []
        with context.override(ELM):
            carried = copy_context()
            thread = threading.Thread(
                target=lambda: carried.run(lambda: seen.append(context.get_current()))
            )
            thread.start()
            thread.join()

        assert seen == [ELM]
