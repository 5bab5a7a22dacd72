"""`manage.py migrate` means migrate_schemas: a plain migrate knows no schema."""

from __future__ import annotations

from tenancy.management.commands.migrate_schemas import Command

__all__ = ["Command"]
