"""Write the field of google/in-silico-labeling as two fields: one to train on, one that is never trained on.

``python prepare.py FOLDER`` reads ``phase_z00.png`` to ``phase_z12.png`` and ``fluorescence_{DAPI,MAP2,NFH}.png`` and
writes ``fields/left/`` (columns 0 to 703) and ``fields/right/`` (704 to 1023) beside this file. ``--strip 320`` takes
the first 320 columns of the left part as a third one, ``strip``, to choose a recipe on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

CHANNELS = {f"phase_z{plane:02d}": f"phase_z{plane:02d}" for plane in range(13)}
CHANNELS |= {stain: f"fluorescence_{stain}" for stain in ("DAPI", "MAP2", "NFH")}
BORDER = 704
"""First column of the part that is tested on."""


def parts(strip: int = 0) -> dict[str, slice]:
    """Give the columns of each part; the first `strip` ones of the left part are kept apart."""
    whole = {"strip": slice(0, strip), "left": slice(strip, BORDER), "right": slice(BORDER, None)}
    return {name: columns for name, columns in whole.items() if strip or name != "strip"}


def prepare(source: Path, out: Path, strip: int = 0) -> None:
    """Write the parts of the field in `source` into `out`, 16-bit counts as they are."""
    for channel, file in CHANNELS.items():
        path = source / f"{file}.png"
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise SystemExit(f"{path} is missing or no image: give the folder with the 13 phase planes and 3 stains")
        for name, columns in parts(strip).items():
            (out / name).mkdir(parents=True, exist_ok=True)
            target = out / name / f"culture_{channel}.png"
            if not cv2.imwrite(str(target), image[:, columns]):
                raise SystemExit(f"{target} cannot be written")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with the 16 PNG files")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent / "fields", help="default: fields/")
    parser.add_argument("--strip", type=int, default=0, help="first columns to keep apart (default 0)")
    arguments = parser.parse_args()
    prepare(arguments.source, arguments.out, arguments.strip)
    print(f"Fields: {arguments.out}")


if __name__ == "__main__":
    main()
