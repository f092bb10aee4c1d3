"""``vsf stain``: brightfield images with a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsframework.cli.options import echo_json, json_option

SUFFIX = ".stained.ome.tif"


@click.command(name="stain")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the stained images."
)
@click.option(
    "--scale",
    type=click.FloatRange(0.05, 20),
    help="Patch pixels per image pixel. Default: 1 for an image of patch size, else patches.size / patches.field_px.",
)
@click.option(
    "--mode",
    type=click.Choice(["deploy", "paper"]),
    default="deploy",
    show_default=True,
    help="paper: batch statistics and dropout as in training; not repeatable.",
)
@click.option("--device", default="cpu", show_default=True, help="Of torch: cpu, cuda, cuda:1, mps.")
@click.option("--overwrite", is_flag=True, help="Stain again what is already there.")
@json_option
def command(
    run: Path,
    images: tuple[Path, ...],
    out: Path,
    scale: float | None,
    mode: Any,
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Stain brightfield images with a trained run.

    RUN is a run folder, IMAGES are brightfield patches or whole fields (TIFF, PNG, JPEG). Each gives an OME-TIFF with
    one channel of counts per stain. Where the run was trained on several planes, an image is a TIFF with all of them,
    or a file per plane, named as in training. A bad image costs one sentence and exit code 1; the others are stained.

    With a calibrated run (vsf calibrate), a patch of one cell is judged too: NAME.stained.trust.json beside it says
    whether a number may be given, why not, and the intervals.
    """
    from vsframework.errors import UsageError, VsfError
    from vsframework.inference import Stainer, stain_file
    from vsframework.inference.stacks import group_planes
    from vsframework.progress import track
    from vsframework.trust import Judge
    from vsframework.trust.answers import answer_image, write_answer

    judge = Judge.load(run)
    stainer = Stainer.load(run, mode=mode, device=device)
    sources = group_planes(images, stainer.experiment.data)
    targets = {field: out / f"{field.stem.removesuffix('.ome')}{SUFFIX}" for field in sources}
    if len(set(targets.values())) < len(targets):
        raise UsageError("two of the images have the same name, so their stains would overwrite each other")
    done, skipped, failed = [], [], {}
    abstained: dict[str, str] = {}
    for image, target in track(list(targets.items()), "Staining"):
        if target.exists() and not overwrite:
            skipped.append(target)
            continue
        try:
            stain_file(stainer, sources[image], target, scale)
            done.append(target)
            answer = answer_image(judge, stainer, sources[image], scale) if judge else None
            write_answer(target, answer)
            if answer and not answer.answered:
                abstained[str(target)] = answer.reason
        except VsfError as error:
            failed[str(image)] = str(error)
    if as_json:
        document = {"stained": done, "skipped": skipped, "failed": failed}
        echo_json({**document, "abstained": abstained} if judge else document)
    else:
        kept = f", {len(skipped)} already there (--overwrite stains them again)" if skipped else ""
        click.echo(f"{len(done)} of {len(targets)} images stained into {out}{kept}")
        for path, reason in abstained.items():
            click.echo(f"{path}: abstained, because {reason}")
    if failed:
        raise VsfError(f"{len(failed)} of {len(targets)} images could not be stained: {'; '.join(failed.values())}")
