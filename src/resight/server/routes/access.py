"""What a route asks of its caller."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from resight.server.keys import Caller
from resight.server.refusals import Refused
from resight.server.schema import Problem

STATUSES = {
    400: "the body is not what its content type says",
    401: "a key is needed, or unknown",
    403: "the key may not do this, or the page of another site asks",
    404: "a record or a name that is not there",
    408: "the body did not come in time",
    409: "a name that is taken",
    413: "too many bytes or pixels",
    415: "not a picture",
    422: "a wrong value",
    429: "too many requests a second",
    503: "too many requests at once, or a service that stops",
}
_SAID = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": f"{what[:1].upper()}{what[1:]}.", "content": _SAID} for status, what in STATUSES.items()
}
PROBLEMS[422] = {"description": PROBLEMS[422]["description"], "model": Problem}  # one is enough to describe it


class _May:
    """A dependency: the caller, who has the scope."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:
        caller: Caller = request.state.caller
        if self.scope not in caller.scopes:
            raise Refused(403, f"This key may not {self.scope}: ask for one with the scope {self.scope}.")
        return caller


Reader = Annotated[Caller, Depends(_May("read"))]
Writer = Annotated[Caller, Depends(_May("write"))]
Eraser = Annotated[Caller, Depends(_May("erase"))]
