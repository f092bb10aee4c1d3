"""For any names: a file that the pattern means is in exactly one field, or it is an error; --check names the rest."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vsframework.config import Experiment, parse_experiment
from vsframework.dataset.checking import check_study
from vsframework.dataset.layouts import FieldFiles, find_fields
from vsframework.errors import VsfError

IMAGES = (".tif", ".tiff", ".png", ".jpg", ".npy")
FOLDERS = st.sampled_from(["anna", "bob", "cells", "x y", "*"])
ODD = ["notes.txt", "{field}_BF.tif", "f_bf.tif", "\n_BF.tif", "_BF.tif", ".tif", "f.BF.tif", "A1", "é.TIF"]
words = st.text("AB_.01 é", min_size=1, max_size=6).filter(lambda name: name.strip("."))
others = st.tuples(st.lists(FOLDERS, max_size=2), st.sampled_from(ODD) | words).map(
    lambda pair: "/".join([*pair[0], pair[1]])
)


def some_of(*choices: str) -> st.SearchStrategy[str]:
    """Join one of each of `choices`, which are separated by spaces (a dash for nothing)."""
    return st.tuples(*(st.sampled_from(words.split(" ")) for words in choices)).map(
        lambda parts: "".join(part for part in parts if part != "-")
    )


NAMED = "([^/]+)"
CHANNEL = "(BF|dsDNA|ssDNA)"
WELL = "(A0?1)"
CHANNELS = "BF dsDNA ssDNA"
LAYOUTS: list[tuple[dict[str, Any], list[str], st.SearchStrategy[str]]] = [
    (
        {"layout": "pattern"},
        [f"{NAMED}/{NAMED}_{CHANNEL}\\.tif"],
        some_of("anna/ bob/ -", "f g_1 é", "_", CHANNELS, ".tif .tiff"),
    ),
    (
        {"layout": "pattern", "pattern": "{donor}/{field}_{channel}.*"},
        [f"{NAMED}/{NAMED}_{CHANNEL}\\.[^/]*"],
        some_of("anna/ bob/", "f F", "_", CHANNELS, ".tif .ome.tif .png"),
    ),
    (
        {"layout": "pattern", "pattern": "*{channel}*"},
        [f"[^/]*{CHANNEL}[^/]*"],
        some_of("- f", CHANNELS, "- 0 .tif"),
    ),
    (
        {"layout": "pattern", "pattern": "{donor}/{field}_{channel}.*", "crops": "{donor}/*/{field}_{cell}.*"},
        [f"{NAMED}/{NAMED}_{CHANNEL}\\.[^/]*", f"{NAMED}/[^/]*/{NAMED}_{NAMED}\\.[^/]*"],
        some_of("anna/f_BF anna/f_dsDNA anna/cells/f_1 anna/cells/f_2 anna/old/f_1", ".tif .png"),
    ),
    (
        {"layout": "multichannel"},
        [f"{NAMED}/{NAMED}\\.[^/]*"],
        some_of("anna/ bob/ -", "f g", ".tif .ome.tif .png"),
    ),
    (
        {"layout": "multichannel", "pattern": "*/*"},
        ["[^/]*/[^/]*"],
        some_of("anna/ bob/", "f g", ".tif .ome.tif .png"),
    ),
    (
        {"layout": "side-by-side"},
        [f"{NAMED}/{NAMED}\\.[^/]*"],
        some_of("anna/ bob/", "f g", ".tif .png"),
    ),
    (
        {"layout": "side-by-side", "pattern": "*/{channel}{field}*"},
        [f"[^/]*/(dsDNA|ssDNA){NAMED}[^/]*"],
        some_of("anna/ bob/", CHANNELS, "0 1 10", "- .tif"),
    ),
    ({"layout": "plate", "pattern": "{well}.*"}, [f"{WELL}\\.[^/]*"], some_of("A01 A1 a1 A2", ".tif .png")),
    (
        {"layout": "plate", "pattern": "*/{well}_{field}_{channel}.*"},
        [f"[^/]*/{WELL}_{NAMED}_{CHANNEL}\\.[^/]*"],
        some_of("monday/ tuesday/", "A1_ A01_", "f g", "_", CHANNELS, ".tif .png"),
    ),
    (
        {"layout": "plate", "pattern": "{plate}/{well}_{field}.*"},
        [f"{NAMED}/{WELL}_{NAMED}\\.[^/]*"],
        some_of("monday/ tuesday/", "A1_ A01_", "f g", ".tif .png"),
    ),
    (
        {"layout": "mccallum"},
        ["(?i)(?:[^/]+/)*(?:green|red|bf|brightfield|brightfield_composite)[0-9]*\\.(tiff?|png|jpe?g)"],
        some_of("- anna/ anna/cells/ anna/crops/", "Green red BF", "- - 0 00 1", ".tif .png"),
    ),
    (
        {"layout": "mccallum"},
        ["anna/(cells|crops)/img00[12]_brightfield\\.(tif|png)"],
        st.sampled_from(["anna/Green0.tif", "anna/BF.tif", "bob/Red1.tif", "bob/Red2.tif"])
        | some_of("anna/cells/ anna/crops/", "img001_ img002_", "brightfield S1_BF1_DFI_9", ".tif .png"),
    ),
]
"""``[data]``, what its files look like, written down here a second time, and names that nearly collide."""


def lay_out(root: Path, files: set[str]) -> list[str]:
    """Make empty files; give those that could be made (a name may be a folder's already)."""
    made = []
    for name in sorted(files):
        path = root / name
        if any(parent.is_file() for parent in path.parents) or path.is_dir():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        made.append(path.relative_to(root).as_posix())
    return made


def check_fields(found: list[FieldFiles], made: list[str], layout: Any, experiment: Experiment, root: Path) -> None:
    keys, shapes, _ = layout
    taken = Counter(path.relative_to(root).as_posix() for field in found for path in field.files)
    assert set(taken) <= set(made)
    assert set(taken.values()) == {1}
    assert len({field.id for field in found}) == len(found)
    meant = {name for name in made if any(re.fullmatch(shape, name) for shape in shapes)}
    if keys["layout"] == "mccallum" and "cells" not in shapes[0]:
        meant = {name for name in meant if Path(name).parent.name not in ("cells", "crops")}
    if "crops" in shapes[0] and not any(field.donor == "anna" for field in found):
        meant = set()  # crops without a field are told by --check
    assert meant <= set(taken)
    study = check_study(experiment, root)
    assert [field.id for field in study.fields] == [field.id for field in found]
    assert study.buildable == []  # the files are empty
    assert set(study.unused) == {name for name in made if name not in taken and name.lower().endswith(IMAGES)}


@given(layout=st.sampled_from(LAYOUTS), drawn=st.data())
@settings(max_examples=250)
def test_no_file_is_lost_or_taken_twice(layout: Any, drawn: st.DataObject) -> None:
    keys, _, likely = layout
    files = drawn.draw(st.sets(likely, min_size=1, max_size=6)) | drawn.draw(st.sets(others, max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "raw"
        root.mkdir()
        made = lay_out(root, files)
        (root.parent / "wells.csv").write_text("well,donor\nA1,anna\n")
        experiment = parse_experiment({"data": {"root": ".", "plate_table": "../wells.csv", **keys}}, "a study")
        try:
            found = find_fields(experiment.data, root)
        except VsfError as error:
            said = str(error)
        else:
            check_fields(found, made, layout, experiment, root)
            return
        assert "\n" not in said
