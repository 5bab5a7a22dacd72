"""
For whom is this request?

A resolver is a function `(request) -> tenant or None`: a row of TENANT_MODEL when the
request names one, None when it says nothing, TenantNotFound when it names one that there
is not. TENANCY_RESOLVERS lists them. The first that speaks decides, the others are asked as
well, and a request that names two tenants is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

from django.conf import settings as django_settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from tenancy import names, tenants
from tenancy.conf import settings
from tenancy.errors import InvalidName, InvalidToken, TenantMismatch, TenantNotFound
from tenancy.tenants import Tenant

Resolver: TypeAlias = Callable[[HttpRequest], Tenant | None]
TokenVerifier: TypeAlias = Callable[[HttpRequest], Mapping[str, Any] | None]

HEADER = "X-Tenant"
COOKIE = "tenant"


def resolve(request: HttpRequest) -> Tenant | None:
    """
    Return the tenant that the request is for, None for the platform on the base domain.

    Raise TenantNotFound when nobody answers, TenantMismatch when the request names two, and
    InvalidToken when one of the two is named by its token.
    """
    decided: Tenant | None = None
    for resolver in _resolvers(tuple(settings.RESOLVERS)):
        named = resolver(request)
        if named is None:
            continue
        if decided is None:
            decided = named
        elif named.pk != decided.pk:
            raise _mismatch(resolver, decided, named)
    if decided is None and (host := host_of(request)) != settings.BASE_DOMAIN:
        raise TenantNotFound(f"Nobody answers at {host!r}.")
    return decided


def _mismatch(resolver: Resolver, decided: Tenant, named: Tenant) -> Exception:
    if resolver is token:
        return InvalidToken(f"The token is {named}'s, and this is {decided}.")
    return TenantMismatch(f"The request names both {decided} and {named}.")


def host_of(request: HttpRequest) -> str:
    """Return the canonical host of the request itself; forwarded headers are not read."""
    # Each resolver asks, and Django reads and checks the header anew each time.
    host: str | None = getattr(request, "_canonical_host", None)
    if host is None:
        try:
            host = names.canonical_host(request.get_host())
        except InvalidName as error:
            raise TenantNotFound(str(error)) from error
        request._canonical_host = host  # type: ignore[attr-defined]
    return host


# The resolvers


def subdomain(request: HttpRequest) -> Tenant | None:
    """The one label below the base domain is its slug."""
    slug, dot, base = host_of(request).partition(".")
    if not dot or base != settings.BASE_DOMAIN:
        return None
    return _named("slug", slug)


def custom_domain(request: HttpRequest) -> Tenant | None:
    """The host is one of its domains. One that is nobody's says nothing."""
    host, base = host_of(request), settings.BASE_DOMAIN
    # There the slug decides, where tenants have one.
    is_ours = host == base or host.endswith(f".{base}")
    return None if is_ours and tenants.has_slug() else tenants.look_up("domain", host)


def path_prefix(request: HttpRequest) -> Tenant | None:
    """The path begins with /TENANCY_PATH_PREFIX/<slug>/; views see the path behind that."""
    slug, _ = split_path(request.path_info)
    return _named("slug", slug) if slug else None


def header(request: HttpRequest) -> Tenant | None:
    """The header X-Tenant is its slug, if the peer is one of TENANCY_TRUSTED_PROXIES."""
    slug = request.headers.get(HEADER)
    if slug is None or not _is_trusted(request.META.get("REMOTE_ADDR", "")):
        return None
    return _named("slug", slug)


def session(request: HttpRequest) -> Tenant | None:
    """
    It was chosen earlier in this browser's session, by `choose`.

    A signed cookie of its own, as sessions are rows of the tenant who is looked for here.
    It says where to go and lets nobody in. One that is not signed by us says nothing, and
    neither does one whose tenant is gone.
    """
    cookie = request.COOKIES.get(COOKIE)
    if cookie is None:
        return None
    try:
        identity = _signer().unsign(cookie)
    except signing.BadSignature:
        return None
    return tenants.look_up("pk", identity)


def choose(response: HttpResponse, tenant: Tenant | None) -> None:
    """Let this browser's next requests be for `tenant`, as `session` reads it; None forgets it."""
    if tenant is None:
        response.delete_cookie(COOKIE)
        return
    response.set_cookie(
        COOKIE,
        _signer().sign(str(tenant.pk)),
        secure=django_settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def token(request: HttpRequest) -> Tenant | None:
    """
    The claim TENANCY_TOKEN_CLAIM of the request's token is its slug.

    TENANCY_TOKEN_VERIFIER verifies the token and returns its claims, None when the request
    has none; it raises InvalidToken. A token that says nothing of a tenant is invalid here.
    """
    verify: TokenVerifier = import_string(settings.TOKEN_VERIFIER)
    claims = verify(request)
    if claims is None:
        return None
    try:
        return _named("slug", claims.get(settings.TOKEN_CLAIM))
    except TenantNotFound as error:
        raise InvalidToken(f"The token's {settings.TOKEN_CLAIM}: {error}") from error


# What they have in common


def split_path(path: str) -> tuple[str, str]:
    """Return the slug in `path` and the path behind it, ("", path) where there is none."""
    prefix = settings.PATH_PREFIX.strip("/")
    if not prefix or not path.startswith(f"/{prefix}/"):
        return "", path
    slug, _, rest = path[len(prefix) + 2 :].partition("/")
    return slug, f"/{rest}"


def _named(by: str, value: object) -> Tenant:
    tenant = None
    if isinstance(value, str) and names.SLUG.fullmatch(value):
        tenant = tenants.look_up(by, value)
    if tenant is None:
        raise TenantNotFound(f"No tenant has the {by} {value!r}.")
    return tenant


def _is_trusted(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


def _signer() -> signing.Signer:
    return signing.Signer(salt="tenancy.resolvers.session")


@cache
def _resolvers(paths: tuple[str, ...]) -> list[Resolver]:
    return [import_string(path) for path in paths]


@cache
def _networks(proxies: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(proxy) for proxy in proxies]
