"""Answers beside stained images: ``<name>.trust.json``, so that whoever measures the stains knows when not to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from vsframework.atomic import write_text
from vsframework.errors import VsfError
from vsframework.trust.judging import Judge

if TYPE_CHECKING:
    from vsframework.inference import Stainer
    from vsframework.inference.magnification import OtherPixelSize
    from vsframework.inference.stacks import Source

SAME_VALUE = 0.1
"""A value measured on the stained file is the one that was answered where it differs by less than this share of the
half interval: stains are scaled back to the size of their image, which changes them a little."""


class QuantityAnswer(BaseModel):
    """One value at the size of a training patch, and its interval; None where there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    lower: float | None
    upper: float | None


class Answer(BaseModel):
    """What a run says about one image of one cell; `reason` goes on after "abstained, because"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answered: bool
    reason: str
    quantities: dict[str, QuantityAnswer]

    def interval(self, quantity: str, value: float) -> tuple[float, float] | None:
        """Give the interval of a `value` that was measured on the stains, if it is the one that was answered."""
        known = self.quantities.get(quantity)
        if known is None or known.value is None or known.lower is None or known.upper is None:
            return None
        same = abs(value - known.value) <= SAME_VALUE * (known.upper - known.lower) / 2
        return (known.lower, known.upper) if same else None


def answer_image(
    judge: Judge,
    stainer: Stainer,
    source: Source,
    scale: float | None = None,
    other_pixel_size: OtherPixelSize = "refuse",
) -> Answer | None:
    """Judge the image `source` of one cell and measure its stains; None for anything but a patch of one cell.

    Raises
    ------
    VsfError
        When it cannot be read.
    """
    from vsframework.inference.files import scaled_brightfield

    brightfield, _, _ = scaled_brightfield(stainer, source, scale, other_pixel_size)
    if brightfield.shape != (judge.trust.planes, judge.trust.size, judge.trust.size):
        return None
    verdicts = judge.judge(brightfield[None])
    answered = bool(verdicts.answered[0])
    quantities = {}
    measured = stainer.quantifier.measure(stainer.stain(brightfield[None]), stainer.stains)
    for name, found in measured.items():
        value = np.asarray(found, dtype=np.float64)
        lower, upper, _ = judge.intervals(name, value, verdicts)
        ends = [_or_none(float(item[0])) if answered else None for item in (value, lower, upper)]
        quantities[name] = QuantityAnswer(value=ends[0], lower=ends[1], upper=ends[2])
    return Answer(answered=answered, reason=verdicts.reasons[0], quantities=quantities)


def write_answer(stained: Path, answer: Answer | None) -> None:
    """Write `answer` beside the image `stained`; None removes an older one."""
    path = answer_path(stained)
    if answer is None:
        path.unlink(missing_ok=True)
    else:
        write_text(path, json.dumps(answer.model_dump(), indent=2) + "\n")


def read_answer(stained: Path) -> Answer | None:
    """Read the answer beside the image `stained`; None where there is none.

    Raises
    ------
    VsfError
        When it is damaged.
    """
    path = answer_path(stained)
    try:
        return Answer.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise VsfError(f"{path} cannot be read; stain the image again with --overwrite") from error


def answer_path(stained: Path) -> Path:
    """Give the file of the answer about `stained`: ``cell.stained.ome.tif`` has ``cell.stained.trust.json``."""
    return stained.with_name(f"{stained.name.removesuffix('.tif').removesuffix('.ome')}.trust.json")


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
