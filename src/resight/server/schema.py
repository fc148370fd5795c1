"""What goes in and out as JSON, checked by pydantic and described, with examples, in ``/openapi.json``.

Times are seconds since 1970, UTC. Records, hits, people and events are those of :mod:`resight.gallery.record`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from resight.gallery.record import EARLIEST, LATEST, LONGEST_NAME, Event, Filter, Hit, Person, Record, readable

Id = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
ID_OR_NONE = "^([0-9a-f]{32})?$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Camera = Annotated[str, StringConstraints(max_length=LONGEST_NAME)]
Note = Annotated[str, StringConstraints(max_length=1000)]
Moment = Annotated[float, Field(ge=EARLIEST, le=LATEST, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=1000)]
Wanted = Annotated[int, Field(ge=1, le=1000)]

AN_ID = "5f0c4e1b9a7d4c2e8f3b6a1d0e9c7b52"
ANOTHER_ID = "0d6b3c8a1f2e4d5c9b7a6e8f1c0d2b34"
A_RECORD: dict[str, Any] = {
    "id": AN_ID,
    "identity": "Ada",
    "camera": "entrance",
    "time": 1795267805.0,
    "source": "upload",
    "box": [12, 30, 76, 158],
    "basis": "consent",
    "expires": 1797859805.0,
    "added": 1795267806.1,
}


def _shown(record: Record) -> Record:
    return record if record.source.isascii() else replace(record, source=readable(record.source))


Shown = Annotated[Record, AfterValidator(_shown)]  # a file's name may hold bytes that JSON cannot
ShownHit = Annotated[Hit, AfterValidator(lambda hit: replace(hit, record=_shown(hit.record)))]


class Strict(BaseModel):
    """A body whose misspelt fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Several = BeforeValidator(_several, json_schema_input_type=str | list[str])


class Where(Strict):
    """Which records count; one must pass all that is given. Names may be one text or a list."""

    camera: Annotated[list[Camera], Field(max_length=1000), Several] = []
    exclude_camera: Annotated[list[Camera], Field(max_length=1000), Several] = []
    after: Moment | None = Field(None, description="Seen at this time or later.")
    before: Moment | None = Field(None, description="Seen before this time.")
    identity: Annotated[list[Name], Field(max_length=1000), Several] = []
    unknown: bool | None = Field(None, description="True: only without a name. False: only with one.")

    def filter(self) -> Filter:
        """The same, as the gallery takes it."""
        return Filter(
            tuple(self.camera),
            tuple(self.exclude_camera),
            self.after,
            self.before,
            tuple(self.identity),
            self.unknown,
        )


class How(Strict):
    """How to search."""

    k: Wanted = Field(10, description="How many records to find.")
    where: Where = Where()
    rerank: bool = Field(False, description="Order by k-reciprocal re-ranking; distances stay as they are.")
    approximate: bool = Field(False, description="Allow an approximate index, where there is one.")


class ByEmbedding(How):
    """Search with an embedding of this gallery's model."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"embedding": [0.1, -0.2, 0.3], "k": 5, "where": {"camera": ["entrance"]}}]}
    )
    embedding: Annotated[list[Number], Field(min_length=1, max_length=65_536)]


class ByRecord(How):
    """Search for more like a record, which is itself left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": AN_ID, "k": 5}]})
    id: Id
    other_cameras: bool = Field(False, description="Only records of known cameras other than this record's.")


class Found(BaseModel):
    """What a search found, nearest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "hits": [{"record": A_RECORD, "distance": 0.12, "probability": 0.98, "decision": "match"}],
                    "threshold": 0.21,
                    "took_ms": 8.4,
                }
            ]
        }
    )
    hits: list[ShownHit]
    threshold: float | None = Field(description="Up to this distance two are the same; null if never calibrated.")
    took_ms: float


class Put(BaseModel):
    """The id of an added picture; ``new`` is false if it was there before.

    ``different`` is true if it has another identity, basis or expiry than was sent, and keeps its own.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": AN_ID, "new": True, "different": False}]})
    id: str
    new: bool
    different: bool


