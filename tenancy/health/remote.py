"""
What does a process somewhere else say of its health?
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tenancy.health import facts
from tenancy.health.facts import CHECKS, State
from tenancy.health.middleware import READY

# Readiness itself keeps nobody for a second.
PATIENCE_SECONDS = 3.0

PROTOCOLS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class NoHealth(Exception):
    """At an address nobody answers, or nobody who knows `/health/ready`."""


def check_address(address: str) -> None:
    """Raise ValueError where `address` is none that can be asked."""
    parts = urlsplit(address)
    if parts.scheme not in PROTOCOLS or not parts.hostname:
        raise ValueError(f"{address!r} is no address; write http://HOST:PORT.")
    if parts.path.strip("/"):
        raise ValueError(f"{address!r} has a path; {READY} is asked for without that.")


def ask(address: str) -> dict[str, Any]:
    """Return what is answered at `address`, ready or not, as `Readiness.as_facts` has it."""
    parts = urlsplit(address)
    connection = PROTOCOLS[parts.scheme](parts.netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", READY)
        response = connection.getresponse()
        told = json.loads(response.read())
    except (OSError, http.client.HTTPException) as error:
        raise NoHealth(f"does not answer ({type(error).__name__})") from error
    except ValueError as error:
        raise NoHealth(f"answers {response.status}, and not as {READY} does") from error
    finally:
        connection.close()
    if not _is_health(told):
        raise NoHealth(f"answers {response.status}, and not as {READY} does")
    return dict(told)


def _is_health(told: object) -> bool:
    return (
        isinstance(told, Mapping)
        and told.keys() >= facts.collect().as_facts().keys()
        and all(told["checks"].get(name, {}).get("state") in set(State) for name in CHECKS)
    )
