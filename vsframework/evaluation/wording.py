"""Results in words: the same plain sentences on the terminal and in the report."""

from __future__ import annotations

import math

from vsframework.evaluation.results import Evaluation, PixelResult, QuantityResult

SIMULATED = "Simulated data: every image here was computed, so nothing of it is evidence about real cells."


def label(name: str) -> str:
    """Give the way a quantity is written in a sentence.

    Examples
    --------
    >>> label("dfi"), label("dsDNA_sum")
    ('DFI', 'dsDNA sum')
    """
    return name.upper() if name.islower() and name.isalpha() and len(name) <= 4 else name.replace("_", " ")


def with_unit(name: str, unit: str) -> str:
    """Label of an axis: the quantity and its unit; a ratio (unit "1") needs none."""
    return label(name) if unit == "1" else f"{label(name)} ({unit})"


def number(value: float, unit: str = "1") -> str:
    """Write a value of a quantity: ratios with four decimals, others with four figures, a dash for "none".

    Examples
    --------
    >>> number(0.02199), number(351234.0, "counts"), number(12.3456, "µm"), number(float("nan"))
    ('0.0220', '351,234', '12.35', '-')
    """
    if not math.isfinite(value):
        return "-"
    if unit == "1":
        return f"{value:.4f}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{decimals}f}"


def percent(share: float) -> str:
    """Write a share with its sign, in percent.

    Examples
    --------
    >>> percent(0.253), percent(-0.39), percent(float("nan"))
    ('+25 %', '-39 %', '-')
    """
    return f"{100 * share:+.0f} %".replace("+0 %", "0 %").replace("-0 %", "0 %") if math.isfinite(share) else "-"


def p_value(value: float) -> str:
    """Write a p value: three decimals, a dash for "cannot be computed".

    Examples
    --------
    >>> p_value(0.0721), p_value(0.00002), p_value(float("nan"))
    ('0.072', '<0.001', '-')
    """
    return "-" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def comparison(skill: float) -> str:
    """Say how a model compares with the constant.

    Examples
    --------
    >>> comparison(0.2), comparison(-0.39)
    ('20 % better than a constant', '39 % worse than a constant')
    >>> comparison(0.001), comparison(-3.0)
    ('no better than a constant', 'much worse than a constant: its error is 4.0 times as large')
    """
    if abs(skill) < 0.005:
        return "no better than a constant"
    if skill < -1:
        return f"much worse than a constant: its error is {1 - skill:.1f} times as large"
    return f"{abs(100 * skill):.0f} % {'better' if skill > 0 else 'worse'} than a constant"


def headline(evaluation: Evaluation, quantity: QuantityResult) -> str:
    """Say in one sentence what the result is, with the constant beside it."""
    name = label(quantity.name)
    donors = evaluation.held_out
    if len(donors) == 1:
        where = f"On held-out donor {donors[0]}"
    else:
        where = f"On the {len(donors)} held-out donors {', '.join(donors[:-1])} and {donors[-1]}"
    if evaluation.method == "regressor":
        return _headline_of_regressor(evaluation, quantity, where)
    found = quantity.held_out
    if not math.isfinite(found.mae):
        return (
            f"{where} no {name} error can be given: {quantity.unmeasurable} of "
            f"{quantity.unmeasurable + quantity.held_out_cells} virtual stains have no {name}."
        )
    cells = f"{quantity.held_out_cells} cell{'' if quantity.held_out_cells == 1 else 's'}"
    constants = {row.constant for row in quantity.donors if row.held_out}
    fixed = f"the median of the donors that are not held out ({number(constants.pop(), quantity.unit)})"
    if constants:  # cross-validation: another one for every donor
        fixed = "the median of the donors trained on"
    verdict = f", so the model is {comparison(found.skill)}" if math.isfinite(found.skill) else ""
    if verdict and within_chance(quantity):
        verdict += ", which is within chance: no gain is shown"
    return (
        f"{where} ({cells}) the mean absolute {name} error is {number(found.mae, quantity.unit)}; predicting "
        f"{fixed} for every cell gives "
        f"{number(found.constant_mae, quantity.unit)}{verdict}."
    )


def _headline_of_regressor(evaluation: Evaluation, quantity: QuantityResult, where: str) -> str:
    found = quantity.held_out
    return (
        f"{where} ({quantity.held_out_cells} cells, no stains) the direct regressor {evaluation.regressor} has a mean "
        f"absolute {label(quantity.name)} error of {number(found.regressor_mae, quantity.unit)}; predicting the other "
        f"donors' median for every cell gives {number(found.constant_mae, quantity.unit)}, so the regressor is "
        f"{comparison(found.regressor_skill)}."
    )


def beside_regressor(evaluation: Evaluation, quantity: QuantityResult) -> str:
    """Say what the direct regressor gives on the same cells; empty where there is none, or nothing beside it."""
    found = quantity.held_out
    if evaluation.method == "regressor" or not math.isfinite(found.regressor_mae):
        return ""
    verdict = "; the virtual stains add nothing to the number" if found.regressor_mae <= found.mae else ""
    return (
        f"The direct regressor {evaluation.regressor}, which learns the {label(quantity.name)} from brightfield "
        f"without any stain, has {number(found.regressor_mae, quantity.unit)} on the same cells "
        f"({comparison(found.regressor_skill)}){verdict}."
    )


def pixel_sentence(result: PixelResult) -> str:
    """Say how alike the pixels of one stain are on held-out donors, and what that is relative to."""
    return (
        f"Pixels of {result.stain} on held-out donors: MAE {number(result.mae, 'counts')} counts, "
        f"PSNR {result.psnr:.1f} dB, SSIM {result.ssim:.3f}, r {result.pearson:.3f} "
        f"(linear counts, range 0 to {number(result.data_range, 'counts')})."
    )


def within_chance(quantity: QuantityResult) -> bool:
    """Whether the interval of the gain includes zero."""
    interval = quantity.interval
    return interval is not None and interval.skill_low <= 0 <= interval.skill_high


def uncertainty(quantity: QuantityResult) -> str:
    """Say how far that could have come out differently, and what the interval means."""
    interval = quantity.interval or quantity.regressor_interval
    if interval is None or not math.isfinite(interval.skill_low):
        return "No interval can be given."
    if interval.skill_low > 0:
        reading = "the gain over the constant is more than chance in the cells drawn"
    elif interval.skill_high < 0:
        reading = "the loss against the constant is more than chance in the cells drawn"
    else:
        reading = "it includes zero, so these cells cannot tell the model from a constant"
    return (
        f"{100 * interval.level:.0f} % bootstrap interval of the gain: {percent(interval.skill_low)} to "
        f"{percent(interval.skill_high)} of the constant's error; {reading}. The error itself: "
        f"{number(interval.mae_low, quantity.unit)} to {number(interval.mae_high, quantity.unit)}. {interval.meaning}"
    )


def cautions(evaluation: Evaluation, quantity: QuantityResult) -> list[str]:
    """What a reader must know before believing the headline."""
    found = []
    if quantity.unmeasurable:
        found.append(
            f"{quantity.unmeasurable} virtual stains of held-out donors have no {label(quantity.name)}; they are in "
            "none of the errors, which are therefore too kind."
        )
    if evaluation.empty_virtual:
        found.append(f"{evaluation.empty_virtual} virtual stains of held-out donors hold no signal at all.")
    if evaluation.empty_true:
        found.append(f"{evaluation.empty_true} true stains of held-out donors hold no signal after denoising.")
    if len(evaluation.held_out) == 1:
        found.append("One held-out donor is one sample of donors: another donor may come out differently.")
    return found