class Records(BaseModel):
    """A page of records in order; ``next`` is the ``after_id`` of the following page, null after the last."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"records": [A_RECORD], "next": AN_ID}]})
    records: list[Shown]
    next: str | None = None


class People(BaseModel):
    """A page of identities by name; ``next`` is the ``after`` of the following page, null after the last."""

    identities: list[Person]
    next: str | None = None


class Enrol(Strict):
    """Give records a name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ada", "ids": [AN_ID]}]})
    name: Name
    ids: Ids


class Merge(Strict):
    """Give the records of other identities one name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"into": "Ada", "others": ["Ada 2"]}]})
    into: Name
    others: Annotated[list[Name], Field(min_length=1, max_length=1000)]


class Split(Strict):
    """Take records out of an identity; without a new name they become unknown."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ada", "ids": [AN_ID], "new_name": "Bea"}]})
    name: Name
    ids: Ids
    new_name: Name | None = None


class Rename(Strict):
    """Give an identity another name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ada", "new_name": "Ada L."}]})
    name: Name
    new_name: Name


class Seen(BaseModel):
    """A track: its record, and when it began and ended, in seconds on the clock of the record's time."""

    record: Shown
    begin: float
    end: float


class Tracks(BaseModel):
    """Tracks by time, those whose records have no time first."""

    tracks: list[Seen]


class Question(BaseModel):
    """Are these tracks of one individual? ``wrong`` is the probability that what is now (``linked``) is wrong."""

    first: Shown
    second: Shown
    linked: bool
    wrong: float
    pairs: int = Field(description="How many pairs of tracks the answer is about.")


class Questions(BaseModel):
    """The questions whose answers would correct the most, and how many have an answer already."""

    questions: list[Question]
    answered: int


class Answering(Strict):
    """An answer about the tracks of two records; a later one replaces it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"first": AN_ID, "second": ANOTHER_ID, "answer": "same"}]}
    )
    first: Id
    second: Id
    answer: Literal["same", "different", "unsure"]


class Answered(BaseModel):
    """How many pairs have an answer."""

    answered: int


class Pair(BaseModel):
    """Two records: do they show the same individual?"""

    first: Shown
    second: Shown


class Calibrating(BaseModel):
    """What is asked next, null where no pair is left; ``given`` answers of ``needed`` are not "unsure"."""

    question: Pair | None
    given: int
    needed: int


class Share(BaseModel):
    """A rate and the range that holds it with 95%, as far as the answers tell."""

    value: float
    low: float
    high: float


class Calibrated(BaseModel):
    """The decision that was learnt from answers, and what the one before would do among the gallery's pairs."""

    threshold: float
    no_match_beyond: float
    false_match_rate: float = Field(description="The share of pairs of different ones that may be called a match.")
    expected: Share = Field(description="That share at the threshold, as the answers tell.")
    threshold_before: float | None
    expected_before: Share | None
    same: int
    different: int
    unsure: int


class Erase(Strict):
    """Exactly one of: an identity, some ids, or a time before which everything goes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": [AN_ID, ANOTHER_ID]}]})
    identity: Name | None = None
    ids: Ids | None = None
    before: Moment | None = None


class Changed(BaseModel):
    """How many records an action was about."""

    records: int


class Erased(BaseModel):
    """How many records are gone."""

    erased: int


class Cameras(BaseModel):
    """A page of cameras by name, and how many records each has; "" is the unknown one. ``next`` as for identities."""

    cameras: dict[str, int]
    next: str | None = None


class Events(BaseModel):
    """A page of the gallery's log; ``next`` is the ``after`` of the following page, null after the last."""

    events: list[Event]
    next: int | None = None


class Rates(BaseModel):
    """What one threshold does: measured in the calibration, or interpolated between two that were."""

    threshold: float
    false_match_rate: float
    miss_rate: float
    measured: bool


class Meaning(BaseModel):
    """What distances mean. All but the metric is null or empty where the model was never calibrated."""

    metric: str
    threshold: float | None = None
    no_match_beyond: float | None = None
    false_match_rate: float | None = None
    curve: list[Rates] = []
    warning: str = Field(default="", description="Why nothing is called a match here; empty where all is well.")


class Me(BaseModel):
    """What the caller may do."""

    scopes: list[str]
    keys_needed: bool


class Health(BaseModel):
    """Whether all is well."""

    status: str


class Problem(BaseModel):
    """Why a request was sent away, in one sentence."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "The picture is empty (0 bytes): send an image file."}]}
    )
    error: str
