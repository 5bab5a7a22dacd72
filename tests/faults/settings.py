"""
Production, with two more pages: one that takes long, and one that does not.

NOISE_UNLIMITED=True takes the limits away, to show what they are good for.
"""

from __future__ import annotations

from clinicx import env
from clinicx.settings import base
from clinicx.settings.production import *  # noqa: F403  # what a settings module is for

STORAGES = base.STORAGES  # static files are collected in the image, and not here
ROOT_URLCONF = "tests.faults.urls"
if env.boolean("NOISE_UNLIMITED", False):
    TENANCY_IN_FLIGHT: dict[str, int | None] = {}
    TENANCY_RATES: dict[str, str | None] = {"tenant": None, "client": None}
