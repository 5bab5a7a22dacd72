"""A tenant's host."""

from __future__ import annotations

from django.urls import path

from ward import views

urlpatterns = [
    path("plain/<int:pk>/", views.plain),
    path("memo/<int:pk>/", views.memo),
    path("cached/<int:pk>/", views.cached),
    path("wall/", views.wall),
    path("logged/<int:pk>/", views.logged),
    path("everybody/", views.everybody),
    path("anywhere/<int:pk>/", views.anywhere),
    path("streamed/", views.streamed),
    path("renamed/<int:pk>/", views.renamed),
]
