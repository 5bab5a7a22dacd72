from __future__ import annotations

from django.urls import path
from orders import views

urlpatterns = [path("orders/", views.list_orders), path("visits/", views.count_visits)]
