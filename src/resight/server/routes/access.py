"""What a route asks of its caller."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, get_origin

from fastapi import Depends, params
from starlette.requests import Request

from resight.server.keys import Caller
from resight.server.refusals import Refused
from resight.server.schema import Problem

STATUSES = {
    400: "the body does not match its content type",
    401: "a key is needed, or unknown",
    403: "the key may not do this, or the page of another site asks",
    404: "a record or a name that is not there",
    408: "the body did not come in time",
    409: "a name that is taken, or a picture that was erased",
    413: "too many bytes or pixels",
    415: "not a picture",
    422: "a wrong value",
    429: "too many requests a second",
    503: "too many requests at once, or a service that stops",
    507: "the service's temporary folder is full",
}
_SAID = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": f"{what[:1].upper()}{what[1:]}.", "content": _SAID} for status, what in STATUSES.items()
}
PROBLEMS[422] = {"description": PROBLEMS[422]["description"], "model": Problem}  # one is enough to describe it


async def only_known(request: Request) -> None:
    """Refuse parameters and fields of forms that an address does not take, and several where it takes one (422).

    Of JSON, what is not taken is found where it is parsed; a name twice in one object is refused here.
    """
    takes = request.scope["route"].dependant
    sent: list[tuple[str, Sequence[tuple[str, object]], list[Any]]] = [
        ("parameter", request.query_params.multi_items(), takes.query_params)
    ]
    if takes.body_params and isinstance(takes.body_params[0].field_info, params.Form):
        sent.append(("field", (await request.form()).multi_items(), takes.body_params))
    for what, items, fields in sent:
        known = {field.alias: field.field_info.annotation for field in fields}
        for name, count in Counter(name for name, _ in items).items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"write {near[0]}." if near else f"it takes {', '.join(known) or 'none'}."
                raise Refused(422, f"This address takes no {what} {name[:50]!r}: {hint}")
            if count > 1 and get_origin(known[name]) is not list:
                raise Refused(422, f"The {what} {name} was sent {count} times: send it once.")
    if takes.body_params and not isinstance(takes.body_params[0].field_info, params.Form):
        with suppress(ValueError, RecursionError):  # what is no JSON is refused as that
            json.loads(await request.body(), object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object of JSON that has a name twice, of which the first would be ignored."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise Refused(422, f"The body has {name[:50]!r} {count} times in one object: send it once.")


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
