"""For whom does a command work, and what does it say when nobody told it?"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import call_command, get_commands
from django.core.management.base import CommandError
from django.core.management.commands.runserver import Command as RunserverCommand
from django.db import connections

from apps.accounts.models import User
from tenancy import context
from tenancy.errors import NoActiveTenant
from tenancy.management import execute_from_command_line
from tenancy.models import Organization
from tenancy.rollout import plan
from tests.fixtures.pgbouncer import PgBouncer

ROOT = Path(__file__).parent.parent.parent

# What is typed after a command's name to get as far as the database.
ARGUMENTS = {
    "all_tenants_command": ["--only=nobody", "clearsessions"],
    "changepassword": ["doctor"],
    "collectstatic": ["--dry-run", "--no-input"],
    "createsuperuser": ["--no-input", "--username=owner", "--email=owner@elm.example"],
    "create_tenant": ["elm", "--name=Elm"],
    "delete_tenant": ["nobody"],
    "findstatic": ["ui/tokens.css"],
    "flush": ["--no-input"],
    "import_fhir": ["nobody", "-"],
    "inspectdb": ["accounts_user"],
    "loaddata": ["nothing"],
    "makemigrations": ["--dry-run"],
    "migrate": ["--plan"],
    "migrate_schemas": ["--plan"],
    "optimizemigration": ["accounts", "0001", "--check"],
    "remove_stale_contenttypes": ["--no-input"],
    "resume_tenant": ["nobody"],
    "seed_demo": ["nobody"],
    "shell": ["-c", "User.objects.count()"],
    "sqlmigrate": ["accounts", "0001"],
    "sqlsequencereset": ["accounts"],
    "squashmigrations": ["accounts", "0001"],
    "suspend_tenant": ["nobody"],
    "tenant_command": ["nobody", "clearsessions"],
}

# No word of theirs is about the database, or they would not come back.
ELSEWHERE = {
    "compilemessages",
    "generateschema",  # Django REST framework's, in whose place drf-spectacular describes
    "makemessages",
    "prepare_local",  # asks for the stack that `make run` starts
    "runserver",
    "sendtestemail",
    "startapp",
    "startproject",
    "test",
    "testserver",
    "worker",
}
FOR_SOMEBODY = {
    "changepassword",
    "clearsessions",
    "collectstatic_schemas",
    "create_domain",
    "createcachetable",
    "create_tenant_superuser",
    "createsuperuser",
    "delete_domain",
    "dumpdata",
    "flush",
    "inspectdb",
    "loaddata",
    "remove_stale_contenttypes",
    "showmigrations",
    "sqlflush",
    "sqlmigrate",
    "squashmigrations",
}
REFUSED = {"create_missing_schemas", "rename_schema"}

Manage = Callable[..., tuple[object, str]]


@pytest.fixture
def manage(committed: None, capsys: pytest.CaptureFixture[str]) -> Manage:
    """A function that types a command; it returns the exit status and what was said."""

    def manage(*words: str) -> tuple[object, str]:
        status: object = 0
        said = ""
        try:
            execute_from_command_line(["manage.py", *words])
        except SystemExit as ended:
            # As Python does: a sentence is told, and the status is 1.
            status, said = (1, ended.code) if isinstance(ended.code, str) else (ended.code, "")
        told = capsys.readouterr()
        return status, told.out + told.err + said

    return manage


class TestWithNobodyActive:
    @pytest.mark.parametrize("command", sorted(set(get_commands()) - ELSEWHERE - {"dbshell"}))
    def test_every_command_ends_with_a_sentence(
        self, manage: Manage, elm: Organization, command: str
    ) -> None:
        """
        None of them is left to an exception, which would be Python's traceback.
        """
        status, said = manage(command, *ARGUMENTS.get(command, ()))

        assert ("Nobody is active" in said) == (command in FOR_SOMEBODY | {"shell"}), said
        assert ("is refused" in said) == (command in REFUSED)
        if command in FOR_SOMEBODY:
            assert status == 1
            assert f"manage.py tenant_command SLUG {command}" in said
        else:
            assert status in (0, 1, 2)

    def test_nothing_is_listed_here_that_there_is_not(self) -> None:
        assert FOR_SOMEBODY | REFUSED | set(ARGUMENTS) <= set(get_commands())

    def test_a_traceback_is_shown_to_whoever_asks(self, committed: None) -> None:
        with pytest.raises(NoActiveTenant):
            execute_from_command_line(["manage.py", "clearsessions", "--traceback"])

    def test_what_is_to_be_typed_can_be_pasted(self, manage: Manage) -> None:
        _, said = manage("changepassword", "d'Arc")

        assert """manage.py tenant_command SLUG changepassword 'd'"'"'Arc'\n""" in said

    def test_a_refusal_that_became_another_error_is_explained_as_well(
        self, manage: Manage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Some commands make a CommandError of whatever happens.
        """

        def handle(*args: object, **options: object) -> None:
            try:
                context.require_current()
            except NoActiveTenant as error:
                raise CommandError("Unable to do it.") from error

        monkeypatch.setattr(
            "django.contrib.sessions.management.commands.clearsessions.Command.handle", handle
        )

        status, said = manage("clearsessions")

        assert status == 1
        assert "CommandError: Unable to do it." in said
        assert "manage.py tenant_command SLUG clearsessions" in said

    def test_an_error_of_another_kind_is_left_alone(
        self, manage: Manage, elm: Organization
    ) -> None:
        status, said = manage("tenant_command", "elm", "loaddata", "nothing")

        assert (status, said) == (1, "CommandError: No fixture named 'nothing' found.\n")

    def test_manage_py_ends_like_this_too(self, elm: Organization) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", "clearsessions"],
            cwd=ROOT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "clinicx.settings.test"},
            capture_output=True,
            text=True,
        )

        assert done.returncode == 1
        assert done.stderr.startswith("Nobody is active, and 'clearsessions' needs to know")


