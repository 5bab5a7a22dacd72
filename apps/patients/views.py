"""The pages about patients: the list with its search, and the page of one."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import replace_url
from django_htmx.middleware import HtmxDetails

from apps.accounts.models import User
from apps.patients import page, queries, searches
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
def patient_list(request: StaffRequest) -> HttpResponse:
    token = request.GET.get("search", "")
    return render(request, "patients/list.html", _results(request, token=token))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("patients.view_patient", raise_exception=True)
@never_cache
@vary_on_headers("HX-Request")
def patient_search(request: StaffRequest) -> HttpResponse:
    """
    Lead to the list with what was typed, or answer a keystroke with the results alone.

    Typed text travels in the body. A GET comes from the sign-in page, which leads back to
    wherever somebody was sent away from.
    """
    text = request.POST.get("q", "").replace("\x00", "").strip()
    token = searches.remember(request.session, text) if text else ""
    address = reverse("patients:list") + (f"?search={token}" if token else "")
    if not request.htmx:
        return redirect(address)

    results = render(request, "patients/_results.html", _results(request, token=token))
    return replace_url(results, address)


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


def _results(request: StaffRequest, *, token: str) -> dict[str, object]:
    text = searches.recall(request.session, token)
    found = Paginator(search(queries.in_list(), text), ROWS_A_PAGE)
    if not text:
        found.count = queries.count_all()
    shown = found.get_page(request.GET.get("page"))
    return {
        "text": text,
        "page": shown,
        "rows": queries.list_rows(shown, today=timezone.localdate()),
        "query": f"search={token}" if text else "",
    }
