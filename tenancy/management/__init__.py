"""
What does a command say that needs to know for whom it works, and was not told?

In a project's manage.py, in place of Django's function of the same name:

    from tenancy.management import execute_from_command_line
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from django.core import management

from tenancy.errors import NoActiveTenant

# These take it as an option of their own.
WITH_OPTIONS = ("shell", "dbshell")


def execute_from_command_line(argv: Sequence[str] | None = None) -> None:
    """
    Run the command as Django does; where nobody was active, end with what to type instead.

    The exit status is 1 then, and no traceback is shown, unless `--traceback` is given.
    """
    argv = list(sys.argv if argv is None else argv)
    try:
        management.execute_from_command_line(argv)
    except NoActiveTenant as error:
        if "--traceback" in argv:
            raise
        raise SystemExit(_what_to_type(argv)) from error
    except SystemExit as error:
        # dumpdata and its like have made a CommandError of it, and Django has told that one.
        if _is_because_nobody_was_active(error):
            sys.stderr.write(f"{_what_to_type(argv)}\n")
        raise


def _what_to_type(argv: Sequence[str]) -> str:
    program, command, *arguments = argv
    if command in WITH_OPTIONS:
        tenants, platforms = (
            f"{program} {command} {option} {shlex.join(arguments)}"
            for option in ("--tenant SLUG", "--platform")
        )
    else:
        tenants, platforms = (
            f"{program} tenant_command {whom} {shlex.join([command, *arguments])}"
            for whom in ("SLUG", "--platform")
        )
    return (
        f"Nobody is active, and {command!r} needs to know for whom it works. The statement that "
        f"asked was not sent.\n"
        f"For a tenant, type:  {tenants.rstrip()}\n"
        f"For none of them:    {platforms.rstrip()}\n"
        f"(--traceback shows where it was asked.)"
    )


def _is_because_nobody_was_active(error: BaseException) -> bool:
    cause = error.__cause__ or error.__context__
    return cause is not None and (
        isinstance(cause, NoActiveTenant) or _is_because_nobody_was_active(cause)
    )
