"""What crops with measured values would give before they are built: each is looked at and held against its row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from vsframework.config import Experiment
from vsframework.dataset.checked import CheckedField, StudyCheck
from vsframework.dataset.checking_together import below, compare, suspicions_of_study, unused_images
from vsframework.dataset.looks import SATURATED, Look, look_at, suspicions_of_image
from vsframework.dataset.measured_crops import MeasuredCrops, crop_id, find_crops, labels_path, read_labels
from vsframework.errors import VsfError
from vsframework.progress import track

LISTED = 8


def check_measured_crops(experiment: Experiment, root: Path) -> StudyCheck:
    """Look at every crop below `root` once and hold its name against the table; build nothing, write nothing.

    Raises
    ------
    UsageError
        When the crops or the table are missing.
    VsfError
        When the table contradicts itself, so that nothing could be built.
    """
    table = labels_path(experiment.data, root)
    labels = read_labels(table)
    found = find_crops(root)
    crops = MeasuredCrops(labels)
    (channel,) = experiment.data.brightfield_channels
    checked = []
    for match, path in track(found, "Looking at the crops"):
        item = CheckedField(id=crop_id(match), donor=match["donor"], files={channel: below(root, path)})
        checked.append(item)
        try:
            _, image = crops.read(match, path)
        except VsfError as error:
            item.problems.append(str(error).replace(f"{root}/", ""))
            continue
        item.looks[channel] = look = look_at(image)
        if look.blank:
            item.suspicions += suspicions_of_image(channel, look)
        if look.shape[0] != look.shape[1]:
            item.suspicions.append(f"it is {look.size} px, not square: it will be squeezed into a square patch")
    compare(checked, ())
    suspicions = [
        *_without_crop(labels, {int(match["idx"]) for match, _ in found}, table.name),
        *_saturated([item.looks[channel] for item in checked if item.looks]),
        *suspicions_of_study(experiment, checked),
    ]
    return StudyCheck(
        fields=checked,
        suspicions=suspicions,
        unused=unused_images((path for _, path in found), root),
        kind="crops",
    )


def _without_crop(labels: pd.DataFrame, there: set[int], table: str) -> list[str]:
    lacking = [index for index in labels.index if index not in there]
    if not lacking:
        return []
    few = ", ".join(map(str, lacking[:LISTED])) + (", ..." if len(lacking) > LISTED else "")
    return [f"{table} has values of {len(lacking)} cells without a crop ({few})"]


def _saturated(looks: list[Look]) -> list[str]:
    """Say it once of all crops: one camera and lamp made them, and a line for each would hide the rest."""
    shares = [look.saturated for look in looks if look.saturated > SATURATED and not look.blank]
    if not shares:
        return []
    return [f"{len(shares)} of {len(looks)} crops are saturated, in up to {max(shares):.1%} of their pixels"]
