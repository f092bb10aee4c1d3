"""What the trust table of a bundle says about one image: whether a number may be given, and between which ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from vsf_edge.bundle import Bundle
from vsf_edge.interfaces import Array
from vsf_edge.trust import TrustTable


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """About one image.

    Attributes
    ----------
    abstained
        Why no number is given; empty where one is.
    columns
        Per quantity ``NAME_low`` and ``NAME_high`` (the ends of its interval) and ``NAME_expected_error``, in its unit;
        NaN where there is none.
    """

    abstained: str = ""
    columns: Mapping[str, float] = field(default_factory=dict)


Judge = Callable[[Array, Mapping[str, float]], Judgement]
"""Judges one image from its brightfield [C, H, W], counts, and its quantities."""


def trust_judge(bundle: Bundle) -> Judge | None:
    """Give the judge that applies the trust table of `bundle`; None where it carries none.

    Raises
    ------
    EdgeError
        When the table is damaged, or a gate of it is not installed here in the version that it was learnt with.
    """
    text = bundle.document("trust")
    if text is None:
        return None
    table = TrustTable(text, f"{bundle.path}: {bundle.manifest.documents['trust']}")

    def judge(brightfield: Array, quantities: Mapping[str, float]) -> Judgement:
        verdicts = table.judge(brightfield[np.newaxis])
        columns: dict[str, float] = {}
        for name, value in quantities.items():
            low, high, error = table.intervals(name, np.array([value], np.float64), verdicts)
            columns |= {f"{name}_low": float(low[0]), f"{name}_high": float(high[0])}
            columns[f"{name}_expected_error"] = float(error[0])
        return Judgement(abstained=verdicts.reasons[0], columns=columns)

    return judge
