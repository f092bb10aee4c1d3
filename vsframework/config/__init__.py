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
    ObjectiveSection,
    TrainingSection,
    ValidationSection,
    WeakSection,
)

__all__ = [
    "AugmentationSection",
    "BaselineSection",
    "DataSection",
    "Experiment",
    "ObjectiveSection",
    "PatchesSection",
    "Section",
    "Selection",
    "SplitSection",
    "TrainingSection",
    "ValidationSection",
    "WeakSection",
    "load_experiment",
    "parse_experiment",
    "write_experiment",
]
