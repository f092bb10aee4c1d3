"""Somebody else's plugins, installed with pip: the good one works, each bad one gets its one clear sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vsframework


@pytest.fixture(scope="module")
def listed(lab: Any) -> dict[str, Any]:
    result = lab.vsf("plugins", "list", "--json")
    assert result.returncode == 0, result.stderr
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def problems_of(listed: dict[str, Any], plugin: str) -> list[str]:
    return next(record["problems"] for record in listed["plugins"] if record["name"] == plugin)


def test_the_good_plugin_is_listed_with_its_origin(listed: dict[str, Any]) -> None:
    component = next(record for record in listed["components"] if record["name"] == "lab-border")
    assert component == {
        "kind": "denoiser",
        "name": "lab-border",
        "qualified_name": "lab-border:lab-border",
        "plugin": "lab-border",
        "distribution": "lab-border",
        "version": "1.2.0",
        "summary": "Subtracts the mean of the border.",
        "error": None,
    }
    assert problems_of(listed, "lab-border") == []


def test_the_built_ins_are_still_there(listed: dict[str, Any]) -> None:
    names = {record["name"] for record in listed["components"] if record["plugin"] == "vsf-plugins"}
    assert {"histogram-mode", "pix2pix", "pix2pix++", "dfi"} <= names
    assert problems_of(listed, "vsf-plugins") == []


BROKEN = {
    "lab-driver": "could not be loaded from lab_driver.plugin: ModuleNotFoundError: No module named "
    "'camera_driver_that_nobody_has'",
    "lab-misspelled": "implements a hook vsf_denoiser that does not exist; did you mean vsf_denoisers?",
    "lab-future": f"needs vsframework >=99 and {vsframework.__version__} is installed; install a version of either "
    "that fits the other",
}


@pytest.mark.parametrize(("plugin", "sentence"), BROKEN.items())
def test_each_broken_plugin_gets_one_sentence(listed: dict[str, Any], plugin: str, sentence: str) -> None:
    assert problems_of(listed, plugin) == [sentence]
    assert sum(plugin in problem for problem in listed["problems"]) == 1


def test_a_collision_is_told_and_offers_both_names(listed: dict[str, Any]) -> None:
    told = [problem for problem in listed["problems"] if "histogram-mode" in problem]
    assert told == [
        "denoiser 'histogram-mode' is offered by 2 plugins; write 'lab-rival:histogram-mode' or "
        "'vsf-plugins:histogram-mode' instead"
    ]


def test_the_good_hook_of_a_plugin_with_a_misspelled_one_works(listed: dict[str, Any]) -> None:
    assert "lab-brightest" in {record["name"] for record in listed["components"]}


def test_the_table_shows_components_and_problems_apart(lab: Any) -> None:
    result = lab.vsf("plugins", "list")
    components, problems = result.stdout.split("Problems (everything else works):")
    assert "lab-border 1.2.0" in components
    assert "vsf lab-hello" in components
    assert "lab-driver" not in components
    assert "lab-driver 0.3.0" in problems


def test_check_turns_problems_into_exit_code_1(lab: Any) -> None:
    result = lab.vsf("plugins", "list", "--kind", "denoiser", "--check", "--json")
    assert result.returncode == 1
    assert all(record["error"] is None for record in json.loads(result.stdout)["components"])


def test_the_command_of_a_plugin_runs(lab: Any) -> None:
    assert lab.vsf("lab-hello").stdout == "hello from the lab\n"


def test_a_disabled_plugin_is_gone_and_named(lab: Any) -> None:
    result = lab.vsf("plugins", "list", VSF_DISABLED_PLUGINS="lab-rival, LAB_border,lab-typo")
    assert "Switched off by VSF_DISABLED_PLUGINS: lab-border, lab-rival" in result.stdout
    assert "offered by 2 plugins" not in result.stdout
    assert "VSF_DISABLED_PLUGINS names 'lab-typo', and no plugin has that name" in result.stdout


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "lab-bordr",
            "Error: there is no denoiser 'lab-bordr'; did you mean 'lab-border'? (3 plugins had problems, see "
            "'vsf plugins list')\n",
        ),
        (
            "histogram-mode",
            "Error: denoiser 'histogram-mode' is offered by 2 plugins; write 'lab-rival:histogram-mode' or "
            "'vsf-plugins:histogram-mode' instead\n",
        ),
    ],
)
def test_a_wrong_name_is_wrong_use_with_a_way_out(lab: Any, name: str, sentence: str) -> None:
    result = lab.vsf("plugins", "show", "denoiser", name)
    assert (result.returncode, result.stderr) == (2, sentence)


def test_an_ambiguous_name_can_be_qualified(lab: Any) -> None:
    result = lab.vsf("plugins", "show", "denoiser", "lab-rival:histogram-mode")
    assert result.returncode == 0
    assert "Subtracts the darkest value." in result.stdout


def test_show_tells_every_parameter(lab: Any) -> None:
    shown = json.loads(lab.vsf("plugins", "show", "denoiser", "lab-border", "--json").stdout)
    assert shown["module"] == "lab_border.plugin"
    assert shown["parameters"] == [
        {
            "name": "width",
            "type": "integer",
            "numeric": True,
            "minimum": 1,
            "maximum": 64,
            "exclusive_minimum": False,
            "exclusive_maximum": False,
            "unit": "px",
            "required": False,
            "default": 6,
            "description": "Width of the border.",
            "bounds": "1 to 64",
        }
    ]


def test_the_good_plugin_passes_its_contract(lab: Any) -> None:
    result = lab.vsf("plugins", "check", "lab-border")
    assert result.returncode == 0, result.stdout
    assert result.stdout.startswith("ok      denoiser lab-border:lab-border: ")


def test_a_broken_contract_is_told_in_words(lab: Any) -> None:
    result = lab.vsf("plugins", "check", "lab-misspelled")
    assert result.returncode == 1
    assert "FAILED  quantifier lab-misspelled:lab-brightest" in result.stdout
    assert "numpy and torch agree: brightest left torch: compute with array_namespace(stains)" in result.stdout
    assert "FAILED  plugin lab-misspelled (lab-misspelled 0.1.0) implements a hook vsf_denoiser" in result.stdout


def test_it_is_chosen_by_name_in_an_experiment(lab: Any, tmp_path: Path) -> None:
    study = tmp_path / "study"
    size = ("--donors", "1", "--fields", "1", "--width", "480", "--height", "360", "--cells-per-field", "3")
    simulated = lab.vsf("simulate", study, *size)
    assert simulated.returncode == 0, simulated.stderr
    experiment = study / "experiment.toml"
    choice = ("-o", 'denoiser={name="lab-border", width=9}')
    built = lab.vsf("dataset", "build", experiment, *choice, "--json")
    assert built.returncode == 0, built.stderr
    record = json.loads((Path(json.loads(built.stdout)["path"]) / "dataset.json").read_text())
    assert record["experiment"]["denoiser"] == {"name": "lab-border", "width": 9}
