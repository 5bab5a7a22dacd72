"""A storage with the interface of django-storages: a bucket, in which names are only keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from django.core.files.base import ContentFile
from storages.base import BaseStorage
from storages.utils import clean_name, safe_join


class Bucket(BaseStorage):
    """It normalises names as django-storages' S3Storage does, and overwrites like that."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.objects: dict[str, bytes] = {}

    def get_default_settings(self) -> dict[str, Any]:
        return {"location": "", "querystring_auth": True}

    def _key(self, name: str) -> str:
        return safe_join(self.location, clean_name(name))

    def _open(self, name: str, mode: str) -> ContentFile:
        return ContentFile(self.objects[self._key(name)], name)

    def _save(self, name: str, content: Any) -> str:
        self.objects[self._key(name)] = content.read()
        return clean_name(name)

    def delete(self, name: str) -> None:
        self.objects.pop(self._key(name), None)

    def exists(self, name: str) -> bool:
        return self._key(name) in self.objects

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return clean_name(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        directory = self._key(path).rstrip("/") + "/"
        rests = [key.removeprefix(directory) for key in self.objects if key.startswith(directory)]
        return (
            sorted({rest.split("/")[0] for rest in rests if "/" in rest}),
            sorted(rest for rest in rests if "/" not in rest),
        )

    def size(self, name: str) -> int:
        return len(self.objects[self._key(name)])

    def url(self, name: str, expire: int = 60) -> str:
        return f"https://bucket.test/{quote(self._key(name))}?expire={expire}"

    def get_modified_time(self, name: str) -> datetime:
        assert self.exists(name)
        return datetime.now(UTC)

    get_accessed_time = get_created_time = get_modified_time
