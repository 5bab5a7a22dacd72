"""What django-tenants knows of its tenants, with the two models that its documentation shows."""

from __future__ import annotations

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Clinic(TenantMixin):
    name = models.CharField(max_length=100)
    # The stage makes the schemas, the same for every system.
    auto_create_schema = False


class Domain(DomainMixin):
    pass
