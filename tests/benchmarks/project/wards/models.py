"""What is there before a change; each package beside this one brings another."""

from __future__ import annotations

from django.db import models


class Ward(models.Model):
    name = models.CharField(max_length=100)
    label = models.CharField(max_length=100, blank=True)
