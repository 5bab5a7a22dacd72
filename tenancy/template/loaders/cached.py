"""Templates that were compiled once are remembered, for each tenant those that it found."""

from __future__ import annotations

from typing import Any

from django.template import Engine
from django.template.loaders import cached

from tenancy.process_cache import PerTenantDict


class Loader(cached.Loader):
    """Django's cached loader, around loaders that find another template at each tenant."""

    def __init__(self, engine: Engine, loaders: list[Any]) -> None:
        super().__init__(engine, loaders)
        self.reset()

    def reset(self) -> None:
        """Forget every tenant's templates."""
        # Also with nobody active there are pages to be shown: that nobody answers here.
        cache: Any = PerTenantDict(for_nobody=True)
        self.get_template_cache = cache
