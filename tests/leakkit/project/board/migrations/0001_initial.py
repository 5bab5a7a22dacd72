from __future__ import annotations

from django.conf import settings
from django.db import migrations, models

# The mistake: the owner of all schemas answers, in the path of whoever asks.
FUNCTION = """
    CREATE FUNCTION public.anybodys_note() RETURNS text
    LANGUAGE sql SECURITY DEFINER
    AS 'SELECT current_schema()::text'
"""


class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel(
            "Entry",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("text", models.TextField()),
            ],
        ),
        *([migrations.RunSQL(FUNCTION)] if "function" in settings.PLANTED else []),
    ]
