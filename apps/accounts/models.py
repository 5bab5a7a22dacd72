"""
Who signs in? One table in the public schema for operators, one in each clinic's for its staff.
"""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """An operator on the base domain, or a member of a clinic's staff on the clinic's host."""

    class Meta(AbstractUser.Meta):
        ordering = ["username"]

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username
