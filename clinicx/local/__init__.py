"""
PostgreSQL, Redis and a web server on a laptop, with nothing installed but Python and make.

On the command line: `python -m clinicx.local --help`. Needs no Django settings, because
settings ask it for the addresses.
"""

from __future__ import annotations

from clinicx.local.stack import ensure_servers, environment, stop_servers

__all__ = ["ensure_servers", "environment", "stop_servers"]
