"""Twenty questions about pairs of records, and the gallery's decision learnt from the answers."""

from __future__ import annotations

import threading
from dataclasses import asdict

from fastapi import APIRouter

from resight.gallery import answers
from resight.gallery.deciding.applying import adopt
from resight.gallery.deciding.asking import NEEDED, Asking
from resight.server.routes.access import PROBLEMS, Reader, Writer
from resight.server.schema import Answering, Calibrated, Calibrating, Pair, Share
from resight.server.service import Service


def calibrating_routes(service: Service) -> APIRouter:
    """The routes about calibration."""
    routes = APIRouter(prefix="/api/calibration", tags=["calibration"], responses=PROBLEMS)
    one_at_a_time = threading.Lock()  # all pairs of a thousand records take a tenth of a second and some memory

    def asked() -> Calibrating:
        with one_at_a_time:
            asking = Asking(service.gallery)
            two = asking.question()
        question = None
        if two:
            first, second = service.gallery.get(two)
            question = Pair(first=first, second=second)
        return Calibrating(question=question, given=asking.given(), needed=NEEDED)

    @routes.get("", summary="The pair whose answer would tell the most about the threshold")
    def question(_: Reader) -> Calibrating:
        return asked()

    @routes.post("/answer", summary="Answer whether two records show the same individual; the next question")
    def answer(caller: Writer, what: Answering) -> Calibrating:
        answers.put(service.acting(caller), what.first, what.second, what.answer)
        return asked()

    @routes.post("", summary="Calibrate the gallery by the answers")
    def calibrate(caller: Writer) -> Calibrated:
        with one_at_a_time:
            gallery = service.acting(caller)
            found = Asking(gallery).learn()
            adopt(gallery.store, found.decision, gallery.actor, found.same + found.different)
            service.renew()
        decision = found.decision
        return Calibrated(
            threshold=decision.threshold,
            no_match_beyond=decision.no_match_beyond,
            false_match_rate=decision.false_match_rate,
            expected=Share(**asdict(decision.facts.fmr)),
            threshold_before=found.before,
            expected_before=None if found.false_before is None else Share(**asdict(found.false_before)),
            same=found.same,
            different=found.different,
            unsure=found.unsure,
        )

    return routes
