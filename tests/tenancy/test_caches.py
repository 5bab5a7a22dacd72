"""What a process remembers stays with its tenant."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

from apps.accounts.models import User
from tenancy import context
from tenancy.models import Organization


class TestContentTypes:
    def renumber(self, organization: Organization, *, by: int) -> None:
        with context.override(organization.as_active()):
            user = ContentType.objects.get(app_label="accounts", model="user")
            with transaction.atomic():
                Permission.objects.filter(content_type=user).update(content_type=user.pk + by)
                ContentType.objects.filter(pk=user.pk).update(id=user.pk + by)
            ContentType.objects.clear_cache()

    def test_are_remembered_for_each_schema(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        """Oak numbers its content types otherwise; neither is answered with the other's."""
        self.renumber(oak, by=1_000_000)
        try:
            with context.override(elm.as_active()):
                of_elm = ContentType.objects.get_for_model(User)
            with context.override(oak.as_active()):
                of_oak = ContentType.objects.get_for_model(User)
                assert of_oak.pk > 1_000_000 > of_elm.pk
                assert ContentType.objects.get_for_id(of_oak.pk) == of_oak
            with context.override(elm.as_active()):
                assert ContentType.objects.get_for_model(User).pk == of_elm.pk
        finally:
            self.renumber(oak, by=-1_000_000)
