"""
Errors raised across module boundaries.

    TenancyError
    |__NoActiveTenant
    |__CrossTenantAccess
    |__SessionStateRefused
    |__TenantChangedInTransaction
    |__TenantContextChanged
    |__TenantNotFound
    |__TenantUnavailable
    |__TenantGone
    |__TenantMismatch
    |__InvalidToken
    |__RateLimited
    |__TooManyInFlight
    |__DatabaseUnavailable
    |__UnableToLock
    |__InvalidName
    |__NameTaken
    |__InvalidTransition
    |__UnableToProvision
    |__UnableToAdopt
    |__UnableToMigrate
    |__UnableToCapture
    |__RunInProgress
    |__UnableToRecord
    |__TaskRejected
"""

from __future__ import annotations


class TenancyError(Exception):
    """Base of every error this package raises on purpose."""


class NoActiveTenant(TenancyError):
    """SQL was about to be sent while nobody had said for which tenant; nothing was sent."""


class CrossTenantAccess(TenancyError):
    """An object of one tenant was about to be used for another; nothing was sent."""


class SessionStateRefused(TenancyError):
    """SQL would have left something on a session that others use; nothing was sent."""


class TenantChangedInTransaction(TenancyError):
    """The active tenant differs from the one the open transaction is bound to; nothing was sent."""


class TenantContextChanged(TenancyError):
    """A transaction ended with another schema or role than it was bound to; it was rolled back."""


class TenantNotFound(TenancyError):
    """No organization answers to this slug or host."""


class TenantUnavailable(TenancyError):
    """The tenant is there and is not to be worked for now; nothing was done."""

    def __init__(self, message: str, *, state: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.state = state
        self.reason = reason


class TenantGone(TenancyError):
    """The tenant was deleted, or is being deleted, and does not come back; nothing was done."""


class TenantMismatch(TenancyError):
    """A request names two tenants, its host one and a header another; it was not answered."""


class InvalidToken(TenancyError):
    """A request's token is not valid, or not for this tenant; it was not answered."""


class RateLimited(TenancyError):
    """The tenant, or somebody of it, asks for more than its rate; nothing was counted."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyInFlight(TenancyError):
    """As many of the tenant's requests are being answered as may be at once; nothing was done."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DatabaseUnavailable(TenancyError):
    """
    PostgreSQL was not there, or did not answer in time, and the request was not answered.

    What was being committed when it went away may be done or not; nothing is tried again.
    """

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnableToLock(TenancyError):
    """Another transaction held a lock for too long; this one can go on without it."""


class InvalidName(TenancyError):
    """A slug, a host or what PostgreSQL would be asked to call them is not allowed."""


class NameTaken(TenancyError):
    """The slug, host, schema or role exists already; nothing was changed."""


class InvalidTransition(TenancyError):
    """A tenant's state, or a hold on it, does not allow what was asked for; nothing was changed."""


class UnableToProvision(TenancyError):
    """A tenant could not be made, and nothing is, or not be deleted in full, and that goes on."""


class UnableToAdopt(TenancyError):
    """A schema could not be given its role; those that were finished before keep theirs."""


class UnableToMigrate(TenancyError):
    """A schema could not be migrated; migrations that it had finished before remain."""


class UnableToCapture(TenancyError):
    """A schema holds what no script could make again; such schemas are made by migrating."""


class RunInProgress(TenancyError):
    """Somebody else is migrating the fleet; nothing was done."""


class UnableToRecord(TenancyError):
    """The audit log did not take a record; what was to be recorded is rolled back with it."""


class TaskRejected(TenancyError):
    """A background task may not be run for the tenant that it names; it is run for nobody."""

    def __init__(self, message: str, *, reason: str, tenant: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.tenant = tenant
