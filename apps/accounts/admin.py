"""
Who may manage the people that sign in, and how far?

A clinic admin gives colleagues a password and roles, and nothing beyond: neither single
permissions nor the powers of a superuser can be given or taken away at a clinic.
Operators are managed by those of them who are superusers.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import ManyToManyField, QuerySet
from django.http import HttpRequest
from django.utils.safestring import mark_safe
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.accounts import roles
from apps.accounts.models import User
from apps.ui.admin import ModelAdmin
from apps.ui.sites import clinic_site, platform_site

_CLINIC_ADMIN = "clinic_admin"
_PASSWORDS = ("password1", "password2")
_PERSON = ("first_name", "last_name", "email")


class RolesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic in stubs only
    def label_from_instance(self, obj: Group) -> str:
        return roles.LABELS[obj.name]


class ChangeForm(UserChangeForm):  # type: ignore[misc]  # untyped
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "password" in self.fields:
            # Unfold's own link shows by its colour alone that it is one.
            self.fields["password"].help_text = mark_safe(
                'Nobody can read a password. <a href="../password/" class="underline">'
                "Set a new one</a>."
            )


class StaffChangeForm(ChangeForm):
    editor: User

    def clean(self) -> dict[str, Any] | None:
        cleaned: dict[str, Any] | None = super().clean()
        if self.instance == self.editor and not self._keeps_the_admin(self.cleaned_data):
            raise forms.ValidationError(
                "You cannot close your own account or give up the role Clinic admin: "
                "the clinic could be left without one. Ask another clinic admin."
            )
        return cleaned

    def _keeps_the_admin(self, cleaned: dict[str, Any]) -> bool:
        chosen = cleaned.get("groups") or ()
        return cleaned.get("is_active", True) and any(
            group.name == _CLINIC_ADMIN for group in chosen
        )


class UsersAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # untyped
    """What the two kinds of user have in common."""

    form = ChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    search_fields = ("username", *_PERSON)
    ordering = ("username",)
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: whoever leaves becomes inactive, and what they did stays theirs."""
        return False


@admin.register(User, site=clinic_site)
class StaffAdmin(UsersAdmin):
    form = StaffChangeForm
    list_display = ("username", "display_name", "roles", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": _PERSON}),
        ("Access", {"fields": ("is_active", "groups", "last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", *_PASSWORDS)}),
        ("Person", {"fields": _PERSON}),
        ("Access", {"fields": ("groups",)}),
    )

    @admin.display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(roles.LABELS.get(group.name, group.name) for group in user.groups.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        staff: QuerySet[User] = super().get_queryset(request)
        return staff.prefetch_related("groups")

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.editor = request.user  # the class was made for this request alone
        return form

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A superuser's password is a way to become one."""
        if obj is not None and obj.is_superuser and not _is_superuser(request):
            return False
        allowed: bool = super().has_change_permission(request, obj)
        return allowed

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "groups":
            kwargs |= {
                "form_class": RolesField,
                "queryset": Group.objects.filter(name__in=roles.ROLES).order_by("name"),
                "widget": UnfoldAdminCheckboxSelectMultipleWidget,
                "label": "Roles",
                "help_text": "What the person may do here. Clinic admins may also enter this site.",
            }
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        user: User = form.instance
        user.is_staff = user.is_superuser or user.groups.filter(name=_CLINIC_ADMIN).exists()
        user.save(update_fields=["is_staff"])


@admin.register(User, site=platform_site)
class OperatorAdmin(UsersAdmin):
    list_display = ("username", "display_name", "is_superuser", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": _PERSON}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", *_PASSWORDS)}),
        ("Person", {"fields": _PERSON}),
        ("Access", {"fields": ("is_staff", "is_superuser")}),
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser
