"""
Which codes of older files mean what today's code means.

Old Synthea files measure blood pressure as LOINC 55284-4 and oral temperature as 8331-1.
A chart that looks for 85354-9 and 8310-5, as the vital signs profile of FHIR R4 wants,
must find them. The code that was written stays, as the second coding.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

LOINC = "http://loinc.org"

_TODAY = {
    "55284-4": {"code": "85354-9", "display": "Blood pressure panel"},
    "8331-1": {"code": "8310-5", "display": "Body temperature"},
}
_METHODS = {"8331-1": "Oral"}


def normalise(resource: Json) -> Json:
    """Return `resource` with today's code first; the same object if there is nothing to do."""
    if resource.get("resourceType") != "Observation":
        return resource
    written = resource.get("code", {}).get("coding", [])
    current = {today["code"] for today in _TODAY.values()}
    if any(coding.get("code") in current for coding in written):
        return resource
    for coding in written:
        code = coding.get("code")
        if coding.get("system") == LOINC and code in _TODAY:
            today = {"system": LOINC, **_TODAY[code]}
            changed = {**resource, "code": {**resource["code"], "coding": [today, *written]}}
            if code in _METHODS:
                changed.setdefault("method", {"text": _METHODS[code]})
            return changed
    return resource
