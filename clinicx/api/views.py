"""
The API's description, for programs and for people.

Both are open to strangers: they say what may be asked, and hold nothing of any clinic.
"""

from __future__ import annotations

from django.views.decorators.cache import cache_control
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

schema = cache_control(max_age=300)(SpectacularAPIView.as_view())
docs = SpectacularSwaggerSplitView.as_view(url_name="api:schema", template_name="ui/api_docs.html")
