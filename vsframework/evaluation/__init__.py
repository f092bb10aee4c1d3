"""Stains to numbers that can be trusted, and the report."""

from vsframework.evaluation.measuring import evaluate
from vsframework.evaluation.results import Evaluation

__all__ = ["Evaluation", "evaluate"]
