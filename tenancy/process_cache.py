"""
What may a process remember for each tenant, and for how many of them at once?

Django keeps some of what it read in dictionaries that live as long as the process. Where
each tenant has tables or files of its own, the same key means another thing at each:
forgetting everything at each switch, as django-tenants does, still mixes what two threads
read at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, MutableMapping
from threading import Lock
from typing import Any
from weakref import WeakSet

from tenancy import context
from tenancy.conf import settings
from tenancy.context import ActiveTenant, Target


class PerTenantDict(MutableMapping[Any, Any]):
    """
    Stands in for a dictionary of Django's: whoever is active has one of their own.

    Of more than TENANCY_PROCESS_CACHE_TENANTS tenants, the one that was active longest ago
    is forgotten. With nobody active nothing is found and nothing kept, unless `for_nobody`
    says that nobody's has its place too. May be used by threads and tasks at once.
    """

    # Which dictionary it is matters, not what is in it.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __init__(self, *, for_nobody: bool = False) -> None:
        self._for_nobody = for_nobody
        self._lock = Lock()
        self._by_owner: OrderedDict[Hashable, dict[Any, Any]] = OrderedDict()
        with _of_this_process_lock:
            _of_this_process.add(self)

    def _own(self) -> dict[Any, Any]:
        active = context.get_current()
        if active is None and not self._for_nobody:
            return {}
        owner = _key(active)
        with self._lock:
            own = self._by_owner.setdefault(owner, {})
            self._by_owner.move_to_end(owner)
            while len(self._by_owner) > max(1, settings.PROCESS_CACHE_TENANTS):
                self._by_owner.popitem(last=False)
        return own

    def __getitem__(self, key: Any) -> Any:
        return self._own()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._own()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._own()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())

    def setdefault(self, key: Any, default: Any = None) -> Any:
        return self._own().setdefault(key, default)

    def clear(self) -> None:
        """Forget the active tenant's, or with nobody active everybody's."""
        active = context.get_current()
        with self._lock:
            if active is None:
                self._by_owner.clear()
            else:
                self._by_owner.pop(_key(active), None)

    def forget(self, target: Target) -> None:
        """Forget what was remembered for `target`, whoever is active."""
        with self._lock:
            self._by_owner.pop(_key(target), None)


_of_this_process: WeakSet[PerTenantDict] = WeakSet()
_of_this_process_lock = Lock()


def forget(target: Target) -> None:
    """Forget all that this process remembers of `target`: it is gone, or was migrated."""
    with _of_this_process_lock:
        caches = list(_of_this_process)
    for each in caches:
        each.forget(target)


def _key(target: Target | None) -> Hashable:
    # Of a tenant that was deleted, the next one may have the schema's name, and no other id.
    # A renamed one has the id, and what was loaded under the old name is refused.
    return (target.id, target.schema) if isinstance(target, ActiveTenant) else target
