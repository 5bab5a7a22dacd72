"""The pages about patients: the list with its search, and the page of one."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.middleware import HtmxDetails

from apps.accounts.models import User
from apps.patients import page, queries
from apps.patients.search import search

ROWS_A_PAGE = 25


class StaffRequest(HttpRequest):
    """A request of somebody who is signed in, after HtmxMiddleware."""

    user: User
    htmx: HtmxDetails


@require_safe
@login_required
@permission_required("patients.view_patient", raise_exception=True)
@never_cache
@vary_on_headers("HX-Request")
def patient_list(request: StaffRequest) -> HttpResponse:
    text = request.GET.get("q", "").replace("\x00", "").strip()
    found = Paginator(search(queries.in_list(), text), ROWS_A_PAGE)
    shown = found.get_page(request.GET.get("page"))
    content = {
        "text": text,
        "page": shown,
        "rows": queries.list_rows(shown, today=timezone.localdate()),
        "query": urlencode({"q": text}) if text else "",
    }
    only_results = request.htmx and not request.htmx.history_restore_request
    return render(request, f"patients/{'_results' if only_results else 'list'}.html", content)


@require_safe
@login_required
@permission_required("patients.view_patient", raise_exception=True)
@never_cache
def patient_page(request: StaffRequest, pk: UUID) -> HttpResponse:
    patient = get_object_or_404(queries.with_details(), pk=pk)
    now = timezone.now()
    content = {
        "banner": queries.get_banner(patient, today=timezone.localdate(now)),
        "details": queries.get_details(patient),
        "sections": page.collect(patient, viewer=request.user, at=now),
        "now": now,
    }
    return render(request, "patients/detail.html", content)
