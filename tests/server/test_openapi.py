"""The description of the service is true: its examples work, and whatever it allows is answered as it says."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from resight.gallery.gallery import Gallery
from resight.server.app import make_app
from resight.server.schema import AN_ID
from resight.server.settings import Settings

from .conftest import png, put

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis: pip install 'resight[dev]'")
# Hypothesis imports this strategy at first use, deep in a test, where CPython 3.11 can fail to compile it.
pytest.importorskip("hypothesis").strategies.randoms().validate()


def test_every_route_is_described(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    for address, methods in described["paths"].items():
        for method, route in methods.items():
            assert route["summary"] and route["tags"], address
            if address.startswith("/api/"):
                assert {"401", "403", "422", "429", "503"} <= set(route["responses"]), (method, address)
                problem = route["responses"]["422"]["content"]["application/json"]["schema"]
                assert problem == {"$ref": "#/components/schemas/Problem"}
    text = str(described)
    assert "HTTPValidationError" not in text and "http://" not in text
    bodies = [
        described["components"]["schemas"][name]
        for name in ("ByEmbedding", "ByRecord", "Enrol", "Merge", "Split", "Rename", "Erase", "Found", "Records")
    ]
    assert all(one["examples"] and one["description"] for one in bodies)


def test_a_service_with_keys_says_so(keyed: tuple[TestClient, dict[str, str]]) -> None:
    described = keyed[0].get("/openapi.json").json()
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert described["paths"]["/api/erase"]["post"]["security"] == [{"HTTPBearer": []}]


def test_examples_are_what_the_service_takes_and_gives(client: TestClient) -> None:
    """Examples of bodies are taken; those of answers have the fields of real answers."""
    described = client.get("/openapi.json").json()
    known = {"time": 1, "expires": 9e9, "box": "1,2,3,4"}
    ids = [put(client, seed, identity=name, **known) for seed, name in enumerate(("Ada", "Ada 2"))]

    def example(name: str) -> Any:
        found = described["components"]["schemas"][name]["examples"][0]
        return {**found, "embedding": [0.5] * 96} if "embedding" in found else found

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(one) for key, one in value.items()}
        return [shape(one) for one in value[:1]] if isinstance(value, list) else None

    def post(address: str, body: Any) -> Any:
        ours = {key: ids[:1] if key == "ids" else ids[0] if one == AN_ID else one for key, one in body.items()}
        answer = client.post(address, json=ours)
        assert answer.status_code == 200, (address, answer.text)
        return answer.json()

    found = post("/api/search/embedding", {**example("ByEmbedding"), "where": {}})
    assert shape(found) == shape(example("Found"))
    post("/api/search/record", example("ByRecord"))
    assert shape(client.get("/api/records").json()) == shape(example("Records"))
    post("/api/identities/merge", example("Merge"))
    post("/api/identities/split", example("Split"))
    post("/api/identities/enrol", {**example("Enrol"), "name": "Bea"})
    post("/api/identities/rename", example("Rename"))
    post("/api/erase", example("Erase"))


def fuzz(app: FastAPI, examples: int, seed: int) -> int:
    """Ask whatever the description allows, and much that it does not, and check each answer against it."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis.errors import Unsatisfiable
    from schemathesis import GenerationMode

    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"host": "localhost"})
    checks, asked = schemathesis.checks.CHECKS.get_by_names(CHECKED), 0
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @seeded(seed)
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                response = case.call(headers={"host": "localhost"})
                assert response.status_code < 500, (case.as_curl_command(), response.text)
                assert "Traceback" not in response.text
                case.validate_response(response, checks=checks)

            with suppress(Unsatisfiable):  # nothing can be wrong about a route without parameters
                ask()
    return asked


CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
)


@pytest.mark.filterwarnings("ignore")
def test_whatever_is_asked_is_answered_as_described(gallery: Gallery) -> None:
    gallery.add([png(seed) for seed in range(5)], cameras="yard", identities="Ada")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert fuzz(make_app(gallery, gallery.embedder, Settings(rate=0)), 3, seed=0) > 80
    gallery.verify_log()
    assert gallery.check().problems == ()


def test_sentences_end_and_hold_no_code(client: TestClient) -> None:
    for address in ("/api/records?limit=x", "/api/records/x", "/nowhere", "/api/timeline"):
        sentence = client.get(address).json()["error"]
        assert re.fullmatch(r"[A-Z].*\.", sentence) and "object at" not in sentence
