from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("wards", "0001_initial")]

    operations = [
        migrations.AddField("ward", "floor", models.IntegerField(null=True, db_index=True)),
    ]
