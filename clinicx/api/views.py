"""
The API's description, for programs and for people.

Both are open to strangers: they say what may be asked, and hold nothing of any clinic.
"""

from __future__ import annotations

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.views.decorators.cache import cache_control
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

schema = cache_control(max_age=300)(SpectacularAPIView.as_view())

# Swagger UI writes style attributes into the page. Of the policy only this gives way,
# and only on this page, which shows nothing of any clinic.
docs = csp_update({"style-src": [SELF, UNSAFE_INLINE]})(
    SpectacularSwaggerSplitView.as_view(url_name="api:schema")
)
