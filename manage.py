#!/usr/bin/env python
"""Django's command line for ClinicX."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinicx.settings.dev")
    try:
        from django.db import OperationalError

        from tenancy.management import execute_from_command_line
    except ImportError:
        sys.exit(
            "Django is not installed in this Python. Type `make run` once, which makes .venv, "
            "then `.venv/bin/python manage.py ...`."
        )
    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        # An error of the server has a code; without one there was no server to give it.
        if getattr(error.__cause__, "sqlstate", None):
            raise
        sys.exit(f"{error}\nPostgreSQL does not answer: type `make up`, or look at DATABASE_URL.")


if __name__ == "__main__":
    main()
