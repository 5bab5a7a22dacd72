from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("wards", "0001_initial"), ("patients", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Bed",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("number", models.IntegerField()),
                ("ward", models.ForeignKey("wards.ward", on_delete=models.CASCADE)),
                ("patients", models.ManyToManyField("patients.patient")),
            ],
        ),
    ]
