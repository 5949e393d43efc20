"""Settings, flat: read from the environment, refused loudly when malformed.

Every name that an operator sets is listed in docs/settings.md. `NAME_FILE` may stand for `NAME` and gives
the path of a file that holds the value (Docker and Kubernetes secrets). Without DATABASE_URL the embedded
PostgreSQL and Valkey under `var/` are used, which is meant for development and trials.
"""

import base64
import secrets
from pathlib import Path
from typing import Any

from celery.schedules import crontab

from portal import embedded, provider_settings
from portal.environment import Environment
from portal.logs import logging_config
from portal.settings_errors import refuse

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

STATE_DIR = Path(env.str("PORTAL_STATE_DIR", default=str(BASE_DIR / "var")))
EMBEDDED = not env.str("DATABASE_URL", default="")
PRODUCTION = env.bool("PRODUCTION", default=not EMBEDDED)
# The word that every page shows, so that nobody mistakes a trial for the real thing.
ENVIRONMENT = env.str("ENVIRONMENT", default="Production" if PRODUCTION else "Trial")
DEBUG = False

# --- secrets -----------------------------------------------------------------------------------------------
_local = embedded.urls(STATE_DIR)
if EMBEDDED:
    # Before the first start there is no database, and so nothing that a made-up key could harm.
    SECRET_KEY = (
        env.str("SECRET_KEY", default="") or embedded.secret_key(STATE_DIR) or secrets.token_urlsafe(50)
    )
    _keys_file = embedded.root_keys_file(STATE_DIR)
    _stored = _keys_file.read_text().split() if _keys_file.exists() else []
    ROOT_KEYS = env.list("FIELD_ENCRYPTION_KEY", default=_stored)
else:
    SECRET_KEY = env.str("SECRET_KEY", default="") or refuse(
        "SECRET_KEY is not set", "give 50 random characters, or SECRET_KEY_FILE"
    )
    # A list for rotation: the first key wraps, every key opens. Each is 32 bytes in URL-safe base64.
    ROOT_KEYS = env.list("FIELD_ENCRYPTION_KEY", default=[]) or refuse(
        "FIELD_ENCRYPTION_KEY is not set", "give the root key of this database (32 bytes, URL-safe base64)"
    )
# The key that signs checkpoints of the audit log, and the newest checkpoint: outside the database, for the maintenance
# process alone. A path and not a value, so that no other process reads it.
AUDIT_SIGNING_KEY_PATH = env.str(
    "AUDIT_SIGNING_KEY_PATH", default=str(STATE_DIR / "keys" / "audit-signing-key")
)
# What erasures and opt-outs are known by outside the database, for replaying them after a restore (docs/erasure.md).
ERASURE_LEDGER_PATH = env.str(
    "ERASURE_LEDGER_PATH", default=str(STATE_DIR / "erasure-ledger" / "ledger.jsonl")
)
# How long backups and archived WAL are kept: until then they hold what is erased today, sealed.
BACKUP_DAYS = env.int("BACKUP_DAYS", default=35)
AUDIT_HEAD_PATH = env.str("AUDIT_HEAD_PATH", default=str(STATE_DIR / "seals" / "head"))
# The stock field package insists on a Fernet key of its own at import. It gets one that nothing is ever
# sealed with, and tokens.crypto.fields makes its crypter raise: what is sealed, is sealed by ROOT_KEYS.
FIELD_ENCRYPTION_KEY = base64.urlsafe_b64encode(secrets.token_bytes(32))

# --- databases, broker, cache ------------------------------------------------------------------------------
_database_url = env.str("DATABASE_URL", default="") or _local.app
_owner_url = env.str("DATABASE_OWNER_URL", default="") or (
    _local.owner
    if EMBEDDED
    else refuse("DATABASE_OWNER_URL is not set", "give the URL of the role that owns the tables")
)


def _database(variable: str, url: str) -> dict[str, Any]:
    config = env.postgres(variable, url)
    options = config.setdefault("OPTIONS", {})
    # Statements are prepared and parameters bound by the server: clear values never become part of an SQL text.
    # Planning costs as much as some statements; a pooler in transaction mode may know no prepared statements.
    options |= {
        "server_side_binding": True,
        "prepare_threshold": 5 if env.bool("DATABASE_PREPARES", default=True) else None,
        "application_name": "token-portal",
        "connect_timeout": 5,
    }
    if env.bool("SERVES_WEB", default=False):
        # Whoever waits for an answer hears 503 well within Marketing Cloud's 60 s, also when a table is locked.
        options["options"] = "-c statement_timeout=15s -c lock_timeout=5s"
    return config | {"CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=600), "CONN_HEALTH_CHECKS": True}


DATABASES = {
    "default": _database("DATABASE_URL", _database_url),
    "owner": _database("DATABASE_OWNER_URL", _owner_url),
}
DATABASE_ROUTERS = ["portal.database_roles.OwnerMigrates"]

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="") or (
    _local.broker if EMBEDDED else refuse("CELERY_BROKER_URL is not set", "give a redis:// or amqp:// URL")
)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.str("CACHE_URL", default="")
        or (
            _local.cache
            if EMBEDDED
            else refuse("CACHE_URL is not set", "give a redis:// URL that all web processes share")
        ),
    }
}

