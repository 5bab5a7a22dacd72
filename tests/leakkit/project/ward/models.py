"""Notes, the beds that they are about, and the mistakes that can be made with them."""

from __future__ import annotations

from typing import Any

from board.models import Entry
from django.conf import settings
from django.db import connections, models
from django.db.models.signals import post_save
from django.dispatch import receiver
from django_tenants.signals import post_schema_sync

from tenancy import context


class Bed(models.Model):
    code = models.CharField(max_length=20)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(code__startswith="BED-"), name="ward_bed_code"
            )
        ]


class EverywhereManager(models.Manager[Any]):
    """The mistake: the owner's address, and whichever schema comes first."""

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        if "manager" not in settings.PLANTED:
            return rows
        with connections["ddl"].cursor() as cursor:
            cursor.execute("SELECT text FROM tenant_elm.ward_note ORDER BY id LIMIT 1")
            found = cursor.fetchone()
        return rows.annotate(first=models.Value(found[0] if found else ""))


class Note(models.Model):
    bed = models.ForeignKey(Bed, on_delete=models.CASCADE)
    text = models.TextField()
    paper = models.FileField(blank=True)
    readers = models.ManyToManyField(settings.AUTH_USER_MODEL)

    objects = models.Manager()
    everywhere = EverywhereManager()


class HiddenManager(models.Manager[Any]):
    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Locker(models.Model):
    """What nobody is shown, by the manager that everybody uses."""

    owner = models.CharField(max_length=50)

    objects = HiddenManager()


@receiver(post_save, sender=Note)
def put_on_the_board(instance: Note, **kwargs: Any) -> None:
    """Say on the board of the whole house that there is a note; the mistake: and what it says."""
    if not isinstance(context.get_current(), context.ActiveTenant):
        return
    text = instance.text if "board" in settings.PLANTED else "There is a note."
    with context.override(context.PLATFORM, in_transaction=True):
        Entry.put(text)


@receiver(post_schema_sync)
def make_view(tenant: Any, **kwargs: Any) -> None:
    """The mistake: what one tenant gets reads what is another's."""
    if "view" not in settings.PLANTED or tenant.schema_name != "tenant_oak":
        return
    with connections["ddl"].cursor() as cursor:
        cursor.execute("CREATE VIEW all_notes AS SELECT text FROM tenant_elm.ward_note")
