"""The experiment file: one TOML that says everything a run depends on."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vsframework.components import describe_problem
from vsframework.errors import UsageError


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


class TrainingSection(Section):
    """``[training]``: the paper's recipe unless said otherwise."""

    models: Literal["separate", "joint"] = Field(
        "separate", description="One generator per stain (paper), or one generator that gives all stains."
    )
    epochs: int = Field(1000, ge=1, description="Passes over the training patches (paper: 1000).")
    batch_size: int = Field(1, ge=1, description="Patches per step (not in the paper; 1 in its lineage).")
    learning_rate: float = Field(2e-4, gt=0, description="Of Adam (not in the paper; 2e-4 in its lineage).")
    betas: tuple[float, float] = Field((0.5, 0.999), description="Of Adam (not in the paper; its lineage).")
    lambda_l1: float = Field(100.0, ge=0, description="Weight of the L1 term (100 : 1 in the paper's lineage).")
    lambda_gan: float = Field(1.0, ge=0, description="Weight of the adversarial term; 0 trains without it.")
    stain_range: Literal["training-max", "bit-depth"] = Field(
        "training-max",
        description="What +1 at the generator's output stands for: the brightest count of the training patches, or "
        "the full range of the camera (paper: [0, 255] to [-1, 1]).",
    )
    checkpoint_every: int = Field(10, ge=1, description="Epochs between checkpoints.")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field("32-true", description="Of Lightning Fabric.")
    accelerator: str = Field("auto", description="Of Lightning Fabric: auto, cpu, cuda, mps.")
    seed: int = Field(0, ge=0, description="Of initialisation, order and dropout.")


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
        problems = "; ".join(describe_problem(problem, _section(problem["loc"])) for problem in error.errors())
        raise UsageError(f"{origin}: {problems}") from error


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the resolved experiment (every default written out) as TOML."""
    path.write_text(tomli_w.dumps(experiment.tables()), encoding="utf-8")


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
