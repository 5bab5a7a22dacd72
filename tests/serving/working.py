"""A task that leaves a mark, once, and takes its time with it when it is begun first."""

from __future__ import annotations

import json
import os
import time

import redis
from celery import shared_task
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection, transaction

NAME = "tests.serving.mark"


@shared_task(name=NAME)
def mark(label: str, pause: float) -> None:
    """
    Write a row that is named `label`; the first to try waits `pause` seconds before the commit.

    Whoever tries tells it in Redis, below `label`. Who finds the row has nothing left to do.
    """
    told = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    with transaction.atomic():
        _, is_new = Group.objects.get_or_create(name=label)
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            (schema,) = cursor.fetchone()
        facts = {"process": os.getpid(), "schema": schema, "is_new": is_new}
        if told.rpush(label, json.dumps(facts)) == 1:
            time.sleep(pause)
