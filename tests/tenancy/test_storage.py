"""A tenant's files are its own, below whatever storage and by whatever name."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage, storages
from django.db import models
from django.test.utils import isolate_apps

from tenancy import context, storage
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.errors import CrossTenantAccess, NoActiveTenant
from tenancy.storage import TenantStorage

# What each public method of Django's storages is asked, for a file of this name.
USE: dict[str, Callable[[Storage, str], Any]] = {
    "open": lambda storage, name: read(storage, name),
    "save": lambda storage, name: storage.save(name, ContentFile(b"x")),
    "delete": lambda storage, name: storage.delete(name),
    "exists": lambda storage, name: storage.exists(name),
    "listdir": lambda storage, name: storage.listdir(name),
    "size": lambda storage, name: storage.size(name),
    "path": lambda storage, name: storage.path(name),
    "url": lambda storage, name: storage.url(name),
    "get_accessed_time": lambda storage, name: storage.get_accessed_time(name),
    "get_created_time": lambda storage, name: storage.get_created_time(name),
    "get_modified_time": lambda storage, name: storage.get_modified_time(name),
    "is_name_available": lambda storage, name: storage.is_name_available(name),
    "get_available_name": lambda storage, name: storage.get_available_name(name),
}
# These make up a name, and look for no file.
WITHOUT_FILES = {"get_valid_name", "get_alternative_name", "generate_filename"}
# Ours beside Django's.
OURS = {"delete_all", "deconstruct", "walk"}

BACKENDS = {
    "files": "django.core.files.storage.FileSystemStorage",
    "memory": "django.core.files.storage.InMemoryStorage",
    "bucket": "tests.tenancy.buckets.Bucket",
}

# Names that lead elsewhere as they are, or as somebody on the way reads them.
OUTSIDE = [
    "../x",
    "a/../../x",
    "a/../x",
    "..",
    "/x",
    "//x",
    "\\x",
    "..\\x",
    "a\\..\\..\\x",
    "%2e%2e/x",
    "%2E%2E%2Fx",
    "..%2fx",
    "..%5cx",
    "%252e%252e%252fx",
    "%2fx",
    "．．／x",
    "a/%00/x",
    "x\0",
    "{oak}/../../x",
    "../{oak}/x",
]

# Names that lead nowhere else, and look as if.
INSIDE = [
    "x",
    "a/b",
    "a.b..c",
    "...",
    "50%",
    "é ü",
    "{oak}/x",
    "platform/x",
    "a:b",
    "C:x",
    "~",
    "-",
]


@pytest.fixture(params=BACKENDS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> TenantStorage:
    """Each storage below."""
    options: dict[str, Any] = {"location": "media" if request.param == "bucket" else str(tmp_path)}
    if request.param != "bucket":
        options["base_url"] = "/media/"
    return TenantStorage(BACKENDS[request.param], options)


@pytest.fixture
def on_disk(tmp_path: Path) -> TenantStorage:
    return TenantStorage(options={"location": str(tmp_path), "base_url": "/media/"})


def put(files: Storage, name: str, content: str) -> str:
    return files.save(name, ContentFile(content.encode()))


def read(files: Storage, name: str) -> bytes:
    with files.open(name) as file:
        return bytes(file.read())


class TestFile:
    def test_is_there_again(self, files: TenantStorage, elms: ActiveTenant) -> None:
        with context.override(elms):
            name = put(files, "letters/one.txt", "elm")

            assert name == "letters/one.txt"
            assert read(files, name) == b"elm"
            assert files.exists(name)
            assert files.size(name) == 3
            assert files.listdir("") == (["letters"], [])
            assert files.listdir("letters") == ([], ["one.txt"])
            for time in ("accessed", "created", "modified"):
                assert getattr(files, f"get_{time}_time")(name).year > 2000
            files.delete(name)
            assert not files.exists(name)

    def test_has_a_place_with_the_organizations_id(
        self, files: TenantStorage, elms: ActiveTenant, tmp_path: Path
    ) -> None:
        with context.override(elms):
            name = put(files, "one.txt", "elm")

            assert f"/{elms.id}/one.txt" in files.url(name)
            assert files.location.endswith(f"/{elms.id}")
        with context.override(PLATFORM):
            assert "/platform/one.txt" in files.url(name)

    def test_is_one_of_each(
        self, files: TenantStorage, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        targets = {"elm": elms, "oak": oaks, "platform": PLATFORM}
        for who, target in targets.items():
            with context.override(target):
                assert put(files, "one.txt", who) == "one.txt"

        for who, target in targets.items():
            with context.override(target):
                assert read(files, "one.txt") == who.encode()
                assert files.listdir("") == ([], ["one.txt"])
        with context.override(oaks):
            files.delete("one.txt")
        with context.override(elms):
            assert files.exists("one.txt")

    def test_of_the_same_name_gets_another(
        self, on_disk: TenantStorage, elms: ActiveTenant
    ) -> None:
        with context.override(elms):
            names = {put(on_disk, "one.txt", str(number)) for number in range(3)}

            assert len(names) == 3
            assert sorted(read(on_disk, name) for name in names) == [b"0", b"1", b"2"]

    def test_has_a_name_as_long_as_the_column(
        self, on_disk: TenantStorage, elms: ActiveTenant
    ) -> None:
        with context.override(elms):
            for _ in range(2):
                name = on_disk.save("x" * 60, ContentFile(b""), max_length=60)
                assert len(name) == 60

    def test_url_takes_what_the_storage_below_takes(self, elms: ActiveTenant) -> None:
        bucket = TenantStorage(BACKENDS["bucket"])

        with context.override(elms):
            assert bucket.url("one", expire=5) == f"https://bucket.test/{elms.id}/one?expire=5"

    def test_is_of_the_content_where_no_name_is_given(
        self, files: TenantStorage, elms: ActiveTenant
    ) -> None:
        with context.override(elms):
            assert files.save(None, ContentFile(b"x", name="its.txt")) == "its.txt"


class TestEachMethod:
    def test_is_one_of_those_above(self) -> None:
        methods = inspect.getmembers(TenantStorage, inspect.isfunction)
        public = {name for name, _ in methods if not name.startswith("_")}

        assert public == USE.keys() | WITHOUT_FILES | OURS

    @pytest.mark.parametrize("method", USE)
    def test_refuses_nobody(self, method: str, files: TenantStorage) -> None:
        with context.override(None), pytest.raises(NoActiveTenant):
            USE[method](files, "one.txt")

    @pytest.mark.parametrize("name", OUTSIDE)
    @pytest.mark.parametrize("method", USE)
    def test_refuses_a_name_that_leads_elsewhere(
        self,
        method: str,
        name: str,
        files: TenantStorage,
        elms: ActiveTenant,
        oaks: ActiveTenant,
    ) -> None:
        with context.override(elms), pytest.raises(SuspiciousFileOperation) as refusal:
            USE[method](files, name.format(oak=oaks.id))

        assert "leads out" in str(refusal.value)

    @pytest.mark.parametrize("name", ["", ".", "./", "a/.."])
    @pytest.mark.parametrize("method", USE.keys() - {"listdir"})
    def test_refuses_the_directory_itself(
        self, method: str, name: str, files: TenantStorage, elms: ActiveTenant
    ) -> None:
        with context.override(elms), pytest.raises(SuspiciousFileOperation):
            USE[method](files, name)

    @pytest.mark.parametrize("name", INSIDE)
    def test_takes_a_name_that_leads_nowhere_else(
        self, name: str, files: TenantStorage, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        name = name.format(oak=oaks.id)

        with context.override(elms):
            put(files, name, "elm")
            assert read(files, name) == b"elm"
        for target in (oaks, PLATFORM):
            with context.override(target):
                assert not files.exists(name)
                assert not files.exists(name.rpartition("/")[2])

    @pytest.mark.parametrize("method", USE)
    def test_refuses_a_link_that_leads_elsewhere(
        self,
        method: str,
        on_disk: TenantStorage,
        elms: ActiveTenant,
        oaks: ActiveTenant,
        tmp_path: Path,
    ) -> None:
        with context.override(oaks):
            put(on_disk, "one.txt", "oak")
        with context.override(elms):
            put(on_disk, "own.txt", "elm")
            (tmp_path / str(elms.id) / "link").symlink_to(tmp_path / str(oaks.id))

            with pytest.raises(SuspiciousFileOperation, match="link"):
                USE[method](on_disk, "link" if method == "listdir" else "link/one.txt")

    def test_that_makes_up_a_name_asks_the_storage_below(
        self, files: TenantStorage, elms: ActiveTenant
    ) -> None:
        with context.override(elms):
            assert files.get_valid_name("a b?.txt") == "a_b.txt"
            assert files.generate_filename("letters/a b.txt") == "letters/a_b.txt"
            assert files.get_alternative_name("a", ".txt").startswith("a_")


class TestChosenName:
    def test_outside_is_refused(self, elms: ActiveTenant, monkeypatch: pytest.MonkeyPatch) -> None:
        bucket = TenantStorage(BACKENDS["bucket"])
        monkeypatch.setattr(
            bucket._backend, "get_available_name", lambda *args, **kwargs: "other/x"
        )

        with context.override(elms), pytest.raises(SuspiciousFileOperation, match="chose"):
            put(bucket, "x", "elm")


class TestDeleteAll:
    @pytest.fixture
    def filled(self, files: TenantStorage, elms: ActiveTenant, oaks: ActiveTenant) -> TenantStorage:
        for target in (elms, oaks, PLATFORM):
            with context.override(target):
                for name in ("one", "a/two", "a/b/three", "%2e%2e"[:3]):
                    put(files, name, "x")
        return files

    def test_leaves_nothing_of_the_active_tenant_and_all_of_others(
        self, filled: TenantStorage, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        with context.override(elms):
            filled.delete_all()
            assert not filled.exists("one")
            assert not filled.exists("a/b/three")
            filled.delete_all()

        for target in (oaks, PLATFORM):
            with context.override(target):
                directories, found = filled.listdir("")
                assert directories == ["a"]
                assert "one" in found
                assert filled.exists("a/b/three")

    def test_leaves_no_directory(
        self, on_disk: TenantStorage, elms: ActiveTenant, tmp_path: Path
    ) -> None:
        with context.override(elms):
            put(on_disk, "a/b/three", "x")
            on_disk.delete_all()

        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("target", [PLATFORM, None])
    def test_is_for_tenants(self, target: Any, filled: TenantStorage) -> None:
        with context.override(target), pytest.raises(NoActiveTenant):
            filled.delete_all()

    def test_follows_no_link(
        self, on_disk: TenantStorage, elms: ActiveTenant, oaks: ActiveTenant, tmp_path: Path
    ) -> None:
        with context.override(oaks):
            put(on_disk, "one.txt", "oak")
        with context.override(elms):
            put(on_disk, "own.txt", "elm")
            (tmp_path / str(elms.id) / "link").symlink_to(tmp_path / str(oaks.id))
            with pytest.raises(SuspiciousFileOperation):
                on_disk.delete_all()

        with context.override(oaks):
            assert on_disk.exists("one.txt")

    def test_of_the_module_is_for_each_storage(
        self, settings: Any, tmp_path: Path, elms: ActiveTenant
    ) -> None:
        settings.STORAGES = {
            alias: {
                "BACKEND": "tenancy.storage.TenantStorage",
                "OPTIONS": {"options": {"location": str(tmp_path / alias)}},
            }
            for alias in ("default", "letters")
        } | {"staticfiles": settings.STORAGES["staticfiles"]}

        with context.override(elms):
            for alias in ("default", "letters"):
                put(storages[alias], "one", "x")
            storage.delete_all()
            assert not any(storages[alias].exists("one") for alias in ("default", "letters"))


class TestFileField:
    """A row's file is used for whom the row was loaded."""

    @pytest.fixture
    def letter(self, on_disk: TenantStorage, elms: ActiveTenant, oaks: ActiveTenant) -> Any:
        """A row of Elm's; Oak has a file of the same name."""
        with isolate_apps("apps.patients"):

            class Letter(models.Model):
                file = models.FileField(storage=on_disk)

                class Meta:
                    app_label = "patients"

        for who, target in (("elm", elms), ("oak", oaks)):
            with context.override(target):
                put(on_disk, "one.txt", who)
        with context.override(elms):
            return Letter.from_db(Letter._default_manager.all().db, ["id", "file"], [1, "one.txt"])

    WAYS: dict[str, Callable[[Any], Any]] = {
        "open": lambda letter: letter.file.open().close(),
        "read": lambda letter: (letter.file.read(), letter.file.close()),
        "path": lambda letter: letter.file.path,
        "url": lambda letter: letter.file.url,
        "size": lambda letter: letter.file.size,
        "delete": lambda letter: letter.file.delete(save=False),
        "save": lambda letter: letter.file.save("two.txt", ContentFile(b""), save=False),
        "pickled": lambda letter: pickle.loads(pickle.dumps(letter.file.storage)),  # noqa: S301
    }

    @pytest.mark.parametrize("way", WAYS)
    def test_is_refused_elsewhere(
        self, way: str, letter: Any, oaks: ActiveTenant, on_disk: TenantStorage
    ) -> None:
        for target in (oaks, PLATFORM):
            with (
                context.override(target),
                pytest.raises(CrossTenantAccess, match=r"patients\.Letter 1 belongs to elm"),
            ):
                self.WAYS[way](letter)

        with context.override(oaks):
            assert on_disk.listdir("") == ([], ["one.txt"])

    @pytest.mark.parametrize("way", WAYS)
    def test_is_used_at_home(self, way: str, letter: Any, elms: ActiveTenant) -> None:
        with context.override(elms):
            self.WAYS[way](letter)

    def test_of_a_new_row_is_whoevers_is_active(self, letter: Any, oaks: ActiveTenant) -> None:
        with context.override(oaks):
            new = type(letter)(file="one.txt")

            with new.file as file:
                assert file.read() == b"oak"


