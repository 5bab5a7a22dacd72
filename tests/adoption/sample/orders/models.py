from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models


class Order(models.Model):
    title = models.CharField(max_length=100)
    taken_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)

    def __str__(self) -> str:
        return self.title
