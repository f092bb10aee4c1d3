"""Writes a complete small plugin package, for ``vsf plugins new``."""

from __future__ import annotations

import keyword
import re
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from string import Template

import vsframework
from vsframework.errors import UsageError, VsfError
from vsframework.plugins import KINDS

__all__ = ["create_package"]

TEMPLATES = Path(__file__).with_name("templates")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 30


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """What the package of one kind does before its author changes it."""

    summary: str
    protocol: str
    dependencies: tuple[str, ...]
    usage: str = '[{kind}]\nname = "{name}"'


SAMPLES = {
    "registrar": _Sample(
        summary="Slides one image over the other to where they correlate best.",
        protocol="Registrar",
        dependencies=("numpy>=1.26", "opencv-python-headless>=4.9"),
    ),
    "detector": _Sample(
        summary="Takes connected pixels that stand out from the noise of the field for cells.",
        protocol="Detector",
        dependencies=("numpy>=1.26", "scikit-image>=0.22"),
    ),
    "denoiser": _Sample(
        summary="Subtracts the median of the patch's border from every stain.",
        protocol="Denoiser",
        dependencies=("numpy>=1.26",),
    ),
    "generator": _Sample(
        summary="Three convolutions at half the resolution, trained as a plain regression.",
        protocol="Generator",
        dependencies=("torch>=2.4",),
    ),
    "quantifier": _Sample(
        summary="Measures the mean brightness of one stain.",
        protocol="Quantifier",
        dependencies=("array-api-compat>=1.9",),
    ),
    "regressor": _Sample(
        summary="Ridge regression on the brightness of a coarse grid over the patch.",
        protocol="Regressor",
        dependencies=("numpy>=1.26",),
    ),
    "gate": _Sample(
        summary="Turns patches away of which too much is dark.",
        protocol="Gate",
        dependencies=("numpy>=1.26",),
        usage='[[trust.gates]]\nname = "{name}"',
    ),
    "reader": _Sample(
        summary="Opens the 8-bit frames of one camera, which begin with CAM.",
        protocol="Reader",
        dependencies=("numpy>=1.26",),
        usage="vsf dataset build --check EXPERIMENT.toml   # whatever it accepts is read",
    ),
    "export-target": _Sample(
        summary="Writes the weights of all generators to one safetensors file.",
        protocol="ExportTarget",
        dependencies=("numpy>=1.26", "safetensors>=0.4.3", "torch>=2.4"),
        usage="vsf export RUN --target {name} -o weights.safetensors",
    ),
}


def create_package(name: str, kind: str, directory: Path) -> Path:
    """Write the package `name`, which offers one component of `kind`, to the new folder ``directory/name``.

    The folder is there whole or not at all.

    Raises
    ------
    UsageError
        Unknown kind, a name that is no good name for a package, or a folder that exists.
    VsfError
        When the folder cannot be written.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")
    _check_name(name)
    folder = directory / name
    if folder.exists():
        raise UsageError(f"{folder} exists already; choose another name or --directory, nothing is overwritten")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=directory) as temporary:
            whole = Path(temporary) / name
            for path, text in _files(name, kind).items():
                (whole / path).parent.mkdir(parents=True, exist_ok=True)
                (whole / path).write_text(text, encoding="utf-8")
            whole.rename(folder)
    except OSError as error:
        raise VsfError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name!r} is no good name for a package: lower-case letters, digits and single hyphens, starting with a "
            f"letter, at most {LONGEST_NAME} characters, like my-denoiser"
        )
    package = _package(name)
    taken = {*sys.stdlib_module_names, *keyword.kwlist, *packages_distributions(), "test", "tests"}
    if package in taken or package.startswith(("vsf_", "vsframework")):
        raise UsageError(f"{name!r} would hide the Python module {package!r}; choose another name, like my-{name}")


def _package(name: str) -> str:
    return name.replace("-", "_")


def _files(name: str, kind: str) -> dict[str, str]:
    package, module = _package(name), _package(kind)
    sample = SAMPLES[kind]
    major, minor = vsframework.__version__.split(".")[:2]
    title = "".join(part.capitalize() for part in name.split("-"))
    values = {
        "name": name,
        "package": package,
        "title": title,
        "kind": kind,
        "module": module,
        "hook": KINDS[kind],
        "protocol": sample.protocol,
        "contract": f"{sample.protocol}Contract",
        "summary": sample.summary,
        "framework": f">={major}.{minor},<{major}.{int(minor) + 1}",
        "dependencies": "\n".join(f'  "{dependency}",' for dependency in sample.dependencies),
        "usage": sample.usage.format(kind=kind, name=name),
        "language": "console" if kind in ("export-target", "reader") else "toml",
    }
    values["fields"] = _fill(f"{kind}/fields", values).rstrip()
    return {
        "pyproject.toml": _fill("shared/pyproject.toml", values),
        "README.md": _fill("shared/README.md", values),
        f"src/{package}/__init__.py": _fill("shared/__init__.py", values),
        f"src/{package}/plugin.py": _fill("shared/plugin.py", values),
        f"src/{package}/{module}.py": _fill(f"{kind}/part.py", values),
        f"tests/test_{package}.py": _fill("shared/test.py", values),
    }


def _fill(template: str, values: dict[str, str]) -> str:
    return Template((TEMPLATES / f"{template}.template").read_text(encoding="utf-8")).substitute(values)
