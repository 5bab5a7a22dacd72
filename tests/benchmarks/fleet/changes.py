"""
What do the migrations that are measured change, how is that seen, and how is it undone?

The project has them in `wards`, a package of migrations for each.
"""

from __future__ import annotations

from dataclasses import dataclass

ROWS = 20
MIGRATION = "0002_change"

# What every schema has before a change.
FILL = f"""
    INSERT INTO wards_ward (name, label)
    SELECT 'Ward ' || number, '' FROM generate_series(1, {ROWS}) AS number
"""
IS_RECORDED = (
    "SELECT EXISTS (SELECT FROM django_migrations WHERE app = 'wards' AND name = {migration}) "
    "AND ({proof})"
)
RECORD = "INSERT INTO django_migrations (app, name, applied) VALUES ('wards', {migration}, now())"
UNRECORD = "DELETE FROM django_migrations WHERE app = 'wards' AND name = {migration}"

# What Django does after a migration that brings a model: the same rows, in two statements.
ADD_PERMISSIONS = """
    INSERT INTO django_content_type (app_label, model) VALUES ('wards', 'bed');
    INSERT INTO auth_permission (name, codename, content_type_id)
    SELECT 'Can ' || action || ' bed', action || '_bed', django_content_type.id
      FROM django_content_type,
           (VALUES ('add'), ('change'), ('delete'), ('view')) AS possible (action)
     WHERE app_label = 'wards' AND model = 'bed'
"""
REMOVE_PERMISSIONS = """
    DELETE FROM auth_permission
     USING django_content_type AS type
     WHERE type.id = content_type_id AND app_label = 'wards' AND model = 'bed';
    DELETE FROM django_content_type WHERE app_label = 'wards' AND model = 'bed'
"""
# Stock django-tenants gives every schema those of its own tenants' models, too.
REMOVE_STOCKS_OWN = """
    DELETE FROM auth_permission
     USING django_content_type AS type
     WHERE type.id = content_type_id AND app_label = 'clinics';
    DELETE FROM django_content_type WHERE app_label = 'clinics'
"""


@dataclass(frozen=True)
class Change:
    """`proof` is true in a schema that has it; `also` is what raw SQL does beside Django's DDL."""

    name: str
    proof: str
    undo: str
    also: str = ""
    is_ddl: bool = True


NOTHING = Change("nothing", proof="true", undo="")
ADD_COLUMN = Change(
    "add_column",
    proof="""EXISTS (
        SELECT FROM pg_catalog.pg_index
          JOIN pg_catalog.pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
         WHERE indrelid = 'wards_ward'::regclass AND attname = 'floor' AND indisvalid)""",
    undo="ALTER TABLE wards_ward DROP COLUMN floor",
)
CREATE_MODEL = Change(
    "create_model",
    proof="to_regclass('wards_bed_patients') IS NOT NULL AND 4 = ("
    "SELECT count(*) FROM auth_permission WHERE codename LIKE '%\\_bed')",
    undo=f"DROP TABLE wards_bed_patients; DROP TABLE wards_bed; {REMOVE_PERMISSIONS}",
    also=ADD_PERMISSIONS,
)
DATA = Change(
    "data",
    proof="NOT EXISTS (SELECT FROM wards_ward WHERE label <> upper(name))",
    undo="UPDATE wards_ward SET label = ''",
    also="UPDATE wards_ward SET label = upper(name)",
    is_ddl=False,
)
CHANGES = {change.name: change for change in (ADD_COLUMN, CREATE_MODEL, DATA)}
