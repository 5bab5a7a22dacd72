"""Asks the sample project for pages, in a process of its own, and answers in JSON."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from django.test import Client  # noqa: E402  # there are no settings before

answers = {}
for address in sys.argv[1:]:
    host, _, path = address.partition("/")
    response = Client(HTTP_HOST=host).get(f"/{path}")
    is_json = response["Content-Type"] == "application/json"
    answers[address] = [response.status_code, response.json() if is_json else None]
sys.stdout.write(json.dumps(answers))
