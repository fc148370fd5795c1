"""One thing that is broken or slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One sentence about the machine or the installation.

    Attributes:
        kind: ``broken``, something fails; or ``slow``, something works but takes longer than it should.
        sentence: what is wrong, a colon, and what to do.
    """

    kind: Literal["broken", "slow"]
    sentence: str
