"""The whole experiment file, and what no training can do."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from vsframework.config.data import DataSection, PatchesSection, SplitSection
from vsframework.config.evaluation import BaselineSection
from vsframework.config.sections import Section, Selection
from vsframework.config.training import (
    AugmentationSection,
    DistillationSection,
    ObjectiveSection,
    TrainingSection,
    ValidationSection,
    WeakSection,
)
from vsframework.config.trust import TrustSection


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
    denoiser: Selection = Field(
        Selection(name="border-median"),
        description="Removes the background of the stains (paper: histogram-mode; see docs/denoising.md).",
    )
    generator: Selection = Field(Selection(name="pix2pix"), description="The networks.")
    quantifier: Selection = Field(Selection(name="dfi"), description="Measures the stains.")
    regressor: Selection = Field(
        Selection(name="small-cnn"), description="Predicts the quantity without stains, as a baseline (see [baseline])."
    )
    training: TrainingSection = TrainingSection()
    augmentation: AugmentationSection = AugmentationSection()
    validation: ValidationSection = ValidationSection()
    objective: ObjectiveSection = ObjectiveSection()
    weak: WeakSection = WeakSection()
    distillation: DistillationSection = DistillationSection()
    baseline: BaselineSection = BaselineSection()
    trust: TrustSection = TrustSection()

    @property
    def measures_in_training(self) -> bool:
        """Whether the quantifier is a term of the objective."""
        taught = self.distillation.lambda_quantity if self.distillation.teacher else 0.0
        return bool(self.objective.lambda_quantity or taught)

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
        distillation = self.distillation
        if distillation.dataset and not distillation.teacher:
            raise ValueError("distillation.dataset needs a teacher that stains it: set distillation.teacher")
        if distillation.teacher and distillation.lambda_quantity and self.training.models != "joint":
            raise ValueError(
                "distillation.lambda_quantity needs all stains of a cell from one network: "
                'set training.models = "joint", or lambda_quantity = 0'
            )
        if distillation.teacher and not (distillation.lambda_l1 or distillation.lambda_quantity):
            raise ValueError(
                "both weights in [distillation] are 0, so the teacher has nothing to say: set one above 0, or leave "
                "the teacher out"
            )
        if not distillation.teacher and not any(
            (
                objective.lambda_l1,
                objective.lambda_l2,
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
