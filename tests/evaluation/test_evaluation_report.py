"""The report: one file, nothing missing, nothing from outside, and the headline tells the truth."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from vsframework.cli.evaluate import command as evaluate_command
from vsframework.cli.evaluate import describe
from vsframework.cli.report import command as report_command
from vsframework.config import SplitSection
from vsframework.dataset.store import PatchDataset
from vsframework.errors import UsageError, VsfError
from vsframework.evaluation import Evaluation, evaluate
from vsframework.evaluation.report import rejections, write_report
from vsframework.evaluation.wording import headline

Make = Callable[..., Any]


class Page(HTMLParser):
    """Collects what a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href"):
                self.addresses.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, make_run: Make, known_stainer: Make) -> Path:
    """A run with its evaluation: the model is 0.03 off everywhere, the constant 0.08 on D1. Only to be read."""
    made: Path = make_run(tmp_path_factory.mktemp("evaluated") / "run")
    evaluate(PatchDataset.open(made / "dataset"), made, known_stainer(error=0.03))
    rows = [{"epoch": epoch, "model": name, "l1": 1 / epoch} for epoch in (1, 2, 3) for name in ("dsDNA", "ssDNA")]
    pd.DataFrame(rows).to_csv(made / "metrics.csv", index=False)
    return made


@pytest.fixture(scope="module")
def report(evaluated: Path) -> str:
    return write_report(evaluated).read_text(encoding="utf-8")


@pytest.fixture
def run(evaluated: Path, tmp_path: Path) -> Path:
    """A copy of that run to change."""
    return Path(shutil.copytree(evaluated, tmp_path / "run"))


def test_the_report_is_one_file_that_needs_nothing_from_outside(report: str) -> None:
    page = Page(report)
    assert page.addresses
    assert [a for a in page.addresses if not a.startswith(("data:", "#"))] == []
    assert "script" not in page.tags
    assert "@import" not in report
    assert [a for a in re.findall(r"url\(([^)]*)\)", report) if not a.startswith("#")] == []


def test_ids_are_unique_and_every_reference_inside_the_page_is_met(report: str) -> None:
    page = Page(report)
    assert len(page.ids) == len(set(page.ids))
    wanted = {a[1:] for a in page.addresses if a.startswith("#")} | set(re.findall(r"url\(#([^)]*)\)", report))
    assert wanted <= set(page.ids)


def test_the_report_shows_every_part(report: str) -> None:
    page = Page(report)
    # errors, scatter, Bland-Altman, calibration, two histograms, one training curve
    assert page.tags.count("svg") == 7
    # best, median and worst: brightfield and three pictures of two stains each
    assert page.tags.count("img") == 3 * (1 + 3 * 2)
    for part in ("held out", "trained on", "Simulated data", "only N inliers, N are needed", "test_donors"):
        assert part in page.text, part


def test_a_run_with_gates_and_intervals_says_what_they_did(run: Path, known_stainer: Make, judge: Make) -> None:
    judge(run, known_stainer(error=0.03))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "1 of 7 cells get no number; 100\N{NO-BREAK SPACE}% of the 90\N{NO-BREAK SPACE}% DFI intervals" in page.text
    assert "abstained, because out of focus" in page.text
    assert "nothing is promised for one" in page.text
    assert page.tags.count("svg") == 9  # risk against coverage, and the coverage per donor
    assert page.tags.count("article") == 4


def test_runs_are_compared_donor_by_donor(tmp_path: Path, make_run: Make, known_stainer: Make) -> None:
    donors = ["D1", "D3"]
    runs = []
    for name, error in (("ours", 0.03), ("theirs", 0.05)):
        made = make_run(tmp_path / name, test_donors=donors)
        evaluate(PatchDataset.open(made / "dataset"), made, known_stainer(donors, error=error))
        runs.append(made)
    alone = Page(write_report(runs[0]).read_text(encoding="utf-8")).text
    assert "Is one better than the other?" in alone
    assert "constant" in alone.split("Is one better")[1]
    together = Page(write_report(runs[0], beside=runs[1:]).read_text(encoding="utf-8")).text
    section = together.split("Is one better than the other?")[1]
    assert "theirs" in section
    assert "-0.0200" in section  # the mean error of the first minus that of the second
    for test in ("Student's unpaired t", "paired t", "Wilcoxon signed-rank"):
        assert test in section


def test_the_headline_says_how_the_model_compares_with_the_constant(
    run: Path, report: str, known_stainer: Make
) -> None:
    page = Page(report)
    assert "On held-out donor D1 (7 cells) the mean absolute DFI error is 0.0300" in page.text
    assert "gives 0.0800, so the model is 62\N{NO-BREAK SPACE}% better than a constant." in page.text

    dataset = PatchDataset.open(run / "dataset")
    worse = evaluate(dataset, run, known_stainer(error=0.10))
    assert "the model is 25 % worse than a constant." in headline(worse, worse.quantities[0])
    awful = evaluate(dataset, run, known_stainer(error=0.24))
    assert "much worse than a constant: its error is 3.0 times as large" in headline(awful, awful.quantities[0])