class TestTenantCommand:
    @pytest.mark.parametrize(
        "words",
        [
            ["elm", "shell", "-v0", "-c", "print(context.get_current())"],
            ["tenant_elm", "shell", "-v0", "-c", "print(context.get_current())"],
            ["--schema", "tenant_elm", "shell", "-v0", "-c", "print(context.get_current())"],
            ["shell", "-v0", "-c", "print(context.get_current())", "-s", "tenant_elm"],
            ["shell", "--schema=elm", "-v0", "-c", "print(context.get_current())"],
        ],
        ids=["slug", "schema", "before", "after", "between"],
    )
    def test_works_for_whom_it_was_told(
        self,
        manage: Manage,
        elm: Organization,
        oak: Organization,
        words: list[str],
    ) -> None:
        """
        A slug or a schema goes before the command; django-tenants' spelling, anywhere after.
        """
        assert manage("tenant_command", *words) == (0, "elm\n")

    @pytest.mark.parametrize("whom", [["--platform"], ["public"], ["-s", "public"]])
    def test_works_for_the_platform(self, manage: Manage, whom: list[str]) -> None:
        said = manage("tenant_command", *whom, "shell", "-v0", "-c", "print(context.get_current())")

        assert said == (0, "the platform\n")

    def test_leaves_an_option_of_the_other_commands_alone(
        self, elm: Organization, committed: None
    ) -> None:
        """
        -s is theirs, once a slug has been said.
        """
        with pytest.raises(CommandError, match="unrecognized arguments: -s"):
            call_command("tenant_command", "elm", "clearsessions", "-s", "x")

    def test_ends_as_the_other_command_does(self, manage: Manage, elm: Organization) -> None:
        code = "import sys; sys.exit(7)"

        assert manage("tenant_command", "elm", "shell", "-v0", "-c", code) == (7, "")

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ([], "tenant_command SLUG COMMAND"),
            (["elm"], "tenant_command SLUG COMMAND"),
            (["clearsessions"], "tenant_command SLUG COMMAND"),
            (["elmm", "check"], "No organization has the slug 'elmm'. Did you mean 'elm'?"),
            (["birch", "check"], "There are: elm, oak."),
            (["elm", "clearsesions"], "no command 'clearsesions'. Did you mean 'clearsessions'?"),
            (["elm", "zzz"], "manage.py help lists them."),
        ],
    )
    def test_says_what_is_wrong(
        self,
        manage: Manage,
        elm: Organization,
        oak: Organization,
        words: list[str],
        sentence: str,
    ) -> None:
        status, said = manage("tenant_command", *words)

        assert status == 1
        assert sentence in said

    def test_leaves_nobody_active(self, elm: Organization, committed: None) -> None:
        call_command("tenant_command", "elm", "clearsessions")

        assert context.get_current() is None

    def test_helps_a_suspended_tenant(
        self, manage: Manage, scratch: Callable[[str], Organization]
    ) -> None:
        scratch("suspended")
        call_command("suspend_tenant", "suspended", stdout=io.StringIO())

        assert manage("tenant_command", "suspended", "clearsessions") == (0, "")


