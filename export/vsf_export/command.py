"""``vsf export``. Light: ``vsf --help`` imports it."""

from __future__ import annotations

from pathlib import Path

import click

from vsf_export.targets.onnx_params import PRECISIONS


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "--out", type=click.Path(path_type=Path),
              help="File or folder to write, for one target.  [default: RUN/model.vsf, RUN/export/TARGET]")  # fmt: skip
@click.option("--target", "targets", multiple=True, metavar="NAME",
              help="Export target, or plugin:name (repeatable).  [default: onnx; openvino and tensorrt where they can "
              "be built]")  # fmt: skip
@click.option("--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS),
              help="fp32 always comes along (repeatable).  [default: fp32 and fp16]")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="A parameter of the targets, see 'vsf plugins show export-target onnx' (repeatable).")  # fmt: skip
@click.option("--sign", type=click.Path(path_type=Path, dir_okay=False), metavar="KEY",
              help="Sign the bundle with this Ed25519 private key (PEM).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def command(
    run: Path,
    out: Path | None,
    targets: tuple[str, ...],
    precisions: tuple[str, ...],
    settings: tuple[str, ...],
    sign: Path | None,
    as_json: bool,
) -> None:
    """Compile the trained generators of RUN for the machine beside the microscope.

    Writes graphs from camera counts to stains and quantities, with reference patches and hashes, and for each runtime
    what it loads. Every graph is run on held-out cells: the export fails when the DFI of any of them drifts from
    torch's by more than 0.002, and leaves nothing behind. Targets that cannot be built on this machine are skipped
    with the reason, unless they were asked for.
    """
    import json

    from vsf_export.exporting import choose_targets

    chosen = choose_targets(targets, precisions, settings, out)  # first: a wrong name should not wait for torch

    from vsf_export.bundle import add_trust
    from vsf_export.exporting import export_run
    from vsf_export.signing import check_signing_key, sign_bundles
    from vsframework.progress import working

    if sign:
        check_signing_key(sign)
    with working("Exporting, and comparing every graph with torch"):
        exported = export_run(run, chosen, out)
        files = [path for item in exported for path in item.files]
        add_trust(files, run)
        if sign:
            sign_bundles(files, sign)
    if as_json:
        document = [
            {
                "target": item.target,
                "files": [str(path) for path in item.files],
                "parity": dict(item.parity),
                "skipped": item.skipped,
            }
            for item in exported
        ]
        click.echo(json.dumps(document, indent=2))
        return
    for item in exported:
        for line in item.lines():
            click.echo(line)
