"""What can a page say of the request that it answers?"""

from __future__ import annotations

from django import template

from tenancy import logs

register = template.Library()


@register.simple_tag
def request_id() -> str:
    """Return the id that every line of the log about this request has."""
    return logs.get_request_id()
