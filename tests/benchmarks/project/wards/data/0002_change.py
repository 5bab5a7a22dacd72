from __future__ import annotations

from typing import Any

from django.db import migrations


def label(apps: Any, schema_editor: Any) -> None:
    wards = apps.get_model("wards", "Ward")
    for ward in wards.objects.using(schema_editor.connection.alias):
        ward.label = ward.name.upper()
        ward.save(update_fields=["label"])


class Migration(migrations.Migration):
    dependencies = [("wards", "0001_initial")]

    operations = [migrations.RunPython(label, migrations.RunPython.noop)]
