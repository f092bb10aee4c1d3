"""The experiment file: one TOML that says everything a run depends on."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from vsframework.components import describe_problem
from vsframework.errors import UsageError

MOVED = {f"training.{name}": f"objective.{name}" for name in ("lambda_l1", "lambda_gan")}
"""Keys of older experiment files, and where they are now."""


class Section(BaseModel):
    """A table of the experiment file: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Selection(BaseModel):
    """A component chosen by name, with its parameters beside it in the same table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Name of the component, or plugin:name where two plugins offer it.")
    params: dict[str, Any] = Field(default_factory=dict, description="Its parameters.")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        """Accept a bare name, and gather the keys beside ``name`` as parameters."""
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and not isinstance(value.get("params"), Mapping):
            return {
                **({"name": value["name"]} if "name" in value else {}),
                "params": {key: item for key, item in value.items() if key != "name"},
            }
        return value

    def table(self) -> dict[str, Any]:
        """Give it back as it stands in a TOML file."""
        return {"name": self.name, **self.params}


class DataSection(Section):
    """``[data]``: what the lab has, and how its files are named."""

    root: str = Field(description="Folder of the raw fields, relative to the experiment file.")
    layout: Literal["pattern", "mccallum-crops"] = Field(
        "pattern", description="How files are found: by a name pattern, or as the crops of McCallum et al. 2019."
    )
    pattern: str = Field(
        "{donor}/{field}_{channel}.tif", description="Where a channel of a field lies: {donor}, {field}, {channel}."
    )
    brightfield: str = Field("BF", description="What stands for {channel} in a brightfield file.")
    stains: tuple[str, ...] = Field(
        ("dsDNA", "ssDNA"),
        min_length=1,
        description="What stands for {channel} in the fluorescence files; the reference stain first.",
    )
    crops: str | None = Field(
        None,
        description="Pattern of brightfield crops, one cell each ({donor}, {field}, {cell}); without it cells are "
        "detected in the brightfield field.",
    )
    labels: str | None = Field(
        None, description="CSV of measured values per cell, relative to root (layout mccallum-crops)."
    )


class PatchesSection(Section):
    """``[patches]``: the geometry of a patch."""

    size: int = Field(256, ge=16, le=4096, description="Side of a patch in pixels (paper: 256).")
    field_px: int = Field(
        150, ge=8, le=4096, description="Side of the square that a detected cell is cut with, in field pixels."
    )


class SplitSection(Section):
    """``[split]``: whose cells are held out."""

    test_donors: tuple[str, ...] = Field((), description="Donors that are never trained on (paper: donor 1).")
    validation_donors: tuple[str, ...] = Field(
        (),
        description="Donors that are not trained on either, and on which training is watched: they choose the best "
        "weights and when to stop (see [validation]). Not in the paper.",
    )

    @model_validator(mode="after")
    def _apart(self) -> SplitSection:
        both = sorted(set(self.test_donors) & set(self.validation_donors))
        if both:
            raise ValueError(
                f"{', '.join(both)} cannot be a test donor and a validation donor: what is chosen on a donor cannot be "
                "judged on it"
            )
        return self

    @property
    def held_out(self) -> tuple[str, ...]:
        """Donors whose cells are never trained on."""
        return (*self.test_donors, *self.validation_donors)


class TrainingSection(Section):
    """``[training]``: the paper's recipe unless said otherwise."""

    models: Literal["separate", "joint"] = Field(
        "separate", description="One generator per stain (paper), or one generator that gives all stains."
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
    lambda_gan: float = Field(1.0, ge=0, description="Weight of the adversarial term; 0 trains without it.")
    gan: Literal["bce", "lsgan"] = Field(
        "bce", description="Adversarial term: binary cross-entropy (paper), or least squares (Mao et al. 2017)."
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


class Experiment(Section):
    """The whole experiment file."""

    schema_version: Literal[1] = Field(1, description="Version of this file's format.")
    name: str = Field("experiment", description="Shown in the report.")
    output: str = Field("run", description="Run folder, relative to the experiment file.")
    data: DataSection
    patches: PatchesSection = PatchesSection()
    split: SplitSection = SplitSection()
    registrar: Selection = Field(Selection(name="sift-ransac"), description="Finds a brightfield crop in its field.")
    alignment: Selection | None = Field(
        None, description="Registrar that aligns the fluorescence fields to the brightfield field; none if absent."
    )
    detector: Selection = Field(Selection(name="head-blob"), description="Finds cells where there are no crops.")
    denoiser: Selection = Field(Selection(name="histogram-mode"), description="Removes the background of the stains.")
    generator: Selection = Field(Selection(name="pix2pix"), description="The networks.")
    quantifier: Selection = Field(Selection(name="dfi"), description="Measures the stains.")
    training: TrainingSection = TrainingSection()
    augmentation: AugmentationSection = AugmentationSection()
    validation: ValidationSection = ValidationSection()
    objective: ObjectiveSection = ObjectiveSection()
    weak: WeakSection = WeakSection()

    @model_validator(mode="after")
    def _fits_together(self) -> Experiment:
        """Refuse what no training can do, before any image is read."""
        objective = self.objective
        if objective.lambda_quantity and self.training.models != "joint":
            raise ValueError(
                "objective.lambda_quantity needs all stains of a cell from one network: "
                'set training.models = "joint", or lambda_quantity = 0'
            )
        if self.weak.dataset and not objective.lambda_quantity:
            raise ValueError(
                "weak.dataset is trained on by the quantity term alone: "
                "set objective.lambda_quantity above 0, or leave weak.dataset out"
            )
        if not any(
            (
                objective.lambda_l1,
                objective.lambda_gan,
                objective.lambda_ssim,
                objective.lambda_gradient,
                objective.lambda_quantity,
            )
        ):
            raise ValueError("every weight in [objective] is 0, so there is nothing to train for: set one above 0")
        return self

    def tables(self) -> dict[str, Any]:
        """Give the resolved experiment as TOML tables (every default written out)."""
        raw = self.model_dump(mode="json", exclude_none=True)
        for key, value in self:
            if isinstance(value, Selection):
                raw[key] = value.table()
        return raw


def load_experiment(path: Path, overrides: Iterable[str] = ()) -> Experiment:
    """Read an experiment file; `overrides` are ``section.key=value`` with a TOML value or bare text.

    Raises
    ------
    UsageError
        Missing file, broken TOML, unknown key (with the closest known one) or wrong value.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no experiment file {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from error
    for override in overrides:
        _apply_override(tables, override)
    return parse_experiment(tables, str(path))


def parse_experiment(tables: Mapping[str, Any], origin: str) -> Experiment:
    """Validate `tables`; `origin` names them in an error."""
    try:
        return Experiment.model_validate(tables)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise UsageError(f"{origin}: {problems}") from error


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the resolved experiment (every default written out) as TOML."""
    path.write_text(tomli_w.dumps(experiment.tables()), encoding="utf-8")


def _describe(problem: ErrorDetails) -> str:
    """Say what is wrong with one key, or with how several go together."""
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    key = ".".join(str(part) for part in problem["loc"])
    if key in MOVED:
        return f"{key} is {MOVED[key]} now; move it there"
    return describe_problem(problem, _section(problem["loc"]))


def _section(location: tuple[int | str, ...]) -> type[BaseModel]:
    """Find the model in which a problem lies, for its list of known keys."""
    model: type[BaseModel] = Experiment
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return model


def _apply_override(tables: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    path = key.strip().split(".")
    if not separator or not all(path):
        raise UsageError(f"override {override!r} is not of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table: Any = tables
    for part in path[:-1]:
        existing = table.setdefault(part, {})
        if isinstance(existing, str):  # a component chosen by its bare name
            existing = table[part] = {"name": existing}
        if not isinstance(existing, dict):
            raise UsageError(f"override {override!r}: {part!r} is not a table")
        table = existing
    table[path[-1]] = value
