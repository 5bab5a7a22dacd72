"""The migration that every schema has before a change."""

from __future__ import annotations

from django.db import migrations, models


class Initial(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="Ward",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("label", models.CharField(blank=True, max_length=100)),
            ],
        ),
    ]
