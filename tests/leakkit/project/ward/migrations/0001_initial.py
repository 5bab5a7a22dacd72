from __future__ import annotations

from django.conf import settings
from django.db import migrations, models

# The mistake: what the group of all tenants may, each may at every other.
GRANT = 'GRANT SELECT ON ward_note TO "{}_tenants"'


def make_mistakes(registry, schema_editor):
    name = schema_editor.connection.settings_dict["NAME"]
    if "grant" in settings.PLANTED:
        schema_editor.execute(GRANT.format(name))


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