# Messages carry ids only; the rows in PostgreSQL are the work (decision 10).
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 300}
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 300_000  # kB
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# How long a task works chunks of a bulk job before it makes room for other jobs; how long a chunk is kept for a
# worker that does not come back; how often somebody looks for chunks that nobody works.
BULK_TASK_SECONDS = 5.0
BULK_LEASE_SECONDS = env.float("BULK_LEASE_SECONDS", default=30.0)
BULK_SWEEP_SECONDS = env.float("BULK_SWEEP_SECONDS", default=10.0)
# How long a finished export can be taken.
EXPORT_DAYS = env.int("EXPORT_DAYS", default=7)
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # A sweep that was not worked in time is worth nothing: the next one sees the same.
    "sweep bulk jobs": {
        "task": "tokens.bulk.sweep",
        "schedule": BULK_SWEEP_SECONDS,
        "options": {"expires": BULK_SWEEP_SECONDS},
    },
    "sweep exports": {
        "task": "tokens.exports.sweep",
        "schedule": BULK_SWEEP_SECONDS,
        "options": {"expires": BULK_SWEEP_SECONDS},
    },
    "sweep files of opt-outs": {
        "task": "tokens.opt_out_files.sweep",
        "schedule": BULK_SWEEP_SECONDS,
        "options": {"expires": BULK_SWEEP_SECONDS},
    },
    "answer handshakes of event notifications": {
        "task": "tokens.connections.answer_handshakes",
        "schedule": 15.0,
        "options": {"expires": 15.0},
    },
    "work events of Marketing Cloud": {
        "task": "tokens.connections.work_events",
        "schedule": BULK_SWEEP_SECONDS,
        "options": {"expires": BULK_SWEEP_SECONDS},
    },
    "tell alarms": {
        "task": "portal.tell_alarms",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "fetch files by SFTP": {
        "task": "tokens.file_transfer.sweep",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "follow tries that gave no token": {
        "task": "tokens.no_token_queue.follow",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "reconcile the No Token Queue": {
        "task": "tokens.no_token_queue.reconcile",
        "schedule": crontab(hour=4, minute=10),
    },
    "tell Marketing Cloud of opt-outs": {
        "task": "tokens.write_back.sweep",
        "schedule": BULK_SWEEP_SECONDS,
        "options": {"expires": BULK_SWEEP_SECONDS},
    },
    "move erasures on": {
        "task": "tokens.erasure.sweep",
        "schedule": BULK_SWEEP_SECONDS,
        "options": {"expires": BULK_SWEEP_SECONDS},
    },
    "raise the alarm for overdue unsubscribes": {
        "task": "tokens.consent.overdue",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
}

# --- application -------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    # Unfold's skin without its site, and Django's admin without discovery: /admin/ is portal.desk.site.
    "unfold.apps.BasicAppConfig",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "pgtrigger",
    "rest_framework",
    "oauth2_provider",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "audit",
    "tokens",
    "portal",
]
MIDDLEWARE = [
    "tokens.api.request_ids.RequestIds",
    "portal.forwarded_scheme.ForwardedScheme",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.sessions.SessionClock",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.desk.shell.shell",
            ]
        },
    }
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "portal" / "static"]
LOGGING_CONFIG = None
logging_config(level=env.str("LOG_LEVEL", default="INFO"))

# Read by the first `migrate` of a database, and never again: whether one person alone works here (docs/approvals.md).
SINGLE_OPERATOR = env.bool("SINGLE_OPERATOR", default=False)

