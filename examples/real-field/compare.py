"""The DFI of the four real cells by every denoiser, beside the measured one: a Markdown table.

Run ``python compare.py run mccallum2019_field/DFIs.csv`` after ``vsf dataset build experiment.toml``.
"""

import sys
from pathlib import Path

import pandas as pd

from vsframework.dataset import PatchDataset
from vsframework.dataset.background import background_ledger


def table(dataset: PatchDataset, measured: pd.Series) -> pd.DataFrame:
    """Give the DFI per rule and cell, the cells in the order of `measured`, and the mean absolute difference."""
    levels = background_ledger(dataset).levels.drop_duplicates(["id", "rule"])
    values = levels.pivot_table(index="rule", columns="id", values="dfi", sort=False)
    values.columns = [name.rpartition("/")[2] for name in values.columns]
    values.loc["measured"] = measured.to_numpy()
    values["mean difference"] = values.sub(values.loc["measured"]).abs().mean(axis=1)
    return values


if __name__ == "__main__":
    run, measured = Path(sys.argv[1]), pd.read_csv(sys.argv[2])["DFI"]
    found = table(PatchDataset.open(run / "dataset"), measured)
    print("| denoiser | " + " | ".join(found.columns) + " |")
    print("|---" * (len(found.columns) + 1) + "|")
    for rule, row in found.iterrows():
        print(
            f"| {rule if rule == 'measured' else f'`{rule}`'} | " + " | ".join(f"{value:.4f}" for value in row) + " |"
        )
