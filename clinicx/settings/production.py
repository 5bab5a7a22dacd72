"""
Production: everything that is a secret or an address comes from the environment.
"""

from __future__ import annotations

from clinicx import env
from clinicx.logs import catch_the_rest
from clinicx.settings import exposition, logs, pool, worker
from clinicx.settings.base import *  # noqa: F403  # what a settings module is for
from clinicx.settings.base import CELERY_BEAT_SCHEDULE, STORAGES
from clinicx.settings.databases import caches, databases, pooled, pooler_modes

DEBUG = False
SECRET_KEY = env.required("SECRET_KEY")
# The owner's address is for migrations and provisioning: a pod that serves pages has none.
DATABASES = pooled(
    databases(app_url=env.required("DATABASE_URL"), ddl_url=env.text("DATABASE_DDL_URL", ""))
)
TENANCY_POOLER_MODES = pooler_modes()
TENANCY_CONN_MAX_TENANTS = pool.max_tenants()
TENANCY_DATABASE_PATIENCE = pool.patience()
TENANCY_IN_FLIGHT = pool.in_flight()
if env.boolean("DB_STATEMENT_METRICS", False):
    ORIGINAL_BACKEND = "django_prometheus.db.backends.postgresql"
CACHES = caches(redis_url=env.required("REDIS_URL"))
CELERY_BROKER_URL = env.required("REDIS_URL")
CELERY_WORKER_CONCURRENCY = worker.concurrency()
CELERY_WORKER_MAX_TASKS_PER_CHILD = worker.max_tasks()
CELERY_WORKER_MAX_MEMORY_PER_CHILD = worker.max_kilobytes()
CLINICX_SHUTDOWN_SECONDS = worker.shutdown_seconds()
CLINICX_ALIVE_FILE = worker.alive_file()
if exposition.port():
    CELERY_BEAT_SCHEDULE.update(exposition.BEAT_SCHEDULE)
TENANCY_BASE_DOMAIN = env.required("BASE_DOMAIN")

# TLS ends at the ingress, which sets this header and drops a client's own.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# Browsers' preload list is for whoever owns the domain to ask for, and hard to leave.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

# A __Host- cookie has no Domain, so a sibling clinic can neither set nor read it
# (RFC 6265bis, section 4.1.3.2).
SESSION_COOKIE_NAME = "__Host-sessionid"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-csrftoken"
CSRF_COOKIE_SECURE = True

STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LOGGING = logs.discreet_logging()
catch_the_rest()
