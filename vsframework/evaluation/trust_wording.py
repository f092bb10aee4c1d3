"""Gates, intervals and abstention in sentences: for the terminal and the report."""

from __future__ import annotations

import math

from vsframework.evaluation.trusting import QuantityTrustResult, TrustResult
from vsframework.evaluation.wording import label, number


def trust_sentences(trust: TrustResult, quantity: QuantityTrustResult) -> list[str]:
    """Say what was answered, what that did to the error, whether the intervals hold, and what they promise."""
    return [_answered(trust, quantity), coverage_sentence(trust, quantity), promise(trust)]


def in_short(trust: TrustResult, quantity: QuantityTrustResult) -> str:
    """Say in one sentence how many cells were answered and how many intervals hold: it stands under the headline."""
    abstained, name = trust.cells - trust.answered, label(quantity.name)
    answered = f"All {trust.cells} cells are answered"
    if abstained:
        answered = f"{abstained} of {trust.cells} cells get no number"
    if trust.missing or not math.isfinite(quantity.covered):
        return f"{answered}; there are no intervals, so a number says nothing about its own error."
    held, nominal = (f"{100 * share:.0f} %" for share in (quantity.covered, trust.level))
    return f"{answered}; {held} of the {nominal} {name} intervals hold the true value."


def _answered(trust: TrustResult, quantity: QuantityTrustResult) -> str:
    abstained = trust.cells - trust.answered
    if not abstained:
        return f"All {trust.cells} cells of held-out donors pass the gates."
    by = ", ".join(f"{name} {count}" for name, count in trust.abstained_by.items() if count)
    errors = ""
    if math.isfinite(quantity.mae_answered) and math.isfinite(quantity.mae_abstained):
        errors = (
            f"; their mean absolute {label(quantity.name)} error would have been "
            f"{number(quantity.mae_abstained, quantity.unit)}, that of the answered cells is "
            f"{number(quantity.mae_answered, quantity.unit)}"
        )
    return f"{abstained} of {trust.cells} cells of held-out donors get no number ({by}){errors}."


def coverage_sentence(trust: TrustResult, quantity: QuantityTrustResult) -> str:
    """Say how many intervals hold, or why there are none."""
    if trust.missing:
        return f"There are no intervals: {trust.missing}."
    if not math.isfinite(quantity.covered):
        return (
            f"There are no {label(quantity.name)} intervals: the calibration donors give too few cells or donors to "
            f"promise {100 * trust.level:.0f} %, or no cell was answered."
        )
    donors = [row for row in quantity.donors if math.isfinite(row.covered)]
    spread = ""
    if len(donors) > 1:
        worst = min(donors, key=lambda row: row.covered)
        spread = f"; least on {worst.donor}, {100 * worst.covered:.0f} %"
    return (
        f"{100 * quantity.covered:.0f} % of the {100 * trust.level:.0f} % {label(quantity.name)} intervals hold the "
        f"true value on held-out donors (median width {number(quantity.width, quantity.unit)}{spread})."
    )


def promise(trust: TrustResult) -> str:
    """Say what the nominal coverage is promised for, and what not."""
    if trust.missing:
        return "Without intervals a number says nothing about its own error."
    count = len(trust.calibrated_on)
    donors = f"{count} calibration donor{'' if count == 1 else 's'} ({', '.join(trust.calibrated_on)})"
    if trust.exchangeable == "donors":
        return (
            f"The intervals promise {100 * trust.level:.0f} % for a cell of one more donor that is like the {donors}, "
            "on average over such donors; not for every single donor."
        )
    return (
        f"The intervals promise {100 * trust.level:.0f} % for further cells of the {donors}, on average; a new donor "
        "may differ from all of them, and nothing is promised for one."
    )
