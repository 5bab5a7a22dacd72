"""
What is the same wherever ClinicX runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from clinicx import env
from clinicx.settings import exposition, logs, pool

BASE_DIR = Path(__file__).resolve().parent.parent.parent

# Applications. In the public schema lives what operators use, in each clinic's schema
# what the clinic uses; accounts and Django's own are in both, with different rows.

_IN_BOTH = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "apps.accounts",
]
SHARED_APPS = ["tenancy", "django_tenants", *_IN_BOTH]
TENANT_APPS = [*_IN_BOTH, "apps.patients", "apps.scheduling", "apps.chart", "apps.fhir"]
_WITHOUT_TABLES = [
    "unfold",  # before django.contrib.admin: it replaces the admin's templates
    "apps.ui",
    "csp",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "django.contrib.humanize",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]
INSTALLED_APPS = [
    *_WITHOUT_TABLES,
    *SHARED_APPS,
    *[app for app in TENANT_APPS if app not in SHARED_APPS],
]

TENANT_MODEL = "tenancy.Organization"
TENANT_DOMAIN_MODEL = "tenancy.Domain"
TENANT_SYNC_ROUTER = "tenancy.router.TenancyRouter"
DATABASE_ROUTERS = [TENANT_SYNC_ROUTER]
TENANCY_CACHE_PREFIX = "clinicx"
TENANCY_REFUSAL_VIEW = "clinicx.errors.refuse"
# People at their screens need a few in a second; the rest is for programs that went mad. Who
# has not signed in shares an address with their colleagues.
TENANCY_RATES = {"tenant": "6000/minute", "client": "1200/minute", "sign-in": "60/minute"}
TENANCY_BASE_DOMAIN = env.text("BASE_DOMAIN", "localhost")
TENANCY_METRICS = True
TENANCY_METRICS_TENANTS = exposition.tenants()
TENANCY_METRICS_POD = exposition.pod()
TENANCY_METRICS_VERSION = env.text("CLINICX_VERSION", "unknown")
TENANCY_CONNECTIONS = pool.connections()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Requests. The host decides whose request it is, and an unknown one is a 404 from the
# tenant middleware, custom domains included: hence no list of hosts here.

ALLOWED_HOSTS = ["*"]
MIDDLEWARE = [
    # First: probes speak plain HTTP to an address, and are neither redirected nor a clinic's.
    "tenancy.health.middleware.HealthMiddleware",
    "tenancy.logs.RequestLog",  # before all others that answer: each has an id and a line
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    # Before the tenant is known, to count who is turned away; behind static files.
    "tenancy.metrics.requests.MetricsMiddleware",
    "tenancy.middleware.TenantMiddleware",
    "tenancy.in_flight.InFlightMiddleware",  # before anything is asked for who is refused
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenancy.limits.LimitMiddleware",  # after who asks is known
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "clinicx.api.middleware.NeverStored",
]
ROOT_URLCONF = "clinicx.urls.tenant"
PUBLIC_SCHEMA_URLCONF = "clinicx.urls.public"
WSGI_APPLICATION = "clinicx.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Who signs in, and for how long. Sessions are rows of the clinic's own schema, and their
# keys say whose they are: a cookie of one clinic names nothing at another.

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = LOGIN_URL
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.PasswordBackend"]
SESSION_ENGINE = "tenancy.sessions.db"
SESSION_COOKIE_AGE = 12 * 60 * 60  # a working day
SESSION_COOKIE_SAMESITE = "Lax"
# Not in a cookie, which is signed and not encrypted, for every host alike: what a page
# says once names patients.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"

# Names and passwords to show on the sign-in page: on the local stack only.
CLINICX_DEMO_SIGN_INS: list[tuple[str, str]] = []

# What a page may load: our own files, and nothing written into the page itself.

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Languages, time, files

LANGUAGE_CODE = "en-us"
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
MEDIA_ROOT = BASE_DIR / "var" / "media"
STORAGES = {
    "default": {"BACKEND": "tenancy.storage.TenantStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Background tasks, for the clinic that queued them (docs/decisions/0014)

TENANCY_CELERY_APP = "clinicx.celery.app"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "clinicx:celery:",
    # A broker that hangs kept whoever queued a task for good; a worker asks it each second.
    "socket_connect_timeout": 2,
    "socket_timeout": 3,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE
# Results would be patients' data in Redis, and nobody waits for one.
CELERY_TASK_IGNORE_RESULT = True
# A task whose worker dies is done by another: tasks may be run twice.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Commands at a worker carry no signature: whoever reaches Redis could stop all of them.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
# Where a worker, or beat, shows that it lives: in pods only, where a probe looks at it.
CLINICX_ALIVE_FILE: Path | None = None
# For how long tasks may go on after SIGTERM; None for as long as they take.
CLINICX_SHUTDOWN_SECONDS: int | None = None
# The schedule is crontab's text and not Celery's object: to import Celery takes 12 MB of each
# process, also of a command that queues nothing.
CELERY_BEAT_SCHEDULE: dict[str, Any] = {
    f"clear-expired-sessions-{tenants}": {
        "task": "apps.accounts.tasks.clear_expired_sessions",
        "schedule": "17 3 * * *",
        "tenants": tenants,
        "options": {"expires": 12 * 60 * 60},
    }
    for tenants in ("all", "platform")
}
# Schemas that wait for a clinic. Without any there is nothing to look after, and no worker
# with the owner's address to do it, perhaps.
TENANCY_WARM_POOL = env.integer("WARM_POOL", 0, minimum=0)
if TENANCY_WARM_POOL:
    CELERY_BEAT_SCHEDULE["fill-warm-pool"] = {
        "task": "tenancy.fill_pool",
        "schedule": "*/5 * * * *",
        "tenants": "platform",
        "options": {"queue": "tenancy-owner", "expires": 5 * 60},
    }
# Whether a worker has the owner's address: beat itself cannot know.
if env.boolean("OWNER_WORKER", False):
    CELERY_BEAT_SCHEDULE["reconcile-tenants"] = {
        "task": "tenancy.reconcile",
        "schedule": "41 2 * * *",
        "tenants": "platform",
        "options": {"queue": "tenancy-owner", "expires": 12 * 60 * 60},
    }

# The API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["clinicx.api.permissions.ModelPermissions"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["clinicx.api.parameters.DeclaredParameters"],
    "DEFAULT_PAGINATION_CLASS": "clinicx.api.pagination.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "clinicx.api.problems.handle",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "ClinicX",
    "DESCRIPTION": "The patients of one clinic and their charts, named as in FHIR R4.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SORT_OPERATIONS": False,  # patients first, as the URLs have them
    "DEFAULT_GENERATOR_CLASS": "clinicx.api.schema.Generator",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "clinicx.api.schema.add_problems",
    ],
    # The description holds nothing of any clinic, so nobody has to sign in for it.
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_INCLUDE_SCHEMA": False,
    # Our own files, and no badge from a validator elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "defaultModelsExpandDepth": 0,
        "validatorUrl": None,
    },
}

# The look of the admin, in the colours of apps/ui/static/ui/tokens.css

UNFOLD = {
    "SITE_SYMBOL": "cardiology",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "clinicx.admin.favicon"},
    ],
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": {
            "50": "#f0f9fa",
            "100": "#ddeff2",
            "200": "#b6d6dc",
            "300": "#9bdde9",
            "400": "#74ccdc",
            "500": "#2b8ea1",
            "600": "#0b6274",
            "700": "#084c5b",
            "800": "#0a4a59",
            "900": "#12343c",
            "950": "#05242b",
        },
    },
}

LOGGING = logs.logging()
