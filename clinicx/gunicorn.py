"""
How does gunicorn serve in a pod? Every number comes from the pod's own limits.

`gunicorn --config=python:clinicx.gunicorn clinicx.wsgi:application`
"""

from __future__ import annotations

import gc as _gc
from typing import Any as _Any

# Under other names: gunicorn takes every plain one for a setting.
from clinicx import exposition as _exposition
from clinicx.settings import logs as _logs
from clinicx.settings import pool as _pool
from clinicx.settings import web as _web

bind = "0.0.0.0:8080"  # a pod's address is its own

# One for each core that the pod may use: the interpreter's lock lets a process use one.
workers = _pool.workers()
worker_class = "clinicx.server.Worker"  # gthread's, which repeats nothing of a wrong request

# As many as the worker's pool has connections, so that no thread waits for one.
threads = _pool.connections_per_worker()

# The application is loaded once, before the workers are forked: see docs/decisions/0030.
preload_app = True

# After so many requests a worker is replaced, with what its memory has gathered; each at another
# time, so that never all of them are away.
max_requests, max_requests_jitter = _web.max_requests()

# For how long the ingress may keep a connection. Longer than it does (nginx: 60 seconds), so
# that it is the ingress who closes it, and never while a request is on its way here.
keepalive = _web.keepalive_seconds()

# Requests that are being answered when the pod is asked to go; Kubernetes waits a little longer.
graceful_timeout = 25
timeout = 60

# What is larger is nobody's: our longest address has 300 characters, and cookies some 100 each.
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190

# The root file system is read-only: heartbeats go to memory, and the control socket nowhere.
worker_tmp_dir = "/dev/shm"  # noqa: S108  # a file without a name, closed to others
control_socket_disable = True

# As Django's, from the first line on; each request's is written by tenancy.logs.
logger_class = "clinicx.server.Logger"
logconfig_dict = _logs.discreet_logging()

# Before anything is loaded that counts.
_exposition.prepare()


def child_exit(server: _Any, worker: _Any) -> None:
    _exposition.forget(worker.pid)


def when_ready(server: _Any) -> None:
    """
    Serve the workers' numbers, and leave what was loaded out of the collector's rounds, so
    that workers go on sharing it.

    Its rounds write into the head of each object that they look at, and a page that is written
    to is copied. Nothing of a connection may be here yet: workers would share that as well.
    """
    _exposition.serve()
    _gc.collect()
    _gc.freeze()


def post_worker_init(worker: _Any) -> None:
    """
    Let no worker serve before it was asked whether that is safe.

    gunicorn itself runs no checks. Here Django is loaded already, and asking takes 0.15 s;
    `manage.py check` before the workers start would load it once more, which takes a second
    of a core and as much memory as all of this. A worker that takes another's place asks too.
    """
    from clinicx import opening

    opening.ask_and_open(worker)
