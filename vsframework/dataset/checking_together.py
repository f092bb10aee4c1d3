"""What only shows between fields, or crops: the same image twice, the odd one, and image files that belong to none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from vsframework.config import Experiment
from vsframework.dataset.checked import CheckedField
from vsframework.dataset.layouts.field_files import images_below

MAJORITY = 0.8
"""Share of fields that must agree before another one is called odd."""

IMAGE_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".zarr", ".czi", ".nd2", ".lif", ".avi", ".mp4")


def compare(fields: Sequence[CheckedField], stains: Sequence[str]) -> None:
    """Find what only shows between fields: the same image twice, another size, stains the other way round."""
    everywhere = same_images(
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


def same_images(named: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Give the names that share a digest, where several do."""
    by_digest: dict[str, list[str]] = {}
    for name, digest in named:
        by_digest.setdefault(digest, []).append(name)
    return [names for names in by_digest.values() if len(names) > 1]


def suspicions_of_study(experiment: Experiment, fields: Sequence[CheckedField]) -> list[str]:
    """Say what concerns no single field: donors, stains and bit depths."""
    return [*_donors(experiment, fields), *_depths(fields)]


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


def unused_images(used: Iterable[Path], root: Path) -> list[str]:
    """Name the image files below `root` that are not among those `used`, nor inside one of them that is a folder."""
    used = set(used)
    folders = [path for path in used if path.is_dir()]
    return [
        below(root, path)
        for path in images_below(root)
        if path not in used
        and path.name.lower().endswith(IMAGE_ENDINGS)
        and not any(path in inner.parents for inner in folders)
    ]


def below(root: Path, path: Path) -> str:
    """Name `path` as seen from `root`."""
    return path.relative_to(root).as_posix()
