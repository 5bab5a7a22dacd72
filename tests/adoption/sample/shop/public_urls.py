from __future__ import annotations

from customers import views
from django.urls import path

urlpatterns = [path("", views.list_clients)]