@pytest.mark.parametrize(("low", "high", "said"), [(-0.2, 0.3, True), (0.1, 0.3, False), (-0.4, -0.1, False)])
def test_a_gain_within_chance_is_not_called_a_gain(evaluated: Path, low: float, high: float, said: bool) -> None:
    evaluation = Evaluation.read(evaluated)
    quantity = evaluation.quantities[0]
    assert quantity.interval is not None
    interval = quantity.interval.model_copy(update={"skill_low": low, "skill_high": high})
    changed = quantity.model_copy(update={"interval": interval})
    assert ("within chance: no gain is shown." in headline(evaluation, changed)) is said


def test_several_held_out_donors_are_all_named(run: Path, known_stainer: Make) -> None:
    found = evaluate(PatchDataset.open(run / "dataset"), run, known_stainer(["D1", "D3"], error=0.03))
    text = describe(found)
    assert "On the 2 held-out donors D1 and D3 (14 cells)" in text
    assert "resampling the 2 held-out donors" in text
    assert Page(write_report(run).read_text(encoding="utf-8")).text.count("Mean of held out") == 1


def test_the_report_of_real_data_has_no_banner(tmp_path: Path, make_run: Make, known_stainer: Make) -> None:
    run = make_run(tmp_path / "real", info={"simulated": False})
    evaluate(PatchDataset.open(run / "dataset"), run, known_stainer())
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "Simulated data" not in text


def test_names_from_outside_cannot_put_markup_into_the_page(
    tmp_path: Path, make_run: Make, known_stainer: Make
) -> None:
    donors = {"D1": 0.2, "<b>2</b>": 0.1, "D3 & co": 0.14}
    run = make_run(tmp_path / "odd", donors=donors)
    evaluate(PatchDataset.open(run / "dataset"), run, known_stainer())
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.tags.count("b") == 3  # the names of the three example rules
    assert "<b>2</b>" in page.text


def test_rejected_cells_are_counted_by_reason_with_numbers_left_out() -> None:
    cells = pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "accepted": [False, True, False, False],
            "reason": ["3 inliers", "", "blank", "12 inliers"],
        }
    )
    assert [(row.reason, row.cells, row.example) for row in rejections(cells)] == [
        ("N inliers", 2, "a: 3 inliers"),
        ("blank", 1, "c: blank"),
    ]


def test_what_is_missing_is_said_in_one_sentence(tmp_path: Path, make_run: Make, run: Path, make_dataset: Make) -> None:
    with pytest.raises(UsageError, match="there is no run"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no run folder"):
        write_report(tmp_path)
    with pytest.raises(UsageError, match="has not been evaluated yet"):
        write_report(make_run(tmp_path / "fresh"))
    make_dataset(run / "dataset", per_donor=5)
    with pytest.raises(UsageError, match="changed after"):
        write_report(run)


def test_a_damaged_summary_is_an_error_and_not_a_report(run: Path) -> None:
    (run / "evaluation" / "summary.json").write_text('{"schema_version": 1}')
    with pytest.raises(VsfError, match="cannot be read"):
        write_report(run)


def test_the_report_command_prints_where_it_wrote(evaluated: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(report_command, [str(evaluated), "-o", str(tmp_path / "mine.html")])
    assert done.output.strip() == str(tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_evaluating_a_dataset_prints_the_constant_of_each_donor(tmp_path: Path, make_dataset: Make) -> None:
    make_dataset(tmp_path / "dataset")
    plain = CliRunner().invoke(evaluate_command, [str(tmp_path / "dataset")])
    assert plain.exit_code == 0, plain.output
    lines = {line.split()[0]: line.split()[1:] for line in plain.output.splitlines()[3:]}
    # D1 is around 0.20 and the median of the others 0.12; D2 around 0.10 (others 0.17), D3 around 0.14 (others 0.15)
    assert [lines[donor][:3] for donor in ("D1", "D2", "D3")] == [
        ["7", "0.1200", "0.0800"],
        ["7", "0.1700", "0.0700"],
        ["7", "0.1500", "0.0186"],
    ]
    assert lines["mean"][0] == "0.0562"


def test_an_unknown_folder_is_wrong_use(tmp_path: Path) -> None:
    done = CliRunner().invoke(evaluate_command, [str(tmp_path / "nothing")])
    assert isinstance(done.exception, UsageError)
    assert "there is no run" in str(done.exception)


def test_a_donor_that_chose_the_weights_is_not_called_trained_on(run: Path, known_stainer: Make) -> None:
    stainer = known_stainer(error=0.03)
    split = SplitSection(test_donors=("D1",), validation_donors=("D2",))
    stainer.experiment = stainer.experiment.model_copy(update={"split": split})
    found = evaluate(PatchDataset.open(run / "dataset"), run, stainer)
    assert [found.role(donor) for donor in ("D1", "D2", "D3")] == ["held out", "watched", "trained on"]
    assert "or watched: they chose weights" in Page(write_report(run).read_text(encoding="utf-8")).text
    assert "watched" in describe(found)