class TestFixtures:
    """Dumped and loaded at the owner's address: of another the router names no table."""

    def test_go_from_one_tenant_to_another(
        self, scratch: Callable[[str], Organization], tmp_path: Path
    ) -> None:
        source, target = scratch("source"), scratch("target")
        with context.override(source.as_active()):
            User.objects.create(username="doctor")
            call_command("dumpdata", "accounts.user", output=str(tmp_path / "users.json"))
        assert len(json.loads((tmp_path / "users.json").read_text())) == 1

        with context.override(target.as_active()):
            call_command("loaddata", tmp_path / "users.json", stdout=io.StringIO())
            assert User.objects.get().username == "doctor"

    def test_make_a_table_for_the_cache(self, committed: None, settings: Any) -> None:
        """
        Where the application may write; at its own address nothing was made, and nothing said.
        """
        backend = "django.core.cache.backends.db.DatabaseCache"
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "answers"}}
        with context.override(context.PLATFORM), connections["ddl"].cursor() as owner:
            call_command("createcachetable")
            try:
                caches["default"].set("question", "answer")
                assert caches["default"].get("question") == "answer"
            finally:
                owner.execute("DROP TABLE answers")

    @pytest.mark.parametrize("command", ["dumpdata", "loaddata", "remove_stale_contenttypes"])
    def test_at_another_address_are_refused(self, elm: Organization, command: str) -> None:
        arguments = ["nothing"] if command == "loaddata" else []
        with (
            context.override(elm.as_active()),
            pytest.raises(CommandError, match="leave the option out"),
        ):
            call_command(command, *arguments, database="default")

    def test_where_there_is_no_owners_address_are_refused(
        self, elm: Organization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(connections.settings, "ddl")

        with (
            context.override(elm.as_active()),
            pytest.raises(CommandError, match=r"'ddl'\] is missing"),
        ):
            call_command("dumpdata")

    def test_sqlmigrate_shows_what_a_tenant_has(
        self, elm: Organization, committed: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with context.override(elm.as_active()):
            call_command("sqlmigrate", "accounts", "0001")

        assert 'CREATE TABLE "accounts_user"' in capsys.readouterr().out


class TestShell:
    COUNT = "print(User.objects.count(), context.get_current())"

    def test_works_for_a_tenant_and_says_so(self, manage: Manage, elm: Organization) -> None:
        status, said = manage("shell", "--tenant", "elm", "-c", self.COUNT)

        role = connections["default"].settings_dict["NAME"] + "_tenant_elm"
        assert status == 0
        assert f"Working for elm, in tenant_elm as {role}." in said
        assert said.endswith("0 elm\n")

    def test_works_for_the_platform_and_says_so(self, manage: Manage, elm: Organization) -> None:
        status, said = manage("shell", "--platform", "-c", self.COUNT)

        assert status == 0
        assert "Working for the platform, in the public schema as " in said
        assert said.endswith("0 the platform\n")

    def test_runs_what_it_reads(
        self,
        manage: Manage,
        elm: Organization,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        script = tmp_path / "script"
        script.write_text(self.COUNT)
        with script.open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            assert manage("shell", "--tenant", "elm", "-v0") == (0, "0 elm\n")

    def test_says_that_nobody_is_active_and_what_to_type(self, manage: Manage) -> None:
        status, said = manage("shell", "-c", self.COUNT)

        assert status == 1
        assert "Start with --tenant SLUG or --platform" in said
        assert f"manage.py shell --tenant SLUG -c '{self.COUNT}'" in said

    def test_takes_one_of_both(self, manage: Manage) -> None:
        status, said = manage("shell", "--tenant", "elm", "--platform")

        assert status == 2
        assert "not allowed with argument" in said


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed or not on PATH")
class TestDbshell:
    WHERE = ("--", "-Atc", "SELECT current_schema(), current_user, current_setting('search_path')")

    @pytest.fixture
    def psql(self, capfd: pytest.CaptureFixture[str], committed: None) -> Callable[..., str]:
        """A function that opens dbshell with a statement, and returns what psql says."""

        def psql(*words: str) -> str:
            call_command("dbshell", *words, *self.WHERE)
            return capfd.readouterr().out

        return psql

    def test_is_a_tenants(self, psql: Callable[..., str], elm: Organization) -> None:
        name = connections["default"].settings_dict["NAME"]

        assert psql("--tenant", "elm") == f"tenant_elm|{name}_tenant_elm|tenant_elm,public\n"

    def test_is_the_platforms(self, psql: Callable[..., str]) -> None:
        name = connections["default"].settings_dict["NAME"]

        assert psql("--platform") == f"public|{name}_platform|public\n"

    def test_goes_past_a_pooler(
        self, through_pgbouncer: PgBouncer, psql: Callable[..., str], elm: Organization
    ) -> None:
        before = through_pgbouncer.list_servers()

        assert psql("--tenant", "elm").startswith("tenant_elm|")
        assert through_pgbouncer.list_servers() == before

    def test_without_a_tenant_is_the_login_which_may_nothing(
        self, psql: Callable[..., str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(CommandError, match="non-zero exit status"):
            call_command("dbshell", "--", "-c", "SELECT FROM accounts_user")

        assert "Nobody is active" in capfd.readouterr().err

    def test_leaves_the_environment_as_it_was(
        self, psql: Callable[..., str], elm: Organization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
        psql("--tenant", "elm")

        assert os.environ["PGOPTIONS"] == "-c work_mem=1MB"
        monkeypatch.delenv("PGOPTIONS")
        psql("--tenant", "elm")
        assert "PGOPTIONS" not in os.environ


class TestRunserver:
    """Django's own asks the schema of whoever is active, and at start nobody is."""

    @pytest.fixture
    def warn(self, committed: None) -> Callable[[], str]:
        """A function that returns what it says of migrations."""

        def warn() -> str:
            said = io.StringIO()
            with context.override(None):
                RunserverCommand(stdout=said).check_migrations()
            return said.getvalue()

        return warn

    def test_has_nothing_to_say_when_all_is_applied(
        self, elm: Organization, warn: Callable[[], str]
    ) -> None:
        assert warn() == ""

    def test_names_the_schemas_that_are_behind(
        self, elm: Organization, scratch: Callable[[str], Organization], warn: Callable[[], str]
    ) -> None:
        with context.override(scratch("ash").as_active()), connections["ddl"].cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE app = 'chart'")

        assert "1 of the schemas lack migrations of the code: tenant_ash.\n" in warn()
        assert "Type: manage.py migrate_schemas" in warn()

    def test_asks_nobody_for_tenants_while_the_public_schema_is_behind(
        self, warn: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = [*plan.list_known(), ("tenancy", "9999_tomorrow")]
        monkeypatch.setattr(plan, "list_known", lambda: known)

        assert "1 of the schemas lack migrations of the code: public.\n" in warn()

    def test_says_nothing_where_there_is_no_owners_address(
        self, warn: Callable[[], str], settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan, "list_known", lambda: [("tenancy", "9999_tomorrow")])
        settings.TENANCY_DDL_DATABASE = "nowhere"

        assert warn() == ""
