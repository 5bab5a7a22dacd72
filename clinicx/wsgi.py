"""The WSGI application that gunicorn serves."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinicx.settings.production")

application = get_wsgi_application()

# After Django is set up. A page's task.delay() goes to the application that was made last, and
# without one to a broker that is nobody's. It takes 12 MB, once for all workers of a pod.
import clinicx.celery  # noqa: E402, F401  # as above
