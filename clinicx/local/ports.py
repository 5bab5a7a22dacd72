"""
Which ports of 127.0.0.1 are free?
"""

from __future__ import annotations

import socket

from clinicx.local.errors import UnableToStart

HOST = "127.0.0.1"


def pick(*, preferred: int) -> int:
    """Return `preferred` if it is free, else, or if it is 0, a port that is."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on `port`. PermissionError where it never could."""
    with socket.socket() as probe:
        # As servers do: a port that has only finished connections on it is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise
        except OSError:
            return False
    # macOS lets us bind beside a server that listens on every address; ask that one, too.
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) != 0


def require_free(port: int, *, name: str, remedy: str) -> None:
    """Raise UnableToStart, saying what to type, if `port` cannot be had."""
    try:
        if is_free(port):
            return
    except PermissionError as error:
        raise UnableToStart(f"{name} {port} is for root only; type '{remedy}'.") from error
    raise UnableToStart(f"{name} {port} is taken by another program; type '{remedy}'.")
