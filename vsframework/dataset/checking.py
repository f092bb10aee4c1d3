"""What a study would give before it is built: which files go together, what is missing, what looks wrong."""

from __future__ import annotations

from pathlib import Path

from vsframework.config import Experiment
from vsframework.dataset.checked import CheckedField, StudyCheck
from vsframework.dataset.checking_crops import check_measured_crops
from vsframework.dataset.checking_together import below, compare, same_images, suspicions_of_study, unused_images
from vsframework.dataset.layouts import FieldFiles, find_fields
from vsframework.dataset.looks import look_at, suspicions_of_image
from vsframework.dataset.pixel_sizes import same_size
from vsframework.dataset.planes import WHOLE, read_channel
from vsframework.errors import VsfError
from vsframework.images import FieldChoice, is_zarr, missing_chunks
from vsframework.images.opening import one_sentence
from vsframework.progress import track


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
    if experiment.data.layout == "mccallum-crops":
        return check_measured_crops(experiment, root)
    found = find_fields(experiment.data, root)
    fields = [_check_field(experiment, files, root) for files in track(found, "Looking at the images")]
    compare(fields, experiment.data.stains)
    unused = unused_images((path for files in found for path in files.files), root)
    return StudyCheck(fields=fields, suspicions=suspicions_of_study(experiment, fields), unused=unused)


def _check_field(experiment: Experiment, files: FieldFiles, root: Path) -> CheckedField:
    data = experiment.data
    channels = {**files.brightfield, **files.stains}
    checked = CheckedField(
        id=files.id,
        donor=files.donor,
        files={name: below(root, path) for name, path in channels.items()},
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
        checked.suspicions += suspicions_of_image(name, look)
    _one_field(checked, experiment)
    return checked


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
    same = same_images((name, look.digest) for name, look in looks.items() if not look.blank)
    checked.suspicions += [f"{' and '.join(names)} are the same image" for names in same]
