"""The experiment file: one TOML that says everything a run depends on.

``data``, ``training`` and ``evaluation``: its tables. ``experiment``: the whole. ``files``: reading and writing it.
"""

from vsframework.config.data import DataSection, PatchesSection, SplitSection
from vsframework.config.evaluation import BaselineSection
from vsframework.config.experiment import Experiment
from vsframework.config.files import load_experiment, parse_experiment, write_experiment
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

__all__ = [
    "AugmentationSection",
    "BaselineSection",
    "DataSection",
    "DistillationSection",
    "Experiment",
    "ObjectiveSection",
    "PatchesSection",
    "Section",
    "Selection",
    "SplitSection",
    "TrainingSection",
    "TrustSection",
    "ValidationSection",
    "WeakSection",
    "load_experiment",
    "parse_experiment",
    "write_experiment",
]
