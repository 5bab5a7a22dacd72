"""
What may a tenant, its schema, its role and its hosts be called?

PostgreSQL cuts identifiers at 63 bytes without an error (chapter 4.1.1), so two long
names can mean one schema: every name is measured in bytes before it is used.
"""

from __future__ import annotations

import re
from functools import lru_cache

import idna

from tenancy import roles
from tenancy.conf import settings
from tenancy.errors import InvalidName

MAX_BYTES = 63
SLUG = re.compile(r"[a-z][a-z0-9-]{1,40}")
IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")
PUBLIC_SCHEMA = "public"

# Hosts that people and machines expect to be the product's own, and names that
# mean something to PostgreSQL or to the tools around it.
_RESERVED = """
    account accounts admin api app apps assets audit auth autoconfig autodiscover billing blog
    cdn clinic clinicx dashboard default dev dns docs email fhir ftp git grafana health help
    host id imap info internal keycloak kube localhost login logout mail media metrics
    monitoring mx ns ns1 ns2 null oauth ops other platform pop postgres postgresql private
    prometheus public realm realms root security smtp sso staging static status support system
    template tenancy tenant undefined unknown vpn webmail ws www
"""
RESERVED_SLUGS = frozenset(_RESERVED.split())


def check_slug(slug: str) -> str:
    """Return `slug`, or raise InvalidName saying what is wrong with it."""
    if not SLUG.fullmatch(slug):
        raise InvalidName(
            f"{slug!r} is not a slug: use 2 to 41 of a-z, 0-9 and '-', beginning with a letter, "
            "for example 'elm-street'."
        )
    if slug.endswith("-") or "--" in slug:
        raise InvalidName(
            f"{slug!r} is not a host name: '-' may stand only once between letters or digits."
        )
    if slug in RESERVED_SLUGS or slug in settings.RESERVED_SLUGS or slug.startswith("pg-"):
        raise InvalidName(f"{slug!r} is reserved; choose another, for example '{slug}-clinic'.")
    return slug


def schema_for(slug: str) -> str:
    """Return the name of the schema of `slug`; underscores stand for its dashes."""
    return check_identifier(f"{settings.SCHEMA_PREFIX}{check_slug(slug).replace('-', '_')}")


def check_identifier(name: str) -> str:
    """Return `name`, or raise InvalidName if PostgreSQL would cut it or it needs quoting."""
    length = len(name.encode())
    if length > MAX_BYTES:
        raise InvalidName(
            f"{name!r} has {length} bytes and PostgreSQL keeps {MAX_BYTES}; use a shorter slug."
        )
    if not IDENTIFIER.fullmatch(name):
        raise InvalidName(f"{name!r} is not a plain lower-case identifier.")
    return name


def check_role(role: str, *, schema: str) -> str:
    """Return `role`, or raise InvalidName when it is too long or a role that is no tenant's."""
    length = len(role.encode())
    if length > MAX_BYTES:
        raise InvalidName(
            f"The role of the schema {schema!r} would be {role!r}, which has {length} bytes, and "
            f"PostgreSQL keeps {MAX_BYTES}. Choose a shorter name for the schema."
        )
    if schema in roles.FIXED:
        raise InvalidName(
            f"The role of the schema {schema!r} would be {role!r}, which is no tenant's. Choose "
            "another name for the schema."
        )
    return role


@lru_cache(maxsize=4096)
def canonical_host(host: str) -> str:
    """
    Return `host` as it is stored and compared: no port, no trailing dot, lower case, A-labels.

    RFC 3986 section 3.2.2 (case), RFC 1034 section 3.1 (the trailing dot), RFC 5891
    (A-labels, which people call punycode). Raise InvalidName for what is no host name.
    """
    name, _, port = host.strip().lower().partition(":")
    if port and not port.isdecimal():
        raise InvalidName(f"{host!r} is not a host name.")
    try:
        return idna.encode(name.removesuffix("."), uts46=True).decode()
    except idna.IDNAError as error:
        raise InvalidName(f"{host!r} is not a host name.") from error
