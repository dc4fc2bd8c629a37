"""What a model trained on a data set must state: the source, the score scale and the licence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

PRISTINE = "pristine"  # in place of a split: unrated photographs, used to make distorted ones


class TrainingData(BaseModel):
    """A data set that a model has learned from: its name, its split and how many of its images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    split: str
    images: int = Field(ge=0)


@dataclass(frozen=True)
class Terms:
    """The score scale and the licence of a data set."""

    scale: str
    licence: str


TERMS = {
    "biq2021": Terms(
        "BIQ2021 MOS of 30 observers in a laboratory, 0-1 stretched to 0-100",
        "freely available for use and benchmarking; 8,000 of 12,000 pictures from Unsplash",
    ),
    "clive": Terms("LIVE in the Wild MOS, crowdsourced, 0-100", "any purpose with UT Austin's notice and citation"),
    "koniq10k": Terms("KonIQ-10k MOS, crowdsourced, 1-5 stretched to 0-100", "CC BY 4.0"),
    "spaq": Terms("SPAQ MOS in a laboratory, 0-100", "as its authors state"),
    "livefb": Terms("LIVE-FB MOS, crowdsourced, 0-100", "as its authors state"),
    "kadid10k": Terms("KADID-10k DMOS, crowdsourced, 1-5 stretched to 0-100", "Pixabay licence for the pictures"),
    "tid2013": Terms("TID2013 MOS, 0-9 stretched to 0-100", "as its authors state"),
    "csv": Terms("MOS of the user's own table, 0-100", "the user's own"),
}


def licence_of(source: TrainingData) -> str:
    """The licence under which a source may be used."""
    return "as its publishers state" if source.split == PRISTINE else TERMS[source.name].licence


def scale_of(sources: Iterable[TrainingData]) -> str:
    """What scores from 0 to 100 mean for a model trained on these sources."""
    rated = [source.name for source in sources if source.split != PRISTINE]
    return "; ".join(TERMS[name].scale for name in dict.fromkeys(rated))
