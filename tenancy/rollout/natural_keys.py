"""
How do content types and permissions come into a schema without anybody knowing their numbers?

Each schema numbers them for itself, so that what Django sends to one of them is wrong in the
next. These statements name them by application, model and codename, and leave what Django
would leave: what is missing is added, and nothing is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.management import RenameContentType
from psycopg import sql

RENAME = """
    UPDATE django_content_type
       SET model = {new}
     WHERE (app_label, model) = ({app}, {old})
       AND NOT EXISTS (
           SELECT FROM django_content_type WHERE (app_label, model) = ({app}, {new})
       )
"""
ADD_CONTENT_TYPES = """
    INSERT INTO django_content_type (app_label, model)
    SELECT app_label, model
      FROM unnest({apps}::text[], {models}::text[]) AS wanted (app_label, model)
     WHERE NOT EXISTS (
           SELECT
             FROM django_content_type AS known
            WHERE known.app_label = wanted.app_label
              AND known.model = wanted.model
     )
"""
ADD_PERMISSIONS = """
    INSERT INTO auth_permission (content_type_id, codename, name)
    SELECT content_type.id, wanted.codename, wanted.name
      FROM unnest({apps}::text[], {models}::text[], {codenames}::text[], {names}::text[])
           AS wanted (app_label, model, codename, name)
      JOIN django_content_type AS content_type USING (app_label, model)
     WHERE NOT EXISTS (
           SELECT
             FROM auth_permission AS known
            WHERE known.content_type_id = content_type.id
              AND known.codename = wanted.codename
     )
"""


def rename(operation: RenameContentType, *, backwards: bool) -> str:
    """Return what renames a content type with its model; one that has the name already stays."""
    old, new = operation.old_model, operation.new_model
    if backwards:
        old, new = new, old
    return _compose(RENAME, app=operation.app_label, old=old, new=new)


@dataclass(frozen=True)
class Rows:
    """The content types and permissions of a schema, in the order in which Django made them."""

    content_types: tuple[tuple[str, str], ...]
    permissions: tuple[tuple[str, str, str, str], ...]

    def without(self, others: Rows) -> Rows:
        return Rows(
            tuple(row for row in self.content_types if row not in others.content_types),
            tuple(row for row in self.permissions if row not in others.permissions),
        )

    def is_in(self, others: Rows) -> bool:
        return not any(self.without(others).__dict__.values())


def read(connection: Any) -> Rows:
    """Return those of the active schema."""
    of = ("content_type__app_label", "content_type__model", "codename", "name")
    return Rows(
        _list(connection, "contenttypes", "ContentType", ("app_label", "model")),
        _list(connection, "auth", "Permission", of),
    )


def add(rows: Rows) -> list[str]:
    """Return what adds to a schema those of `rows` that it lacks."""
    statements = []
    if rows.content_types:
        of_apps, of_models = map(list, zip(*rows.content_types, strict=True))
        statements.append(_compose(ADD_CONTENT_TYPES, apps=of_apps, models=of_models))
    if rows.permissions:
        of_apps, of_models, codenames, names = map(list, zip(*rows.permissions, strict=True))
        statements.append(
            _compose(
                ADD_PERMISSIONS, apps=of_apps, models=of_models, codenames=codenames, names=names
            )
        )
    return statements


def _list(connection: Any, app: str, name: str, columns: tuple[str, ...]) -> Any:
    if not apps.is_installed(f"django.contrib.{app}"):
        return ()
    model = apps.get_model(app, name)
    if model._meta.db_table not in connection.introspection.table_names():
        return ()
    rows = model._default_manager.using(connection.alias)
    return tuple(rows.order_by("pk").values_list(*columns))


def _compose(statement: str, **values: object) -> str:
    literals = {name: sql.Literal(value) for name, value in values.items()}
    return sql.SQL(statement).format(**literals).as_string(None)