class TestSettings:
    def test_of_clinicx_keep_files_apart(self, settings: Any, elms: ActiveTenant) -> None:
        assert isinstance(default_storage, TenantStorage)
        with context.override(elms):
            assert default_storage.path("x") == str(settings.MEDIA_ROOT / str(elms.id) / "x")

    def test_may_be_written_into_a_migration(self) -> None:
        made = TenantStorage(BACKENDS["memory"], {"base_url": "/media/"})

        path, args, kwargs = made.deconstruct()

        assert path == "tenancy.storage.TenantStorage"
        assert args == (BACKENDS["memory"], {"base_url": "/media/"})
        assert kwargs == {}


class TestWalk:
    """Every file of the active tenant's, and nobody else's."""

    def test_names_what_is_in_any_directory(
        self, on_disk: TenantStorage, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        with context.override(oaks):
            on_disk.save("theirs.txt", ContentFile(b""))
        with context.override(elms):
            assert list(on_disk.walk()) == []
            for name in ("one.txt", "a/two.txt", "a/b/three.txt"):
                on_disk.save(name, ContentFile(b""))

            assert sorted(on_disk.walk()) == ["a/b/three.txt", "a/two.txt", "one.txt"]

    def test_refuses_nobody(self, on_disk: TenantStorage) -> None:
        with context.override(None), pytest.raises(NoActiveTenant):
            list(on_disk.walk())
