"""
What does the platform know of its tenants? Rows of the public schema.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from django.utils import timezone
from django_tenants.models import DomainMixin, TenantMixin

from tenancy import context, names
from tenancy.audit import AuditEvent  # noqa: F401  # here Django finds it
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.errors import InvalidName
from tenancy.ledger import MigrationRun, MigrationRunEntry  # noqa: F401  # here Django finds it
from tenancy.references import ReferenceSchema, WarmSchema  # noqa: F401  # likewise
from tenancy.rejections import RejectedTask  # noqa: F401  # here Django finds it

_entered: ContextVar[tuple[AbstractContextManager[None], ...]] = ContextVar(
    "tenancy.entered", default=()
)


def validate_slug(slug: str) -> None:
    try:
        names.check_slug(slug)
    except InvalidName as error:
        raise ValidationError(str(error), code="invalid") from error


def validate_host(host: str) -> None:
    try:
        names.canonical_host(host)
    except InvalidName as error:
        raise ValidationError(str(error), code="invalid") from error


class State(models.TextChoices):
    """
    Where a tenant is on its way; `tenancy.lifecycle` has the edges.

    A hold is no state: it forbids that anything is deleted, whatever the state is.
    """

    REQUESTED = "requested"
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    MAINTENANCE = "maintenance"
    OFFBOARDING = "offboarding"
    DELETING = "deleting"
    DELETED = "deleted"


# It is asked for, and nothing of it is there yet.
STATES_TO_COME = (State.REQUESTED, State.PROVISIONING)
# Its schema is whole, whether or not it is served.
STATES_WITH_SCHEMA = (State.ACTIVE, State.SUSPENDED, State.MAINTENANCE, State.OFFBOARDING)
# It is closed for the time being, and says so.
STATES_UNAVAILABLE = (State.SUSPENDED, State.MAINTENANCE, State.OFFBOARDING)
# What is left of it is its name, which nobody else gets.
STATES_GONE = (State.DELETING, State.DELETED)


class AbstractOrganization(TenantMixin):  # type: ignore[misc]  # untyped
    """
    A tenant, for a project to add columns to, as Django's AbstractUser: TENANT_MODEL names
    the concrete one. Made and deleted by `tenancy.provisioning`, with its schema and role.
    """

    # django-tenants has no types: what a caller sees of its part is said here.
    objects: ClassVar[models.Manager[Self]]

    # A row is saved by a web request, and a web request runs no DDL.
    auto_create_schema = False

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    slug = models.CharField(
        max_length=41,
        unique=True,
        validators=[validate_slug],
        help_text="The first part of its address, for example 'elm-street'.",
    )
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(
        max_length=20,
        choices=State.choices,
        default=State.ACTIVE,
        db_default=State.ACTIVE,
        editable=False,
    )
    state_reason = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Why it is not served, for those who ask for its pages.",
    )
    state_changed_at = models.DateTimeField(null=True, editable=False)
    delete_after = models.DateTimeField(
        null=True, editable=False, help_text="When the grace of an offboarding ends."
    )
    is_on_hold = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Nothing of it may be deleted, whatever its state.",
    )
    hold_reason = models.CharField(
        max_length=200, blank=True, default="", db_default="", editable=False
    )

    files_from = models.UUIDField(
        null=True,
        editable=False,
        help_text="The id of the organization whose files are still to be copied to it.",
    )

    class Meta:
        abstract = True
        ordering = ["slug"]
        # The names end up in SQL as identifiers: what no form validated is refused here too.
        constraints = [
            models.CheckConstraint(
                condition=models.Q(slug__regex=f"^{names.SLUG.pattern}$"),
                name="%(app_label)s_%(class)s_slug",
            ),
            models.CheckConstraint(
                condition=models.Q(schema_name__regex=f"^{names.IDENTIFIER.pattern}$"),
                name="%(app_label)s_%(class)s_schema_name",
            ),
        ]

    def __str__(self) -> str:
        return str(self.name)

    def _check_schema_name_is_unique(self) -> None:
        """
        Ask nothing: django-tenants would, at an address that does not see what was deleted in
        the open transaction. `tenancy.taken` has asked, and the column is unique.
        """

    def as_active(self) -> ActiveTenant:
        """Return what `context.override` wants to know of it."""
        return ActiveTenant(
            id=self.id, schema=self.schema_name, slug=str(self.slug), name=str(self.name)
        )

    @property
    def host(self) -> str:
        """The host on the base domain at which it always answers."""
        return f"{self.slug}.{settings.BASE_DOMAIN}"

    @property
    def has_schema(self) -> bool:
        """Whether its schema is there and whole, served or not."""
        return self.state in STATES_WITH_SCHEMA

    # django-tenants keeps the outer tenant of `with organization:` in a list that all
    # threads share, and gives one thread the other's tenant back.
    def __enter__(self) -> Self:
        entered = context.override(self.as_active(), in_transaction=True)
        entered.__enter__()
        _entered.set((*_entered.get(), entered))
        return self

    def __exit__(self, *exc_info: Any) -> None:
        *outer, entered = _entered.get()
        _entered.set(tuple(outer))
        entered.__exit__(*exc_info)


class Organization(AbstractOrganization):
    """The tenant of a project that has no TENANT_MODEL of its own."""

    class Meta(AbstractOrganization.Meta):
        swappable = "TENANT_MODEL"


class RetiredSlug(models.Model):
    """
    A slug that an organization had before it was renamed.

    Links, cookies and tokens still name it: nobody gets it for TENANCY_SLUG_RETIREMENT, but
    the organization itself may have it back.
    """

    slug = models.CharField(max_length=41, primary_key=True)
    organization = models.CharField(max_length=64, help_text="Its id.")
    retired_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-retired_at"]

    def __str__(self) -> str:
        return self.slug


class Domain(DomainMixin):  # type: ignore[misc]  # untyped
    """A host of a tenant's own, beside the one that it has on the base domain."""

    objects: ClassVar[models.Manager[Self]]

    domain = models.CharField(
        max_length=253,
        unique=True,
        validators=[validate_host],
        help_text="For example 'praxis.example.org'; no scheme, no port.",
    )

    is_primary = models.BooleanField(default=True, db_index=True)

    class Meta:
        swappable = "TENANT_DOMAIN_MODEL"
        ordering = ["domain"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"],
                condition=models.Q(is_primary=True),
                name="tenancy_domain_one_primary",
            )
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the canonical host; the first domain of a tenant is its primary one."""
        self.domain = names.canonical_host(self.domain)
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        primary = Domain.objects.using(using).filter(tenant=self.tenant, is_primary=True)
        with transaction.atomic(using=using):
            others = primary.exclude(pk=self.pk)
            if self.is_primary:
                others.update(is_primary=False)
            else:
                self.is_primary = not others.exists()
            # Past DomainMixin's own save, which asks the default address whatever `using` says.
            super(DomainMixin, self).save(*args, **kwargs)
