"""
Where are a tenant's files, and who gets at them?

    STORAGES["default"] = {
        "BACKEND": "tenancy.storage.TenantStorage",
        "OPTIONS": {"backend": "storages.backends.s3.S3Storage", "options": {...}},
    }
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO, Any
from urllib.parse import unquote

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.utils.deconstruct import deconstructible
from django.utils.module_loading import import_string

from tenancy import context
from tenancy.context import Target

StrPath = str | os.PathLike[str]


@deconstructible(path="tenancy.storage.TenantStorage")
class TenantStorage(Storage):
    """
    Any storage, in which the active tenant's files are below `<organization id>/`.

    Names are without that directory, also those in the database, so that a tenant's rows
    can be copied or restored as another's. The platform's files are below `platform/`.
    Each method raises NoActiveTenant where nobody is active, and SuspiciousFileOperation,
    to which Django answers 400, for a name that would lead out of the directory.
    """

    def __init__(
        self,
        backend: str = "django.core.files.storage.FileSystemStorage",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._backend: Any = import_string(backend)(**(options or {}))

    @property
    def location(self) -> str:
        """Where the active tenant's files are, in the words of the storage below."""
        return posixpath.join(self._backend.location, context.require_owner())

    def open(self, name: StrPath, mode: str = "rb") -> File[Any]:
        file: File[Any] = self._backend.open(self._find(name), mode)
        return file

    def save(self, name: StrPath | None, content: IO[Any], max_length: int | None = None) -> str:
        found = self._find(content.name if name is None else name)
        return self._own(self._backend.save(found, content, max_length=_longer(max_length)))

    def delete(self, name: StrPath) -> None:
        self._backend.delete(self._find(name))

    def exists(self, name: StrPath) -> bool:
        return bool(self._backend.exists(self._find(name)))

    def listdir(self, path: StrPath) -> tuple[list[str], list[str]]:
        is_root = posixpath.normpath(path) == "."
        directories, files = self._backend.listdir(
            context.require_owner() if is_root else self._find(path)
        )
        return directories, files

    def size(self, name: StrPath) -> int:
        return int(self._backend.size(self._find(name)))

    def path(self, name: StrPath) -> str:
        return str(self._backend.path(self._find(name)))

    def url(self, name: StrPath | None, *args: Any, **kwargs: Any) -> str:
        return str(self._backend.url(self._find(name or ""), *args, **kwargs))

    def get_accessed_time(self, name: StrPath) -> datetime:
        time: datetime = self._backend.get_accessed_time(self._find(name))
        return time

    def get_created_time(self, name: StrPath) -> datetime:
        time: datetime = self._backend.get_created_time(self._find(name))
        return time

    def get_modified_time(self, name: StrPath) -> datetime:
        time: datetime = self._backend.get_modified_time(self._find(name))
        return time

    # How a name comes about is for the storage below to say.

    def get_valid_name(self, name: str) -> str:
        return str(self._backend.get_valid_name(name))

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        return str(self._backend.get_alternative_name(file_root, file_ext))

    def generate_filename(self, filename: StrPath) -> str:
        return str(self._backend.generate_filename(filename))

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        found = self._find(name)
        return bool(self._backend.is_name_available(found, max_length=_longer(max_length)))

    def get_available_name(self, name: StrPath, max_length: int | None = None) -> str:
        found = self._find(name)
        return self._own(self._backend.get_available_name(found, max_length=_longer(max_length)))

    def walk(self) -> Iterator[str]:
        """Yield the name of every file of the active tenant."""
        root = context.require_owner()
        directories = [root]
        while directories:
            directory = directories.pop()
            try:
                below, files = self._backend.listdir(directory)
            except FileNotFoundError:
                continue
            yield from (self._own(f"{directory}/{name}") for name in files)
            directories += [self._check_place(f"{directory}/{name}") for name in below]

    def delete_all(self) -> None:
        """
        Delete every file of the active tenant; there is no way back.

        Killed half-way it may be run again. A tenant that is deleted with its schema has
        to be gone for good first: files cannot be rolled back.
        """
        context.require_tenant()
        self._delete_below(context.require_owner())

    def _delete_below(self, directory: str) -> None:
        try:
            directories, files = self._backend.listdir(directory)
        except FileNotFoundError:
            return
        for name in files:
            self._backend.delete(self._check_place(f"{directory}/{name}"))
        for name in directories:
            self._delete_below(self._check_place(f"{directory}/{name}"))
        self._backend.delete(directory)

    def _find(self, name: StrPath) -> str:
        """Return what the active tenant's file is called in the storage below."""
        return self._check_place(f"{context.require_owner()}/{_clean(name)}")

    def _own(self, found: str) -> str:
        """Return what the active tenant calls a file of the storage below."""
        directory = f"{context.require_owner()}/"
        if not found.startswith(directory):
            raise SuspiciousFileOperation("The storage chose a name outside the tenant's files.")
        return found.removeprefix(directory)

    def _check_place(self, found: str) -> str:
        """Return `found`, unless a link on the way leads out of the tenant's directory."""
        try:
            root = os.path.realpath(self._backend.path(context.require_owner()))
            place = os.path.realpath(self._backend.path(found))
        except NotImplementedError:  # a bucket has no paths, and so no links that lead out
            return found
        if not place.startswith(f"{root}{os.sep}"):
            raise SuspiciousFileOperation("A link leads out of the tenant's files.")
        return found


def copy_all(source: Target, to: Target) -> Iterator[tuple[int, int]]:
    """
    Copy the files of `source` to `to`, under the same names, in each of STORAGES.

    Yield after each which of how many it was. What is there by that name is replaced, so
    that whoever was killed calls it again.
    """
    with context.override(source):
        names = [
            (storage, name)
            for alias in storages.backends
            if isinstance(storage := storages[alias], TenantStorage)
            for name in storage.walk()
        ]
    for number, (storage, name) in enumerate(names, start=1):
        _copy(storage, name, source, to)
        yield number, len(names)


def _copy(storage: TenantStorage, name: str, source: Target, to: Target) -> None:
    with context.override(source):
        file = storage.open(name)
    with file, context.override(to):
        if storage.exists(name):
            storage.delete(name)
        storage.save(name, file)


def delete_all() -> None:
    """Delete the active tenant's files in each of STORAGES; there is no way back."""
    for alias in storages.backends:
        if isinstance(storage := storages[alias], TenantStorage):
            storage.delete_all()


def _clean(name: StrPath) -> str:
    """
    Return `name` in its shortest spelling.

    Raise SuspiciousFileOperation if in any of its spellings it leads to another directory.
    The message is without the name, in which there may be a patient's.
    """
    given = os.fspath(name).replace("\\", "/")
    for spelling in _spellings(given):
        if spelling.startswith("/") or "\0" in spelling or ".." in spelling.split("/"):
            raise SuspiciousFileOperation("A file's name leads out of the tenant's files.")
    clean = posixpath.normpath(given)
    if clean == ".":
        raise SuspiciousFileOperation("A file's name is empty.")
    return clean


def _spellings(name: str) -> Iterator[str]:
    """Yield `name` as each server, proxy and bucket on its way might read it."""
    while True:
        yield name
        read = unicodedata.normalize("NFKC", unquote(name)).replace("\\", "/")
        if read == name:
            return
        name = read


def _longer(max_length: int | None) -> int | None:
    """Return how long a name may be with its directory, which no column has to hold."""
    return max_length and max_length + len(context.require_owner()) + 1
