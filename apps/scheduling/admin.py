"""How a clinic admin keeps the list of practitioners."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.scheduling.models import Practitioner, PractitionerIdentifier
from apps.ui.admin import ModelAdmin, TabularInline
from apps.ui.sites import clinic_site


class IdentifierInline(TabularInline):
    model = PractitionerIdentifier
    verbose_name, verbose_name_plural = "identifier", "identifiers"
    extra = 0
    fields = ("use", "type_code", "type_display", "system", "value")


@admin.register(Practitioner, site=clinic_site)
class PractitionerAdmin(ModelAdmin):
    list_display = ("full_name", "gender", "active")
    list_filter = ("active",)
    search_fields = ("family", "given", "identifiers__value")
    readonly_fields = ("created_at", "updated_at")
    fields = (
        ("prefix", "given"),
        ("family", "suffix"),
        "gender",
        "qualifications",
        "active",
        ("created_at", "updated_at"),
    )
    formfield_overrides = {ArrayField: {"widget": UnfoldAdminTextInputWidget}}
    inlines = (IdentifierInline,)

    @admin.display(description="Name", ordering="family")
    def full_name(self, practitioner: Practitioner) -> str:
        return practitioner.full_name
