"""
Under which key is the result of a task kept? One with its tenant in it.

`CELERY_RESULT_BACKEND = "tenancy.tasks.results:RedisBackend+redis://..."`. Whoever knows or
guesses the id of another's task finds nothing under their own keys.
"""

from __future__ import annotations

from typing import Any

from celery.backends import redis
from celery.backends.base import SyncBackendMixin

from tenancy.tasks import seal


class RedisBackend(SyncBackendMixin, redis.RedisBackend):  # type: ignore[misc]  # stubs' order
    """
    Celery's Redis backend with the tenant in each key; refuses where nobody is active.

    It asks Redis each time. What Celery's own remembers in the process, and what Redis
    would push to it, is found there by the id of the task alone, by every tenant alike.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "max_cached_results": -1})

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Subscribe to nothing."""

    def _get_key_for(self, prefix: Any, id: Any, key: Any = "") -> Any:
        owner = self.key_t(  # type: ignore[attr-defined]  # not in the stubs
            f"{seal.owner()}:"
        )
        return super()._get_key_for(  # type: ignore[misc]  # not in the stubs
            prefix + owner, id, key
        )

    def _strip_prefix(self, key: Any) -> str:
        stripped: str = super()._strip_prefix(key)  # type: ignore[misc]  # not in the stubs
        return stripped.removeprefix(f"{seal.owner()}:")
