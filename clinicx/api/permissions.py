"""Who may do what through the API?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import DjangoModelPermissions

if TYPE_CHECKING:  # the views are importing this module
    from rest_framework.request import Request
    from rest_framework.views import APIView

_VIEW = ["%(app_label)s.view_%(model_name)s"]


class ModelPermissions(DjangoModelPermissions):
    """
    Whoever may see, add or change a model's rows elsewhere may do so here.

    REST framework's own class lets everybody read who is signed in.
    """

    perms_map = DjangoModelPermissions.perms_map | {"GET": _VIEW, "HEAD": _VIEW, "OPTIONS": _VIEW}

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.user.is_authenticated and request.method not in view.allowed_methods:
            return True  # the view says 405, whatever the role
        return super().has_permission(request, view)
