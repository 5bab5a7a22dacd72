"""The chart's first tables."""

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
        ('scheduling', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Encounter',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('planned', 'Planned'), ('arrived', 'Arrived'), ('triaged', 'Triaged'), ('in-progress', 'In progress'), ('onleave', 'On leave'), ('finished', 'Finished'), ('cancelled', 'Cancelled'), ('entered-in-error', 'Entered in error'), ('unknown', 'Unknown')], max_length=16)),
                ('class_code', models.CharField(choices=[('AMB', 'Ambulatory'), ('EMER', 'Emergency'), ('FLD', 'Field'), ('HH', 'Home health'), ('IMP', 'Inpatient'), ('ACUTE', 'Inpatient, acute'), ('NONAC', 'Inpatient, non-acute'), ('OBSENC', 'Observation'), ('PRENC', 'Pre-admission'), ('SS', 'Short stay'), ('VR', 'Virtual')], max_length=20, verbose_name='class')),
                ('type_system', models.CharField(blank=True, max_length=500)),
                ('type_code', models.CharField(blank=True, max_length=100)),
                ('type_display', models.CharField(blank=True, max_length=1000)),
                ('reason_system', models.CharField(blank=True, max_length=500)),
                ('reason_code', models.CharField(blank=True, max_length=100)),
                ('reason_display', models.CharField(blank=True, max_length=1000)),
                ('period_start', models.DateTimeField(blank=True, null=True)),
                ('period_end', models.DateTimeField(blank=True, null=True)),
                ('service_provider', models.CharField(blank=True, help_text='The name of the organization responsible.', max_length=500)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('patient', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='encounters', to='patients.patient')),
                ('practitioner', models.ForeignKey(blank=True, help_text='The first person named as taking part.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='encounters', to='scheduling.practitioner')),
            ],
            options={
                'ordering': [models.OrderBy(models.F('period_start'), descending=True, nulls_last=True), 'id'],
            },
        ),
        migrations.CreateModel(
            name='Condition',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('code_system', models.CharField(blank=True, max_length=500)),
                ('code', models.CharField(blank=True, max_length=100)),
                ('display', models.CharField(blank=True, help_text="The record's own words, else the code's.", max_length=1000)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('clinical_status', models.CharField(blank=True, choices=[('active', 'Active'), ('recurrence', 'Recurrence'), ('relapse', 'Relapse'), ('inactive', 'Inactive'), ('remission', 'Remission'), ('resolved', 'Resolved')], max_length=10)),
                ('verification_status', models.CharField(blank=True, choices=[('unconfirmed', 'Unconfirmed'), ('provisional', 'Provisional'), ('differential', 'Differential'), ('confirmed', 'Confirmed'), ('refuted', 'Refuted'), ('entered-in-error', 'Entered in error')], max_length=16)),
                ('category', models.CharField(blank=True, choices=[('problem-list-item', 'Problem list item'), ('encounter-diagnosis', 'Encounter diagnosis')], max_length=50)),
                ('onset_at', models.DateTimeField(blank=True, null=True)),
                ('abatement_at', models.DateTimeField(blank=True, null=True)),
                ('recorded_at', models.DateTimeField(blank=True, null=True)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='conditions', to='patients.patient')),
                ('encounter', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='conditions', to='chart.encounter')),
            ],
            options={
                'ordering': [models.OrderBy(models.F('onset_at'), descending=True, nulls_last=True), 'id'],
            },
        ),
        migrations.CreateModel(
            name='AllergyIntolerance',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('code_system', models.CharField(blank=True, max_length=500)),
                ('code', models.CharField(blank=True, max_length=100)),
                ('display', models.CharField(blank=True, help_text="The record's own words, else the code's.", max_length=1000)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('clinical_status', models.CharField(blank=True, choices=[('active', 'Active'), ('inactive', 'Inactive'), ('resolved', 'Resolved')], max_length=8)),
                ('verification_status', models.CharField(blank=True, choices=[('unconfirmed', 'Unconfirmed'), ('confirmed', 'Confirmed'), ('refuted', 'Refuted'), ('entered-in-error', 'Entered in error')], max_length=16)),
                ('type', models.CharField(blank=True, choices=[('allergy', 'Allergy'), ('intolerance', 'Intolerance')], max_length=11)),
                ('categories', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('food', 'Food'), ('medication', 'Medication'), ('environment', 'Environment'), ('biologic', 'Biologic')], max_length=11), blank=True, default=list, size=None)),
                ('criticality', models.CharField(blank=True, choices=[('low', 'Low'), ('high', 'High'), ('unable-to-assess', 'Unable to assess')], max_length=16)),
                ('onset_at', models.DateTimeField(blank=True, null=True)),
                ('recorded_at', models.DateTimeField(blank=True, null=True)),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='allergies', to='patients.patient')),
                ('encounter', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='allergies', to='chart.encounter')),
            ],
            options={
                'verbose_name_plural': 'allergies and intolerances',
                'ordering': [models.OrderBy(models.F('recorded_at'), descending=True, nulls_last=True), 'id'],
            },
        ),
        migrations.CreateModel(
            name='Immunization',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('code_system', models.CharField(blank=True, max_length=500)),
                ('code', models.CharField(blank=True, max_length=100)),
                ('display', models.CharField(blank=True, help_text="The record's own words, else the code's.", max_length=1000)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('status', models.CharField(choices=[('completed', 'Completed'), ('entered-in-error', 'Entered in error'), ('not-done', 'Not done')], max_length=16)),
                ('occurrence_at', models.DateTimeField(blank=True, null=True)),
                ('occurrence_text', models.CharField(blank=True, help_text="When there is no date, such as 'as a child'.", max_length=500)),
                ('primary_source', models.BooleanField(blank=True, null=True)),
                ('lot_number', models.CharField(blank=True, max_length=100)),
                ('encounter', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='immunizations', to='chart.encounter')),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='immunizations', to='patients.patient')),
            ],
            options={
                'ordering': [models.OrderBy(models.F('occurrence_at'), descending=True, nulls_last=True), 'id'],
            },
        ),
        migrations.CreateModel(
            name='MedicationRequest',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('code_system', models.CharField(blank=True, max_length=500)),
                ('code', models.CharField(blank=True, max_length=100)),
                ('display', models.CharField(blank=True, help_text="The record's own words, else the code's.", max_length=1000)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('status', models.CharField(choices=[('active', 'Active'), ('on-hold', 'On hold'), ('cancelled', 'Cancelled'), ('completed', 'Completed'), ('entered-in-error', 'Entered in error'), ('stopped', 'Stopped'), ('draft', 'Draft'), ('unknown', 'Unknown')], max_length=16)),
                ('intent', models.CharField(choices=[('proposal', 'Proposal'), ('plan', 'Plan'), ('order', 'Order'), ('original-order', 'Original order'), ('reflex-order', 'Reflex order'), ('filler-order', 'Filler order'), ('instance-order', 'Instance order'), ('option', 'Option')], max_length=14)),
                ('authored_at', models.DateTimeField(blank=True, null=True)),
                ('dosage_text', models.TextField(blank=True)),
                ('encounter', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='medications', to='chart.encounter')),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='medications', to='patients.patient')),
                ('requester', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='prescriptions', to='scheduling.practitioner')),
            ],
            options={
                'ordering': [models.OrderBy(models.F('authored_at'), descending=True, nulls_last=True), 'id'],
            },
        ),
        migrations.CreateModel(
            name='Observation',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('code_system', models.CharField(blank=True, max_length=500)),
                ('code', models.CharField(blank=True, max_length=100)),
                ('display', models.CharField(blank=True, help_text="The record's own words, else the code's.", max_length=1000)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('value_quantity', apps.patients.fields.ExactDecimalField(blank=True, null=True)),
                ('value_comparator', models.CharField(blank=True, choices=[('<', 'less than'), ('<=', 'at most'), ('>=', 'at least'), ('>', 'more than')], max_length=2)),
                ('value_unit', models.CharField(blank=True, help_text='As it is to be read.', max_length=100)),
                ('value_unit_code', models.CharField(blank=True, help_text='In UCUM.', max_length=100)),
                ('value_code_system', models.CharField(blank=True, max_length=500)),
                ('value_code', models.CharField(blank=True, max_length=100)),
                ('value_text', models.TextField(blank=True)),
                ('data_absent_reason', models.CharField(blank=True, max_length=100)),
                ('interpretation', models.CharField(blank=True, help_text='HL7 v3: LL, L, N, H, HH, A, AA ...', max_length=20)),
                ('status', models.CharField(choices=[('registered', 'Registered'), ('preliminary', 'Preliminary'), ('final', 'Final'), ('amended', 'Amended'), ('corrected', 'Corrected'), ('cancelled', 'Cancelled'), ('entered-in-error', 'Entered in error'), ('unknown', 'Unknown')], max_length=16)),
                ('category', models.CharField(blank=True, choices=[('social-history', 'Social history'), ('vital-signs', 'Vital signs'), ('imaging', 'Imaging'), ('laboratory', 'Laboratory'), ('procedure', 'Procedure'), ('survey', 'Survey'), ('exam', 'Exam'), ('therapy', 'Therapy'), ('activity', 'Activity')], help_text='The first one given.', max_length=50)),
                ('effective_at', models.DateTimeField(blank=True, help_text="When it was true of the patient; a period's start.", null=True)),
                ('issued_at', models.DateTimeField(blank=True, null=True)),
                ('encounter', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='observations', to='chart.encounter')),
                ('patient', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='observations', to='patients.patient')),
            ],
            options={
                'ordering': [models.OrderBy(models.F('effective_at'), descending=True, nulls_last=True), 'id'],
            },
        ),
        migrations.CreateModel(
            name='ObservationComponent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('value_quantity', apps.patients.fields.ExactDecimalField(blank=True, null=True)),
                ('value_comparator', models.CharField(blank=True, choices=[('<', 'less than'), ('<=', 'at most'), ('>=', 'at least'), ('>', 'more than')], max_length=2)),
                ('value_unit', models.CharField(blank=True, help_text='As it is to be read.', max_length=100)),
                ('value_unit_code', models.CharField(blank=True, help_text='In UCUM.', max_length=100)),
                ('value_code_system', models.CharField(blank=True, max_length=500)),
                ('value_code', models.CharField(blank=True, max_length=100)),
                ('value_text', models.TextField(blank=True)),
                ('data_absent_reason', models.CharField(blank=True, max_length=100)),
                ('interpretation', models.CharField(blank=True, help_text='HL7 v3: LL, L, N, H, HH, A, AA ...', max_length=20)),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('code_system', models.CharField(blank=True, max_length=500)),
                ('code', models.CharField(blank=True, max_length=100)),
                ('display', models.CharField(blank=True, max_length=1000)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('observation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='components', to='chart.observation')),
            ],
            options={
                'ordering': ['position', 'id'],
            },
        ),
        migrations.CreateModel(
            name='AllergyReaction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('substance', models.CharField(blank=True, max_length=1000)),
                ('manifestations', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=1000), blank=True, default=list, size=None)),
                ('description', models.TextField(blank=True)),
                ('onset_at', models.DateTimeField(blank=True, null=True)),
                ('severity', models.CharField(blank=True, choices=[('mild', 'Mild'), ('moderate', 'Moderate'), ('severe', 'Severe')], max_length=8)),
                ('extra', apps.patients.fields.ExactJSONField(blank=True, decoder=apps.patients.fields.ExactDecoder, default=dict, editable=False, encoder=apps.patients.fields.ExactEncoder, help_text='FHIR elements that have no column.')),
                ('allergy', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reactions', to='chart.allergyintolerance')),
            ],
            options={
                'ordering': ['position', 'id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('severity__in', ['mild', 'moderate', 'severe', ''])), name='allergy_reaction_severity')],
            },
        ),
        migrations.AddIndex(
            model_name='encounter',
            index=models.Index(fields=['patient', '-period_start'], name='encounter_of_patient'),
        ),
        migrations.AddConstraint(
            model_name='encounter',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['planned', 'arrived', 'triaged', 'in-progress', 'onleave', 'finished', 'cancelled', 'entered-in-error', 'unknown'])), name='encounter_status'),
        ),
        migrations.AddConstraint(
            model_name='condition',
            constraint=models.CheckConstraint(condition=models.Q(('clinical_status__in', ['active', 'recurrence', 'relapse', 'inactive', 'remission', 'resolved', ''])), name='condition_clinical_status'),
        ),
        migrations.AddConstraint(
            model_name='condition',
            constraint=models.CheckConstraint(condition=models.Q(('verification_status__in', ['unconfirmed', 'provisional', 'differential', 'confirmed', 'refuted', 'entered-in-error', ''])), name='condition_verification_status'),
        ),
        migrations.AddConstraint(
            model_name='allergyintolerance',
            constraint=models.CheckConstraint(condition=models.Q(('clinical_status__in', ['active', 'inactive', 'resolved', ''])), name='allergy_clinical_status'),
        ),
        migrations.AddConstraint(
            model_name='allergyintolerance',
            constraint=models.CheckConstraint(condition=models.Q(('verification_status__in', ['unconfirmed', 'confirmed', 'refuted', 'entered-in-error', ''])), name='allergy_verification_status'),
        ),
        migrations.AddConstraint(
            model_name='allergyintolerance',
            constraint=models.CheckConstraint(condition=models.Q(('type__in', ['allergy', 'intolerance', ''])), name='allergy_type'),
        ),
        migrations.AddConstraint(
            model_name='allergyintolerance',
            constraint=models.CheckConstraint(condition=models.Q(('criticality__in', ['low', 'high', 'unable-to-assess', ''])), name='allergy_criticality'),
        ),
        migrations.AddConstraint(
            model_name='allergyintolerance',
            constraint=models.CheckConstraint(condition=models.Q(('categories__contained_by', ['food', 'medication', 'environment', 'biologic'])), name='allergy_categories'),
        ),
        migrations.AddConstraint(
            model_name='immunization',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['completed', 'entered-in-error', 'not-done'])), name='immunization_status'),
        ),
        migrations.AddConstraint(
            model_name='medicationrequest',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['active', 'on-hold', 'cancelled', 'completed', 'entered-in-error', 'stopped', 'draft', 'unknown'])), name='medication_request_status'),
        ),
        migrations.AddConstraint(
            model_name='medicationrequest',
            constraint=models.CheckConstraint(condition=models.Q(('intent__in', ['proposal', 'plan', 'order', 'original-order', 'reflex-order', 'filler-order', 'instance-order', 'option'])), name='medication_request_intent'),
        ),
        migrations.AddIndex(
            model_name='observation',
            index=models.Index(fields=['patient', 'code', '-effective_at'], name='observation_by_code'),
        ),
        migrations.AddIndex(
            model_name='observation',
            index=models.Index(fields=['patient', 'category', '-effective_at'], name='observation_by_category'),
        ),
        migrations.AddConstraint(
            model_name='observation',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['registered', 'preliminary', 'final', 'amended', 'corrected', 'cancelled', 'entered-in-error', 'unknown'])), name='observation_status'),
        ),
        migrations.AddConstraint(
            model_name='observation',
            constraint=models.CheckConstraint(condition=models.Q(('value_comparator__in', ['<', '<=', '>=', '>', ''])), name='observation_value_comparator'),
        ),
        migrations.AddConstraint(
            model_name='observationcomponent',
            constraint=models.CheckConstraint(condition=models.Q(('value_comparator__in', ['<', '<=', '>=', '>', ''])), name='observation_component_value_comparator'),
        ),
    ]
