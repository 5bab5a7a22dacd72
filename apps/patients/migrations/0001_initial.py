"""The registry's first tables, and the sequence that numbers patients."""

from __future__ import annotations

import apps.patients.fields
import apps.patients.mrn
import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        # Names no schema: the sequence belongs to the clinic that is being migrated.
        migrations.RunSQL(
            sql="CREATE SEQUENCE patients_mrn_seq AS bigint",
            reverse_sql="DROP SEQUENCE patients_mrn_seq",
            hints={"model_name": "patient"},
        ),
        migrations.CreateModel(
            name='Patient',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('mrn', apps.patients.mrn.MrnField(editable=False, max_length=20, unique=True, verbose_name='MRN')),
                ('active', models.BooleanField(default=True)),
                ('family', models.CharField(blank=True, max_length=200)),
                ('given', models.CharField(blank=True, max_length=200)),
                ('gender', models.CharField(blank=True, choices=[('male', 'Male'), ('female', 'Female'), ('other', 'Other'), ('unknown', 'Unknown')], max_length=7)),
                ('birth_date', models.DateField(blank=True, help_text='The first day of the month or year if only that is known.', null=True)),
                ('birth_date_precision', models.CharField(blank=True, choices=[('Y', 'Year'), ('YM', 'Year and month'), ('YMD', 'Full date')], default='', max_length=3)),
                ('deceased', models.BooleanField(default=False)),
                ('deceased_at', models.DateTimeField(blank=True, null=True)),
                ('marital_status', models.CharField(blank=True, max_length=20)),
                ('marital_status_display', models.CharField(blank=True, max_length=200)),
                ('sort_name', models.CharField(blank=True, editable=False, max_length=400)),
                ('search_text', models.TextField(blank=True, editable=False)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['sort_name', 'id'],
                'indexes': [models.Index(fields=['sort_name', 'id'], name='patient_by_name'), models.Index(fields=['birth_date'], name='patient_by_birth_date')],
                'constraints': [models.CheckConstraint(condition=models.Q(('gender__in', ['male', 'female', 'other', 'unknown', ''])), name='patient_gender'), models.CheckConstraint(condition=models.Q(models.Q(('birth_date__isnull', True), ('birth_date_precision', '')), models.Q(('birth_date__isnull', False), ('birth_date_precision__in', ['Y', 'YM', 'YMD'])), _connector='OR'), name='patient_birth_date_precision'), models.CheckConstraint(condition=models.Q(('deceased', True), ('deceased_at__isnull', True), _connector='OR'), name='patient_deceased_at_means_deceased')],
            },
        ),
        migrations.CreateModel(
            name='PatientCommunication',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('language', models.CharField(blank=True, help_text='BCP 47, for example pt-PT.', max_length=35)),
                ('language_display', models.CharField(blank=True, max_length=200)),
                ('preferred', models.BooleanField(default=False)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='communications', to='patients.patient')),
            ],
            options={
                'ordering': ['position', 'id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='PatientAddress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('use', models.CharField(blank=True, choices=[('home', 'Home'), ('work', 'Work'), ('temp', 'Temporary'), ('old', 'Old'), ('billing', 'Billing')], max_length=7)),
                ('type', models.CharField(blank=True, choices=[('postal', 'Postal'), ('physical', 'Physical'), ('both', 'Postal and physical')], max_length=8)),
                ('text', models.CharField(blank=True, max_length=500)),
                ('line', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None)),
                ('city', models.CharField(blank=True, max_length=200)),
                ('district', models.CharField(blank=True, max_length=200)),
                ('state', models.CharField(blank=True, max_length=200)),
                ('postal_code', models.CharField(blank=True, max_length=50)),
                ('country', models.CharField(blank=True, max_length=100)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='addresses', to='patients.patient')),
            ],
            options={
                'verbose_name_plural': 'patient addresses',
                'ordering': ['position', 'id'],
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('use__in', ['home', 'work', 'temp', 'old', 'billing', ''])), name='patient_address_use'), models.CheckConstraint(condition=models.Q(('type__in', ['postal', 'physical', 'both', ''])), name='patient_address_type')],
            },
        ),
        migrations.CreateModel(
            name='PatientContact',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('relationship', models.CharField(blank=True, help_text='HL7 v2 table 0131 or v3 RoleCode.', max_length=20)),
                ('relationship_display', models.CharField(blank=True, max_length=200)),
                ('family', models.CharField(blank=True, max_length=200)),
                ('given', models.CharField(blank=True, max_length=200)),
                ('gender', models.CharField(blank=True, choices=[('male', 'Male'), ('female', 'Female'), ('other', 'Other'), ('unknown', 'Unknown')], max_length=7)),
                ('phone', models.CharField(blank=True, max_length=500)),
                ('email', models.CharField(blank=True, max_length=500)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='contacts', to='patients.patient')),
            ],
            options={
                'ordering': ['position', 'id'],
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('gender__in', ['male', 'female', 'other', 'unknown', ''])), name='patient_contact_gender')],
            },
        ),
        migrations.CreateModel(
            name='PatientIdentifier',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('use', models.CharField(blank=True, choices=[('usual', 'Usual'), ('official', 'Official'), ('temp', 'Temporary'), ('secondary', 'Secondary'), ('old', 'Old')], max_length=9)),
                ('type_code', models.CharField(blank=True, help_text='HL7 v2 table 0203, for example MR, SS, DL or PPN.', max_length=20)),
                ('type_display', models.CharField(blank=True, max_length=200)),
                ('system', models.CharField(blank=True, max_length=500)),
                ('value', models.CharField(max_length=500)),
                ('search_value', models.CharField(blank=True, editable=False, max_length=500)),
                ('period_start', models.DateTimeField(blank=True, null=True)),
                ('period_end', models.DateTimeField(blank=True, null=True)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='identifiers', to='patients.patient')),
            ],
            options={
                'ordering': ['position', 'id'],
                'abstract': False,
                'indexes': [models.Index(fields=['search_value'], name='patient_identifier_search', opclasses=['varchar_pattern_ops'])],
                'constraints': [models.CheckConstraint(condition=models.Q(('use__in', ['usual', 'official', 'temp', 'secondary', 'old', ''])), name='patient_identifier_use')],
            },
        ),
        migrations.CreateModel(
            name='PatientName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('use', models.CharField(blank=True, choices=[('usual', 'Usual'), ('official', 'Official'), ('temp', 'Temporary'), ('nickname', 'Nickname'), ('anonymous', 'Anonymous'), ('old', 'Old'), ('maiden', 'Maiden name')], max_length=9)),
                ('text', models.CharField(blank=True, max_length=500)),
                ('family', models.CharField(blank=True, max_length=200)),
                ('given', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None)),
                ('prefix', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, size=None)),
                ('suffix', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, size=None)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='names', to='patients.patient')),
            ],
            options={
                'ordering': ['position', 'id'],
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('use__in', ['usual', 'official', 'temp', 'nickname', 'anonymous', 'old', 'maiden', ''])), name='patient_name_use')],
            },
        ),
        migrations.CreateModel(
            name='PatientTelecom',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('system', models.CharField(blank=True, choices=[('phone', 'Phone'), ('fax', 'Fax'), ('email', 'E-mail'), ('pager', 'Pager'), ('url', 'Web address'), ('sms', 'SMS'), ('other', 'Other')], max_length=5)),
                ('use', models.CharField(blank=True, choices=[('home', 'Home'), ('work', 'Work'), ('temp', 'Temporary'), ('old', 'Old'), ('mobile', 'Mobile')], max_length=6)),
                ('value', models.CharField(max_length=500)),
                ('rank', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('reversed_digits', models.CharField(blank=True, editable=False, help_text="The number's digits, last first: people give the end of their number.", max_length=50)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='telecoms', to='patients.patient')),
            ],
            options={
                'ordering': ['position', 'id'],
                'abstract': False,
                'indexes': [models.Index(fields=['reversed_digits'], name='patient_telecom_tail', opclasses=['varchar_pattern_ops'])],
                'constraints': [models.CheckConstraint(condition=models.Q(('system__in', ['phone', 'fax', 'email', 'pager', 'url', 'sms', 'other', ''])), name='patient_telecom_system'), models.CheckConstraint(condition=models.Q(('use__in', ['home', 'work', 'temp', 'old', 'mobile', ''])), name='patient_telecom_use')],
            },
        ),
    ]
