"""
How does gunicorn serve in a pod? Every number comes from the pod's own limits.

`gunicorn --config=python:clinicx.gunicorn clinicx.wsgi:application`
"""

from __future__ import annotations

from clinicx import env

bind = "0.0.0.0:8080"  # a pod's address is its own

# One for each core that the pod may use: the interpreter's lock lets a process use one.
workers = env.integer("WEB_WORKERS", 2)
worker_class = "gthread"

# A thread keeps the connection that it opened, so that threads are what the database sees.
# The pod's share of its connections is divided among the workers.
threads = env.integer("DB_POOL_SIZE", 20) // workers

# Requests that are being answered when the pod is asked to go; Kubernetes waits a little longer.
graceful_timeout = 25
timeout = 60

# The root file system is read-only: heartbeats go to memory, and the control socket nowhere.
worker_tmp_dir = "/dev/shm"  # noqa: S108  # a file without a name, closed to others
control_socket_disable = True

accesslog = "-"
# The path without what follows '?': a search has a patient's name there.
access_log_format = '%(h)s %({host}i)s "%(m)s %(U)s" %(s)s %(B)s bytes %(M)s ms'
