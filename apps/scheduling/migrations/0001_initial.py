"""Practitioners."""

from __future__ import annotations

import apps.patients.fields
import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Practitioner',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('active', models.BooleanField(default=True)),
                ('family', models.CharField(blank=True, max_length=200)),
                ('given', models.CharField(blank=True, max_length=200)),
                ('prefix', models.CharField(blank=True, max_length=100)),
                ('suffix', models.CharField(blank=True, max_length=100)),
                ('gender', models.CharField(blank=True, choices=[('male', 'Male'), ('female', 'Female'), ('other', 'Other'), ('unknown', 'Unknown')], max_length=7)),
                ('qualifications', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['family', 'given', 'id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('gender__in', ['male', 'female', 'other', 'unknown', ''])), name='practitioner_gender')],
            },
        ),
        migrations.CreateModel(
            name='PractitionerIdentifier',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('use', models.CharField(blank=True, choices=[('usual', 'Usual'), ('official', 'Official'), ('temp', 'Temporary'), ('secondary', 'Secondary'), ('old', 'Old')], max_length=9)),
                ('type_code', models.CharField(blank=True, max_length=20)),
                ('type_display', models.CharField(blank=True, max_length=200)),
                ('system', models.CharField(blank=True, max_length=500)),
                ('value', models.CharField(max_length=500)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('practitioner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='identifiers', to='scheduling.practitioner')),
            ],
            options={
                'ordering': ['position', 'id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('use__in', ['usual', 'official', 'temp', 'secondary', 'old', ''])), name='practitioner_identifier_use')],
            },
        ),
    ]
