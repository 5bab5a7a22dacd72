"""What was imported, and under which names."""

from __future__ import annotations

import apps.patients.fields
import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('patients', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ImportedResource',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('resource_type', models.CharField(max_length=64)),
                ('digests', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ('imported_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='RawResource',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('resource_type', models.CharField(max_length=64)),
                ('content', apps.patients.fields.ExactJSONField(decoder=apps.patients.fields.ExactDecoder, encoder=apps.patients.fields.ExactEncoder, help_text='As imported, but each reference names the row of this clinic it resolved to.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('patient', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='raw_resources', to='patients.patient')),
            ],
            options={
                'ordering': ['resource_type', 'id'],
                'indexes': [models.Index(fields=['patient', 'resource_type'], name='raw_resource_of_patient'), models.Index(fields=['resource_type'], name='raw_resource_by_type')],
            },
        ),
        migrations.CreateModel(
            name='SourceName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=600)),
                ('resource', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='names', to='fhir.importedresource')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'resource'), name='source_name_once')],
            },
        ),
    ]
