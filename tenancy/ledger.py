"""
Which migrations of the fleet were run, and what became of each schema?
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class RunState(models.TextChoices):
    """How far a run is. One whose process is gone is INTERRUPTED as soon as somebody looks."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class EntryState(models.TextChoices):
    """How far one schema is in a run; PENDING is what a run that is resumed goes on with."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class How(models.TextChoices):
    """In which way a schema was migrated."""

    REPLAY = "replay", "the reference's SQL, replayed"
    EXECUTOR = "executor", "Django's operations"
    MIGRATE = "migrate", "Django's command"


class MigrationRun(models.Model):
    """One `migrate_schemas` that had something to do."""

    objects: ClassVar[models.Manager[MigrationRun]]

    command = models.TextField(help_text="What was typed.")
    state = models.CharField(max_length=20, choices=RunState, default=RunState.RUNNING)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    actor = models.CharField(max_length=200, help_text="Who typed it: account@host.")
    pid = models.PositiveIntegerField()
    options = models.JSONField(default=dict, help_text="What a run that is resumed goes on with.")

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"Run {self.pk}"


class MigrationRunEntry(models.Model):
    """What a run did to one schema; no row of a tenant's data is in it."""

    objects: ClassVar[models.Manager[MigrationRunEntry]]

    run = models.ForeignKey(MigrationRun, models.CASCADE, related_name="entries")
    schema_name = models.CharField(max_length=63)
    wave = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=20, choices=EntryState, default=EntryState.PENDING)
    how = models.CharField(max_length=20, choices=How, blank=True)
    migrations = models.JSONField(default=list, help_text="Those that were to be run.")
    attempts = models.PositiveSmallIntegerField(default=0)
    milliseconds = models.PositiveIntegerField(null=True)
    finished_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["wave", "schema_name"]
        verbose_name_plural = "migration run entries"
        constraints = [
            models.UniqueConstraint(fields=["run", "schema_name"], name="tenancy_entry_schema")
        ]

    def __str__(self) -> str:
        return f"{self.schema_name} in {self.run}"
