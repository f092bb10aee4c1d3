"""The experiment file: defaults, overrides, and one sentence for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsframework import UsageError
from vsframework.config import load_experiment, parse_experiment, write_experiment

MINIMAL = '[data]\nroot = "fields"\n'


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        path = tmp_path / "experiment.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_the_defaults_are_the_papers_but_for_the_denoiser(write) -> None:
    """The paper's rule errs five times as much on simulated light (docs/denoising.md); examples/paper.toml names it."""
    experiment = load_experiment(write(MINIMAL))
    assert experiment.patches.size == 256
    assert experiment.training.epochs == 1000
    assert experiment.training.models == "separate"
    assert (experiment.registrar.name, experiment.denoiser.name) == ("sift-ransac", "border-median")
    assert (experiment.generator.name, experiment.quantifier.name) == ("pix2pix", "dfi")


def test_what_is_written_reads_back_the_same(write, tmp_path: Path) -> None:
    text = MINIMAL + '[denoiser]\nname = "histogram-mode"\nmodes = 5\n[alignment]\nname = "phase-correlation"\n'
    experiment = load_experiment(write(text))
    write_experiment(experiment, tmp_path / "config.toml")
    assert load_experiment(tmp_path / "config.toml") == experiment


def test_overrides_reach_sections_and_component_parameters(write) -> None:
    changed = ("training.epochs=3", "denoiser.modes=5", "generator.name=pix2pix++", 'split.test_donors=["a", "b"]')
    experiment = load_experiment(write('denoiser = "histogram-mode"\n' + MINIMAL), changed)
    assert experiment.training.epochs == 3
    assert experiment.denoiser.params == {"modes": 5}
    assert experiment.generator.name == "pix2pix++"
    assert experiment.split.test_donors == ("a", "b")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[data]\nroot = "x"\npatern = "y"\n', "did you mean 'pattern'"),
        ('[data]\nroot = "x"\n[trainig]\nepochs = 1\n', "did you mean 'training'"),
        ('[data]\nroot = "x"\n[training]\nepochs = 0\n', "training.epochs = 0"),
        ('[data]\nroot = "x"\n[denoiser]\nmodes = 3\n', "denoiser.name is missing"),
        ("", "data is missing"),
        ("[data\n", "cannot be read as TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(write, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_experiment(write(text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no experiment file .*nowhere\.toml"):
        load_experiment(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("override", ["training.epochs", "=3", "name.x.y=1"])
def test_an_override_of_the_wrong_form_is_refused(write, override: str) -> None:
    with pytest.raises(UsageError, match="override"):
        load_experiment(write('name = "demo"\n' + MINIMAL), [override])


def test_every_key_is_described() -> None:
    from pydantic import BaseModel

    from vsframework.config import Experiment

    sections: list[type[BaseModel]] = [Experiment]
    for model in sections:
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                sections.append(field.annotation)
            else:
                assert field.description, f"{model.__name__}.{name} has no description"
    assert len(sections) > 5


def test_parse_names_its_origin() -> None:
    with pytest.raises(UsageError, match=r"^study\.toml: "):
        parse_experiment({}, "study.toml")
