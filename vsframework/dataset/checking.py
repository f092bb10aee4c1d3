"""What a study would give before it is built: which files go together, what is missing, what looks wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsframework.config import Experiment
from vsframework.dataset.layouts import FieldFiles, find_fields
from vsframework.dataset.layouts.field_files import images_below
from vsframework.dataset.looks import Look, look_at
from vsframework.dataset.pixel_sizes import same_size
from vsframework.dataset.planes import WHOLE, read_channel
from vsframework.errors import VsfError
from vsframework.images import FieldChoice, is_zarr, missing_chunks
from vsframework.images.opening import one_sentence
from vsframework.progress import track

SATURATED = 1e-3
"""Share of pixels at full scale from which a sum over them is too small."""

MAJORITY = 0.8
"""Share of fields that must agree before another one is called odd."""

IMAGE_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".zarr", ".czi", ".nd2", ".lif", ".avi", ".mp4")


@dataclass(kw_only=True)
class CheckedField:
    """One field: its files by channel below the raw folder, what keeps it from being built, and what looks wrong."""

    id: str
    donor: str
    files: dict[str, str]
    crops: int = 0
    looks: dict[str, Look] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    suspicions: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "id": self.id,
            "donor": self.donor,
            "files": self.files,
            "crops": self.crops,
            "channels": {name: look.record() for name, look in self.looks.items()},
            "problems": self.problems,
            "suspicions": self.suspicions,
        }


@dataclass(frozen=True, kw_only=True)
class StudyCheck:
    """What there is, and what is wrong with the study as a whole.

    Attributes
    ----------
    fields
        Every field, by donor and name.
    suspicions
        What concerns no single field.
    unused
        Image files below the raw folder that belong to no field.
    """

    fields: Sequence[CheckedField]
    suspicions: Sequence[str]
    unused: Sequence[str]

    @property
    def buildable(self) -> list[CheckedField]:
        """The fields without a problem."""
        return [item for item in self.fields if not item.problems]

    def record(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "fields": [item.record() for item in self.fields],
            "buildable": len(self.buildable),
            "suspicions": list(self.suspicions),
            "unused": list(self.unused),
        }


def check_study(experiment: Experiment, folder: Path) -> StudyCheck:
    """Look at every image of the study of `experiment` once; build nothing, write nothing.

    Parameters
    ----------
    folder
        Where the experiment file lies.

    Raises
    ------
    UsageError
        When no field is found, with what was looked for and what is there.
    """
    root = folder / experiment.data.root
    found = find_fields(experiment.data, root)
    fields = [_check_field(experiment, files, root) for files in track(found, "Looking at the images")]
    _compare(fields, experiment.data.stains)
    suspicions = [*_donors(experiment, fields), *_depths(fields)]
    return StudyCheck(fields=fields, suspicions=suspicions, unused=_unused(experiment, found, root))


# -------------------------------------------------------------------------------------------------------- one field


def _check_field(experiment: Experiment, files: FieldFiles, root: Path) -> CheckedField:
    data = experiment.data
    channels = {**files.brightfield, **files.stains}
    checked = CheckedField(
        id=files.id,
        donor=files.donor,
        files={name: _below(root, path) for name, path in channels.items()},
        crops=len(files.crops),
    )
    for name in (*data.brightfield_channels, *data.stains):
        if name not in channels:
            checked.problems.append(f"there is no file for {name}")
            continue
        z = data.z if name in data.brightfield_channels else data.stain_z
        choice = FieldChoice(z=z, time=data.time, scene=data.scene)
        try:
            image = read_channel(channels[name], files.within.get(name, WHOLE), choice)
            with one_sentence(channels[name]):
                lost = missing_chunks(channels[name]) if is_zarr(channels[name]) else 0
        except VsfError as error:
            checked.problems.append(str(error).replace(f"{root}/", ""))
            continue
        if len(image.pixels) != (pages := data.pages if name in data.brightfield_channels else 1):
            checked.problems.append(f"{name} has {len(image.pixels)} planes where {pages} was expected")
        if lost:
            checked.suspicions.append(f"{lost} chunks of {name} are not on disk: blank, or lost")
        checked.looks[name] = look = look_at(image)
        checked.suspicions += _one_channel(name, look)
    _one_field(checked, experiment)
    return checked


def _one_channel(name: str, look: Look) -> list[str]:
    if look.blank:
        return [f"{name} is blank: every pixel is {look.largest:g}"]
    if look.saturated > SATURATED:
        return [f"{look.saturated:.1%} of {name} is saturated"]
    return []


def _one_field(checked: CheckedField, experiment: Experiment) -> None:
    data, looks = experiment.data, checked.looks
    depths = sorted({look.bit_depth for look in looks.values()})
    if len(depths) > 1:
        checked.problems.append(f"its channels have different bit depths ({', '.join(map(str, depths))})")
    stains = [looks[name] for name in data.stains if name in looks]
    brightfield = [looks[name] for name in data.brightfield_channels if name in looks]
    for what, group in (("brightfield planes", brightfield), ("fluorescence images", stains)):
        if len({look.shape for look in group}) > 1:
            checked.problems.append(f"its {what} have different sizes")
    if brightfield and stains and brightfield[0].shape != stains[0].shape and experiment.alignment is None:
        checked.problems.append(
            f"brightfield is {brightfield[0].size} and fluorescence {stains[0].size}; name an [alignment] registrar"
        )
    if data.crops and not checked.crops:
        checked.suspicions.append("it has no crops of cells, so it gives no cells")
    sizes = [look.pixel_size_um for look in looks.values() if look.pixel_size_um is not None]
    study = data.pixel_size_um or (sizes[0] if sizes else None)
    others = sorted({size for size in sizes if study and not same_size(size, study)})
    if others and data.other_pixel_size == "refuse":
        checked.problems.append(f"it has pixels of {', '.join(f'{size:g}' for size in others)} and of {study:g} µm")
    dark = [look.darkness for look in stains if not look.blank]
    if brightfield and dark and not brightfield[0].blank and brightfield[0].darkness > max(dark):
        checked.suspicions.append(
            "its brightfield is darker between few bright places than its fluorescence: are the channels swapped?"
        )
    same = _groups((name, look.digest) for name, look in looks.items() if not look.blank)
    checked.suspicions += [f"{' and '.join(names)} are the same image" for names in same]


# --------------------------------------------------------------------------------------------------- fields together


def _compare(fields: Sequence[CheckedField], stains: Sequence[str]) -> None:
    """Find what only shows between fields: the same image twice, another size, stains the other way round."""
    everywhere = _groups(
        (f"{item.id} {name}", look.digest) for item in fields for name, look in item.looks.items() if not look.blank
    )
    by_id = {item.id: item for item in fields}
    for names in everywhere:
        ids = sorted({name.rpartition(" ")[0] for name in names})
        for one in ids if len(ids) > 1 else ():
            others = [name for name in names if not name.startswith(f"{one} ")]
            by_id[one].suspicions.append(f"one of its images is also {', '.join(others[:3])}")
    for what, trait in (("size", lambda look: look.size), ("pixel size", lambda look: _um(look.pixel_size_um))):
        common = _common([trait(look) for item in fields for look in item.looks.values()])
        for item in fields:
            odd = sorted({trait(look) for look in item.looks.values()} - {common})
            if common is not None and odd:
                item.suspicions.append(f"it has the {what} {', '.join(odd)}, nearly all others {common}")
    if len(stains) > 1:
        orders = {item.id: _brighter(item, stains) for item in fields if set(stains) <= set(item.looks)}
        common = _common(list(orders.values()))
        for name, brighter in orders.items():
            if common is not None and brighter != common:
                by_id[name].suspicions.append(
                    f"{brighter} is its brightest stain, {common} that of nearly all others: are the channels swapped?"
                )


def _brighter(item: CheckedField, stains: Sequence[str]) -> str:
    return max(stains, key=lambda name: item.looks[name].light)


def _common(values: Sequence[str]) -> str | None:
    """Give the value that most have; None where too few agree, or there is nothing to compare."""
    if len(values) < 3:
        return None
    value, count = Counter(values).most_common(1)[0]
    return value if count >= MAJORITY * len(values) else None


def _um(size: float | None) -> str:
    return "unknown" if size is None else f"{size:.3g} µm"


def _groups(named: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Give the names that share a digest, where several do."""
    by_digest: dict[str, list[str]] = {}
    for name, digest in named:
        by_digest.setdefault(digest, []).append(name)
    return [names for names in by_digest.values() if len(names) > 1]


