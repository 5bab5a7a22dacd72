"""Which of `apps.ui.wording` a template can use."""

from __future__ import annotations

from django import template

from apps.ui import wording

register = template.Library()

register.filter("initials", wording.initials)
register.filter("day", wording.day)
register.filter("moment", wording.moment)
