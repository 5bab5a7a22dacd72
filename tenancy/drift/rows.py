"""
What brings back a content type or a permission, which migrations make beside tables?
"""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth import get_permission_codename

from tenancy.catalogue import Item
from tenancy.catalogue.statements import literal, quoted

KINDS = ("content type", "permission")

EXTRA = "Of a model that is gone, or made by hand. See: manage.py remove_stale_contenttypes"

CONTENT_TYPE = "INSERT INTO {table} (app_label, model) VALUES ({app}, {model})"
PERMISSION = (
    "INSERT INTO {table} (name, content_type_id, codename) "
    "SELECT {name}, id, {codename} FROM {content_types} "
    "WHERE app_label = {app} AND model = {model}"
)


def creating(item: Item) -> list[str]:
    """Return the statement that writes the row."""
    app, model, *codename = item.name.split(".", 2)
    content_types = quoted(apps.get_model("contenttypes", "ContentType")._meta.db_table)
    of_model = {"app": literal(app), "model": literal(model)}
    if item.kind == "content type":
        return [CONTENT_TYPE.format(table=content_types, **of_model)]
    return [
        PERMISSION.format(
            table=quoted(apps.get_model("auth", "Permission")._meta.db_table),
            content_types=content_types,
            codename=literal(codename[0]),
            name=literal(_name_of(app, model, codename[0])),
            **of_model,
        )
    ]


def _name_of(app: str, model: str, codename: str) -> str:
    """Return what Django calls a permission of the code's models."""
    try:
        options = apps.get_model(app, model)._meta
    except LookupError:
        return codename
    for action in options.default_permissions:
        if get_permission_codename(action, options) == codename:
            return f"Can {action} {options.verbose_name_raw}"
    return str(dict(options.permissions).get(codename, codename))