def _donors(experiment: Experiment, fields: Sequence[CheckedField]) -> list[str]:
    known = {item.donor for item in fields}
    lacking = [donor for donor in experiment.split.held_out if donor not in known]
    said = [f"[split] names the donor {donor}, who has no field" for donor in lacking]
    stains = experiment.data.stains
    if [stain.lower() for stain in stains] in (["dsdna", "ssdna"], ["green", "red"]):
        orders = [_brighter(item, stains) for item in fields if set(stains) <= set(item.looks)]
        if orders and orders.count(stains[1]) > len(orders) / 2:
            said.append(
                f"{stains[1]} is brighter than {stains[0]} in {orders.count(stains[1])} of {len(orders)} fields, which "
                "few samples show: are the two swapped?"
            )
    return said


def _depths(fields: Sequence[CheckedField]) -> list[str]:
    looks = [look for item in fields for look in item.looks.values()]
    if not looks or {look.bit_depth for look in looks} != {16}:
        return []
    bits = int(max(look.largest for look in looks)).bit_length()
    if bits in (8, 10, 12, 14):
        return [
            f"all images say 16 bits and no count needs more than {bits}: a {bits}-bit camera whose files do not say "
            "so? Saturation cannot be seen then"
        ]
    return []


def _unused(experiment: Experiment, found: Sequence[FieldFiles], root: Path) -> list[str]:
    used = {path for files in found for path in files.files}
    folders = [path for path in used if path.is_dir()]
    return [
        _below(root, path)
        for path in images_below(root)
        if path not in used
        and path.name.lower().endswith(IMAGE_ENDINGS)
        and not any(path in inner.parents for inner in folders)
    ]


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
