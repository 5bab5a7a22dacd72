"""
Which codes a patient's record may carry: FHIR R4's required value sets, verbatim.

The database refuses any other (see `one_of`), whoever writes.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Gender(models.TextChoices):
    MALE = "male", "Male"
    FEMALE = "female", "Female"
    OTHER = "other", "Other"
    UNKNOWN = "unknown", "Unknown"


class BirthDatePrecision(models.TextChoices):
    YEAR = "Y", "Year"
    MONTH = "YM", "Year and month"
    DAY = "YMD", "Full date"


class IdentifierUse(models.TextChoices):
    USUAL = "usual", "Usual"
    OFFICIAL = "official", "Official"
    TEMP = "temp", "Temporary"
    SECONDARY = "secondary", "Secondary"
    OLD = "old", "Old"


class NameUse(models.TextChoices):
    USUAL = "usual", "Usual"
    OFFICIAL = "official", "Official"
    TEMP = "temp", "Temporary"
    NICKNAME = "nickname", "Nickname"
    ANONYMOUS = "anonymous", "Anonymous"
    OLD = "old", "Old"
    MAIDEN = "maiden", "Maiden name"


class TelecomSystem(models.TextChoices):
    PHONE = "phone", "Phone"
    FAX = "fax", "Fax"
    EMAIL = "email", "E-mail"
    PAGER = "pager", "Pager"
    URL = "url", "Web address"
    SMS = "sms", "SMS"
    OTHER = "other", "Other"


class TelecomUse(models.TextChoices):
    HOME = "home", "Home"
    WORK = "work", "Work"
    TEMP = "temp", "Temporary"
    OLD = "old", "Old"
    MOBILE = "mobile", "Mobile"


class AddressUse(models.TextChoices):
    HOME = "home", "Home"
    WORK = "work", "Work"
    TEMP = "temp", "Temporary"
    OLD = "old", "Old"
    BILLING = "billing", "Billing"


class AddressType(models.TextChoices):
    POSTAL = "postal", "Postal"
    PHYSICAL = "physical", "Physical"
    BOTH = "both", "Postal and physical"


class IdentifierType(models.TextChoices):
    """
    Those of HL7 v2 table 0203 that the pages name.

    The binding is extensible: other codes are kept as they came and have no constraint.
    """

    MEDICAL_RECORD = "MR", "Medical record number"
    SOCIAL_SECURITY = "SS", "Social security number"
    DRIVERS_LICENCE = "DL", "Driver's licence"
    PASSPORT = "PPN", "Passport number"
    NATIONAL = "NI", "National identifier"


def one_of(
    field: str, codes: type[models.TextChoices], *, name: str, optional: bool = False
) -> models.CheckConstraint:
    """Return the constraint that `field` holds one of `codes`, or nothing if `optional`."""
    allowed = [*codes.values, ""] if optional else codes.values
    return models.CheckConstraint(condition=Q(**{f"{field}__in": allowed}), name=name)