# --- people ------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "portal.User"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
CSRF_FAILURE_VIEW = "portal.desk.dead_ends.csrf_failure"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
# A session ends after so many seconds in all, and after so many without a page being opened.
SESSION_COOKIE_AGE = env.int("SESSION_SECONDS", default=8 * 3600)
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", default=15 * 60)
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
# How long a second factor that was shown counts as shown just now: for revealing, and for changing factors.
SECOND_FACTOR_FRESH_SECONDS = env.int("SECOND_FACTOR_FRESH_SECONDS", default=300)
# How many clear values one person may reveal in 24 hours: beyond the first an alarm is raised, the second refuses.
REVEALS_SOFT_CAP = env.int("REVEALS_SOFT_CAP", default=20)
REVEALS_HARD_CAP = env.int("REVEALS_HARD_CAP", default=50)
# django-allauth knows codes, passkeys and providers. Pages, limits and messages are ours: portal.accounts.
ACCOUNT_ADAPTER = "portal.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
# A Salesforce org is a provider of OpenID Connect like any other; portal.providers says what is stricter here.
PROVIDERS = provider_settings.read(env, production=PRODUCTION)
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [one.as_app() for one in PROVIDERS.values()]}}
SOCIALACCOUNT_ADAPTER = "portal.providers.SocialAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
MFA_ADAPTER = "portal.second_factor.sealing.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]

# --- alarms --------------------------------------------------------------------------------------------------
ALARM_EMAILS = env.list("ALARM_EMAILS", default=[])
ALARM_FROM = env.str("ALARM_FROM", default="token-portal@localhost")
ALARM_WEBHOOK = env.str("ALARM_WEBHOOK", default="")
EMAIL_TIMEOUT = 10
vars().update(env.mail_server("EMAIL_URL"))

# --- uploads -----------------------------------------------------------------------------------------------
# The only handler: a file is sealed block by block as it arrives, and only where one is expected.
FILE_UPLOAD_HANDLERS = ["portal.desk.uploads.SealedUploadHandler"]
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_MB", default=500) * 1_000_000

# --- the API -----------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "UNAUTHENTICATED_USER": None,
}
# Where the hosts of a Marketing Cloud tenant are, with {subdomain} and {api}; a simulator stands elsewhere.
MARKETING_CLOUD_HOSTS = env.str(
    "MARKETING_CLOUD_HOSTS", default="https://{subdomain}.{api}.marketingcloudapis.com"
)

# The largest body of a batch, in bytes, sent and unpacked. 500 items of the longest legal fields fit.
API_MAX_BODY_BYTES = 1_048_576
API_MAX_ITEMS = 500
# Tokens that do not exist, asked for by one client in an hour: beyond it an alarm is raised, nothing is refused.
API_UNKNOWN_TOKENS_PER_HOUR = 10_000
DATA_UPLOAD_MAX_MEMORY_SIZE = API_MAX_BODY_BYTES

OAUTH2_PROVIDER_APPLICATION_MODEL = "tokens.ApiClient"
OAUTH2_PROVIDER = {
    "SCOPES": {
        "tokens.resolve": "Resolve tokens",
        "tokens.get": "Get tokens",
        "opt-outs.record": "Record opt-outs",
    },
    "ACCESS_TOKEN_EXPIRE_SECONDS": 1200,
    "ALLOWED_GRANT_TYPES": ["client_credentials"],
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    **{
        f"COMPLIANT_BCP_RFC9700_{gate}": True
        for gate in (
            "IMPLICIT_GRANT",
            "PASSWORD_GRANT",
            "PKCE_METHOD",
            "ACCESS_TOKEN_TRANSPORT",
            "AUTHZ_RESPONSE_ISS",
            "TOKEN_STORAGE",
            "REFRESH_TOKEN",
            "REDIRECT_URI_SCHEME",
            "REDIRECT_URI_MATCHING",
        )
    },
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Token server",
    "OAS_VERSION": "3.1.0",
    "VERSION": "1.0.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["tokens.api.schema.complete"],
}

# --- processes (portal.web_server, manage.py run_portal) ----------------------------------------------------
WEB_WORKERS = env.int("WEB_WORKERS", default=2)
WEB_THREADS = env.int("WEB_THREADS", default=16)
WORKER_PROCESSES = env.int("WORKER_PROCESSES", default=2)

# --- network -----------------------------------------------------------------------------------------------
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"] if EMBEDDED else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# CIDRs of the proxies in front of us, whose X-Forwarded-For is believed (decision 12); one behind a Unix socket
# has no address.
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES", words=frozenset({"unix"}))
TLS_CERT = env.str("TLS_CERT", default="")
TLS_KEY = env.str("TLS_KEY", default="")
# Behind a proxy that ends TLS, Django learns the scheme from this header; the proxy must overwrite it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
HTTPS = PRODUCTION or bool(TLS_CERT)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Browsers take __Host- cookies from this very host over HTTPS only, so no neighbouring host can plant one.
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        # Browsers hold the redirect to a provider against this too.
        "form-action": ["'self'", *(one.origin for one in PROVIDERS.values())],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
