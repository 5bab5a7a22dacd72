from __future__ import annotations

from django.conf import settings
from django.db import migrations, models

# The mistake: what the group of all tenants may, each may at every other.
GRANT = 'GRANT SELECT ON ward_note TO "{}_tenants"'
VIEW = "CREATE VIEW {}.all_notes AS SELECT text FROM tenant_elm.ward_note"


def make_mistakes(registry, schema_editor):
    name = schema_editor.connection.settings_dict["NAME"]
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        ((schema,),) = cursor.fetchall()
        if "grant" in settings.PLANTED:
            cursor.execute(GRANT.format(name))
        if "view" in settings.PLANTED and schema == "tenant_oak":
            cursor.execute(VIEW.format(schema))


class Migration(migrations.Migration):
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            "Bed",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("code", models.CharField(max_length=20)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(code__startswith="BED-"), name="ward_bed_code"
                    )
                ]
            },
        ),
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("bed", models.ForeignKey("ward.Bed", models.CASCADE)),
                ("text", models.TextField()),
                ("paper", models.FileField(blank=True)),
                ("readers", models.ManyToManyField(settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            "Locker",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("owner", models.CharField(max_length=50)),
            ],
        ),
        migrations.RunPython(make_mistakes, migrations.RunPython.noop),
    ]
