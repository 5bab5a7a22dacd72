"""
A small project on tenancy. PLANTED says which of its mistakes it makes.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

PLANTED = set(os.environ.get("PLANTED", "").split())
SECRET_KEY = "only-for-tests"  # guards nothing

_server = urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
_database = {
    "ENGINE": "tenancy.backend",
    "NAME": os.environ["PROJECT_DATABASE"],
    "HOST": _server.hostname,
    "PORT": _server.port,
    "PASSWORD": "only-for-tests",
}
DATABASES = {"default": {**_database}, "ddl": {**_database}}
DATABASE_ROUTERS = ["tenancy.router.TenancyRouter"]
TENANT_SYNC_ROUTER = "tenancy.router.TenancyRouter"
TENANT_MODEL = "tenancy.Organization"
TENANT_DOMAIN_MODEL = "tenancy.Domain"
SHARED_APPS = ["tenancy", "django_tenants", "board"]
TENANT_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "ward",
]
INSTALLED_APPS = ["django.contrib.messages", *SHARED_APPS, *TENANT_APPS]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ALLOWED_HOSTS = ["*"]
MIDDLEWARE = [
    "tenancy.middleware.TenantMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "ward.urls"
PUBLIC_SCHEMA_URLCONF = "board.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
USE_TZ = True

_redis = {
    "BACKEND": "tenancy.cache.RedisCache",
    "LOCATION": os.environ["REDIS_URL"],
    "KEY_FUNCTION": "tenancy.cache.make_key",
}
CACHES = {
    "default": _redis,
    "pages": {**_redis, "KEY_PREFIX": "pages"},
    "everybody": {**_redis, "KEY_FUNCTION": "tenancy.cache.make_shared_key"},
}
if "cache" in PLANTED:
    CACHES["pages"] = {**_redis, "BACKEND": "django_redis.cache.RedisCache"}
    del CACHES["pages"]["KEY_FUNCTION"]
TENANCY_CELERY_APP = "ward.celery.app"
SESSION_ENGINE = (
    "django.contrib.sessions.backends.signed_cookies"
    if "session" in PLANTED
    else "django.contrib.sessions.backends.db"
)
MESSAGE_STORAGE = (
    "django.contrib.messages.storage.cookie.CookieStorage"
    if "messages" in PLANTED
    else "django.contrib.messages.storage.session.SessionStorage"
)
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage"
        if "storage" in PLANTED
        else "ward.storage.WardsStorage"
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
MEDIA_ROOT = Path(os.environ["MIGRATED"]).parent / "media"
