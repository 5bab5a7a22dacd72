"""
What other apps add to the patient page, without this app knowing who they are.

An app above this one calls `add_contributor` when Django starts. Each contributor
looks at what the viewer may see, and answers with sections that are ready to render.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from apps.accounts.models import User
from apps.patients.models import Patient


@dataclass(frozen=True, kw_only=True)
class Section:
    """A fragment of the page: a template, and the `section` that it renders."""

    template: str
    content: object


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """Sections by their place: in the banner, in the wide column, in the narrow one."""

    banner: tuple[Section, ...] = ()
    main: tuple[Section, ...] = ()
    aside: tuple[Section, ...] = ()
    stylesheets: tuple[str, ...] = ()

    def __add__(self, other: Contribution) -> Contribution:
        return Contribution(
            banner=self.banner + other.banner,
            main=self.main + other.main,
            aside=self.aside + other.aside,
            stylesheets=self.stylesheets + other.stylesheets,
        )


Contributor: TypeAlias = Callable[[Patient, User, datetime], Contribution]

_contributors: list[Contributor] = []


def add_contributor(contributor: Contributor) -> None:
    """Ask `contributor` for sections whenever a patient page is made; for `AppConfig.ready`."""
    # Django calls ready() again when its applications are set anew.
    if contributor not in _contributors:
        _contributors.append(contributor)


def collect(patient: Patient, *, viewer: User, at: datetime) -> Contribution:
    """Return what all contributors have to show of `patient` to `viewer`."""
    return sum(
        (contributor(patient, viewer, at) for contributor in _contributors), start=Contribution()
    )
