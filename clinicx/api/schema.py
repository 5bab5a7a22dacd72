"""How is the API described, beyond what its views declare?"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from clinicx.api import problems

_PROBLEM = {
    "type": "object",
    "description": "What went wrong, as in RFC 9457.",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "request_id": {
            "type": "string",
            "description": "Where something broke: what support finds it by.",
        },
        "errors": {
            "type": "object",
            "description": "The messages for each parameter or field at fault, by its name.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}

_MEANINGS = {
    HTTPStatus.BAD_REQUEST: "A parameter is unknown or wrong; `errors` names it.",
    HTTPStatus.UNAUTHORIZED: "Nobody is signed in.",
    HTTPStatus.FORBIDDEN: "The role does not allow it.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address, or not in this clinic.",
    HTTPStatus.TOO_MANY_REQUESTS: "More than may be asked for; `Retry-After` has the seconds.",
}


class Generator(SchemaGenerator):
    """Describes the API once in a process: it is the same for everybody, and takes a while."""

    def get_schema(self, request: Any = None, public: bool = False) -> Any:
        return _describe()


@cache
def _describe() -> Any:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    return generator.get_schema(public=True)  # type: ignore[no-untyped-call]


def add_problems(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Let every operation answer with a problem (a hook of drf-spectacular)."""
    components = result["components"]
    components["schemas"]["Problem"] = _PROBLEM
    components["responses"] = {
        status.phrase.replace(" ", ""): {
            "description": meaning,
            "content": {
                problems.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
        for status, meaning in _MEANINGS.items()
    }
    answers = {
        str(int(status)): {"$ref": f"#/components/responses/{status.phrase.replace(' ', '')}"}
        for status in _MEANINGS
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"] |= answers
    return result
