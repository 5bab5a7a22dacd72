"""
What is done in the background that only a process with the owner's address can do?

A web request runs no DDL. It queues these, and workers that have the address take them from
a queue of their own, whatever other queues they listen to.
"""

from __future__ import annotations

import logging
from typing import Any

from django.utils.module_loading import import_string
from django_tenants.utils import get_tenant_model

from tenancy import context, lifecycle, pool, provisioning
from tenancy.conf import settings
from tenancy.errors import NameTaken, TenantNotFound, UnableToProvision

logger = logging.getLogger("tenancy.tasks")


def queue_provisioning(organization: Any) -> bool:
    """
    Have an organization that was requested brought into service, once that is committed.

    Return whether anybody is told: not in a project without Celery, nor while the broker is
    away. `manage.py reconcile_tenants` does it then.
    """
    if not settings.CELERY_APP:
        return False
    # Celery takes 12 MB: not before
    from kombu.exceptions import OperationalError

    from tenancy.tasks.app import CARRY_OUT, OWNERS_QUEUE
    from tenancy.tasks.publishing import NOT_QUEUED

    app = import_string(settings.CELERY_APP)
    try:
        with context.override(context.PLATFORM, in_transaction=True):
            app.send_task(CARRY_OUT, [str(organization.pk)], queue=OWNERS_QUEUE)
    except OperationalError:
        logger.exception(NOT_QUEUED)
        return False
    return True


def carry_out(identity: str) -> None:
    """Bring an organization that was requested into service; what fails is said on its row."""
    organization = get_tenant_model()._default_manager.filter(pk=identity).first()
    if organization is None:
        return
    try:
        provisioning.carry_out(organization)
    except (NameTaken, UnableToProvision, TenantNotFound) as error:
        logger.error("%s", error)
    fill_pool()


def fill_pool() -> None:
    """Let TENANCY_WARM_POOL schemas wait that are as the code of today has them."""
    pool.discard_stale()
    pool.fill()


def reconcile() -> None:
    """Finish what was left of all organizations, and do what is due: see `reconcile_tenants`."""
    for finding in lifecycle.reconcile():
        if finding.error:
            logger.error("%s: %s: %s", finding.subject, finding.what, finding.error)
        elif finding.is_done:
            logger.info("%s: %s: done", finding.subject, finding.what)
        else:
            logger.warning("%s: %s", finding.subject, finding.what)
