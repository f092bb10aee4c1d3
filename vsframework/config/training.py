"""``[training]`` and what belongs to it: augmentation, validation, objective and weak targets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vsframework.config.sections import Section


class TrainingSection(Section):
    """``[training]``: the paper's recipe unless said otherwise."""

    models: Literal["separate", "joint"] = Field(
        "separate", description="One generator per stain (paper), or one generator that gives all stains."
    )
    mode: Literal["paper", "deploy"] = Field(
        "paper",
        description="How the generator normalises in training: by the statistics of its batch or image, with dropout "
        "(paper), or in the form it is measured in (deploy): no dropout, and statistics that are measured over all "
        "training patches and then held, so that a stain depends on no other patch, no tile and no chance.",
    )
    held_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="With mode = deploy: for which share of the epochs, at the end, statistics are held.",
    )
    epochs: int = Field(1000, ge=1, description="Passes over the training patches (paper: 1000).")
    batch_size: int = Field(1, ge=1, description="Patches per step (not in the paper; 1 in its lineage).")
    accumulate: int = Field(
        1,
        ge=1,
        description="Batches whose gradients are added up before a step, for more patches per step than memory holds. "
        "Above 1 the virtual stains are computed once for the discriminator and once more for the generator.",
    )
    learning_rate: float = Field(2e-4, gt=0, description="Of Adam (not in the paper; 2e-4 in its lineage).")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant",
        description="Of the learning rate over the epochs: constant (paper), constant for the first half and then "
        "linearly to 0, or along a cosine to 0.",
    )
    betas: tuple[float, float] = Field((0.5, 0.999), description="Of Adam (not in the paper; its lineage).")
    stain_range: Literal["training-max", "bit-depth"] = Field(
        "training-max",
        description="What +1 at the generator's output stands for: the brightest count of the training patches, or "
        "the full range of the camera (paper: [0, 255] to [-1, 1]).",
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the old average at each step in the exponential moving average of the generator's "
        "weights, which is then what stains; 0 keeps the weights of the last step (paper).",
    )
    checkpoint_every: int = Field(10, ge=1, description="Epochs between checkpoints.")
    checkpoint_steps: int = Field(
        5000, ge=1, description="Steps between checkpoints inside an epoch, for epochs that take long."
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field("32-true", description="Of Lightning Fabric.")
    accelerator: str = Field("auto", description="Of Lightning Fabric: auto, cpu, cuda, mps.")
    devices: int = Field(
        1, ge=1, description="Processes that share every batch, one per device (Lightning Fabric's DDP)."
    )
    channels_last: bool | None = Field(
        None, description="Keep images as [N, H, W, C] in memory; by default on a GPU only (see docs/training.md)."
    )
    compile: bool = Field(
        False, description="Compile the networks with torch.compile: minutes at the start, faster steps afterwards."
    )
    memory_gib: float = Field(
        8.0, gt=0, description="Training patches are kept in memory up to this many GiB, and streamed from disk above."
    )
    seed: int = Field(0, ge=0, description="Of initialisation, order, dropout and augmentation.")


class AugmentationSection(Section):
    """``[augmentation]``: random changes of the training patches, on the training device; none unless said otherwise.

    Geometry is the same for brightfield and stains. There is no scaling: it would change the integrated intensities
    that are measured.
    """

    flip: bool = Field(False, description="Flip left-right and top-bottom, each with probability one half.")
    quarter_turns: bool = Field(False, description="Rotate by 0, 90, 180 or 270 degrees; no pixel is interpolated.")
    rotation_deg: float = Field(
        0.0, ge=0, le=180, description="Rotate by up to this, bilinear; what comes in at the border is background."
    )
    shift_px: float = Field(
        0.0,
        ge=0,
        description="Shift by up to this along each axis, bilinear; what comes in at the border is background.",
    )
    brightness: float = Field(
        0.0, ge=0, le=1, description="Add up to this share of the camera's range to brightfield, or subtract it."
    )
    contrast: float = Field(
        0.0, ge=0, lt=1, description="Stretch brightfield about its mean by a factor of 1 plus or minus up to this."
    )
    noise: float = Field(
        0.0, ge=0, le=1, description="Add Gaussian noise to brightfield; its S.D. as a share of the camera's range."
    )

    @property
    def active(self) -> bool:
        """Whether anything is changed."""
        return any(value for _, value in self)


class ValidationSection(Section):
    """``[validation]``: what is done with split.validation_donors in training; nothing while there are none."""

    every: int = Field(10, ge=1, description="Epochs between validations; the last epoch is always validated.")
    best: Literal["quantity", "l1", "last"] = Field(
        "quantity",
        description="Which weights stain in the end: those with the lowest mean absolute error of the quantity (DFI) "
        "per cell, those with the lowest mean absolute error per pixel, or the last.",
    )
    patience: int = Field(
        0, ge=0, description="Stop after this many validations in a row without a better one; 0: never."
    )


class ObjectiveSection(Section):
    """``[objective]``: what training minimises; the paper's loss unless said otherwise."""

    lambda_l1: float = Field(100.0, ge=0, description="Weight of the L1 term (100 : 1 in the paper's lineage).")
    lambda_l2: float = Field(
        0.0,
        ge=0,
        description="Weight of the mean squared difference. L1 settles on the median of what a pixel may be, which is "
        "dark where a stain is rare; this settles on the mean.",
    )
    lambda_gan: float = Field(1.0, ge=0, description="Weight of the adversarial term; 0 trains without it.")
    gan: Literal["bce", "lsgan"] = Field(
        "bce", description="Adversarial term: binary cross-entropy (paper), or least squares (Mao et al. 2017)."
    )
    discriminator_update: Literal["two-steps", "one-step"] = Field(
        "two-steps",
        description="How the discriminator learns from a batch: an optimiser step on the real and one on the virtual "
        "stains, each weighted one half (not in the paper; its Keras lineage), or one step on their mean (junyanz).",
    )
    lambda_ssim: float = Field(
        0.0, ge=0, description="Weight of 1 - SSIM, structural similarity in windows of 11 px (Wang et al. 2004)."
    )
    lambda_gradient: float = Field(
        0.0, ge=0, description="Weight of the gradient difference, which keeps edges sharp (Mathieu et al. 2016)."
    )
    lambda_quantity: float = Field(
        0.0,
        ge=0,
        description="Weight of quantity consistency: the difference per cell between what the quantifier measures on "
        "virtual and on true stains (its first quantity: the DFI); needs training.models = joint.",
    )
    quantities: tuple[str, ...] = Field(
        (),
        description="Which quantities lambda_quantity is about; empty for the quantifier's first (the DFI). One with a "
        "unit is divided by its mean over the training cells.",
    )


class DistillationSection(Section):
    """``[distillation]``: a trained run as the teacher of this one."""

    teacher: str | None = Field(
        None,
        description="Run folder of the teacher, relative to the experiment file; its generators in deploy mode stain "
        "beside the true stains.",
    )
    lambda_l1: float = Field(
        100.0,
        ge=0,
        description="Weight of the L1 term between the student's stains and the teacher's. For the teacher instead of "
        "the true stains set the weights in [objective] to 0.",
    )
    lambda_quantity: float = Field(
        30.0,
        ge=0,
        description="Weight of the difference per cell between what the quantifier measures on both; needs "
        "training.models = joint.",
    )
    dataset: str | None = Field(
        None,
        description="Folder of a dataset, relative to the experiment file, whose brightfield the teacher stains for "
        "the student; it needs no stains and no measured values.",
    )
    share: float = Field(
        1.0,
        gt=0,
        le=16,
        description="Its cells per step, as a share of training.batch_size, at least 1.",
    )
    allow_leakage: bool = Field(
        False,
        description="Take a teacher that has seen donors which this experiment holds out; errors on these donors are "
        "then no result.",
    )


class WeakSection(Section):
    """``[weak]``: cells that have measured values and no fluorescence images."""

    dataset: str | None = Field(
        None,
        description="Folder of a dataset, relative to the experiment file, whose cells are trained on by their "
        "measured values alone (objective.lambda_quantity).",
    )
    share: float = Field(
        0.5,
        gt=0,
        le=16,
        description="Such cells per step, as a share of training.batch_size: at 0.5 a batch of 4 "
        "takes 2 more, at least 1.",
    )
    crop_px: float | None = Field(
        None,
        gt=0,
        description="Side of the square, in pixels of that camera, over which its sums were taken; they are multiplied "
        "by (patches.size / crop_px) squared. A DFI needs no such factor.",
    )
