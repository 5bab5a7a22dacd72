"""
What the local stack and the tests have, and production never.
"""

from __future__ import annotations

from clinicx.settings.base import *  # noqa: F403  # what a settings module is for
from clinicx.settings.base import INSTALLED_APPS, REST_FRAMEWORK

INSTALLED_APPS = [*INSTALLED_APPS, "clinicx.local"]

# Shown on the sign-in page of each clinic; seed_demo makes them.
CLINICX_DEMO_SIGN_INS = [
    ("receptionist", "Receptionist"),
    ("nurse", "Nurse"),
    ("doctor", "Doctor"),
    ("billing", "Billing"),
    ("admin", "Clinic admin"),
]

# A password in every request is for trying things out with curl.
REST_FRAMEWORK = {
    **REST_FRAMEWORK,
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
        "rest_framework.authentication.BasicAuthentication",
    ],
}

# Static files come straight from the apps: nothing has to be collected first.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
