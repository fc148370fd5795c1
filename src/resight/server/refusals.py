"""The answer to a request that is refused: a status and one sentence, always as ``{"error": sentence}``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response


class Refused(HTTPException):
    """A request that is refused.

    Args:
        status: the HTTP status.
        sentence: what is wrong, and what to do.
        retry_after: seconds after which it may be tried again; None where trying again does not help.
    """

    def __init__(self, status: int, sentence: str, retry_after: float | None = None) -> None:
        headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(status, sentence, headers)


def respond(error: HTTPException) -> Response:
    """The answer to a request that is refused, by us or by the framework.

    It is JSON of ASCII alone, since a sentence may repeat text that no encoding can hold.
    """
    sentence = error.detail
    if not isinstance(error, Refused):
        sentence = {
            404: "There is nothing at this address: see /openapi.json.",
            405: "This address does not take this method: see /openapi.json.",
            400: "The body of the request cannot be read as what its content type says: see /openapi.json.",
        }.get(error.status_code, f"{HTTPStatus(error.status_code).phrase}: see /openapi.json.")
    return Response(json.dumps({"error": sentence}), error.status_code, error.headers, "application/json")


def wrong(errors: Sequence[Any]) -> Refused:
    """What pydantic found wrong with a request, as one sentence that does not repeat what was sent."""
    first, *rest = errors
    place = [str(part) for part in first["loc"]]
    if first["type"] == "json_invalid":  # its place is a character's
        place = place[:1]
    message = first["msg"]
    if "Expected UploadFile" in message:
        message = "This is text where a file is needed (with curl: -F image=@FILE)"
    if place == ["body"] and first["type"] == "model_attributes_type":  # the framework read no JSON
        message = "This is not JSON, or not sent as such (with curl: -H 'Content-Type: application/json')"
    others = f" (and {len(rest)} more)" if rest else ""
    at = ".".join(place)[:100] or "its beginning"
    return Refused(422, f"The request is wrong at {at}: {message}{others}; /openapi.json says what is taken.")
