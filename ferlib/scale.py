"""What the replication amounts to: the runs that the five papers' tables and figures stand for, and their operations.

185 runs as printed: the cells of each paper's tables of own results, once each, for GCCA-VGG16 with its ten
repeats and its sweeps. Our further seeds, folds and control rows come on top and are not counted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ferlib.cost import PASSES, channels_of, images, multiply_adds, table
from ferlib.experiments import Experiment, get


@dataclass(frozen=True)
class Group:
    """``repeats`` runs of each of ``rows``, which answer what ``what`` names."""

    paper: str
    what: str
    rows: tuple[Experiment, ...]
    repeats: int = 1

    @property
    def runs(self) -> int:
        return self.repeats * len(self.rows)


def gcca(dataset: str, size: int, models: Iterable[int]) -> tuple[Experiment, ...]:
    """Rows of Chen & Chen at ``size``, from scratch."""
    suffix = "-scratch" if size == 224 else "-scratch48"
    return tuple(replace(get(f"gcca_vgg-{dataset}-model{m}{suffix}"), size=size) for m in models)


def printed(gcca_size: int = 48) -> tuple[Group, ...]:
    """The 185 runs; ``gcca_size`` is the side at which GCCA-VGG16 is trained: 224 in the paper, 48 as the rest."""
    amdcnn = ("baseline", "cbam", "mcbam", "acs1", "acs2", "acs3")
    mobile = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "a_mobilenet")
    msca = ("se_bn", "lr1e-2", "lr1e-3", "lr1e-4", "lr1e-5", "plain", "se", "bn")

    def rows(paper: str, datasets: Iterable[str], names: Iterable[str]) -> tuple[Experiment, ...]:
        return tuple(get(f"{paper}-{d}-{name}") for d in datasets for name in names)

    return (
        Group("se_cnn", "Table 1", (get("se_cnn-plain"), get("se_cnn-se"))),
        Group("amdcnn", "Tables 3 and 8", rows("amdcnn", ("fer2013", "ferplus", "rafdb", "ckplus"), amdcnn)),
        Group("a_mobilenet", "Tables 3 and 4", rows("a_mobilenet", ("ferplus", "rafdb"), mobile)),
        Group("msca_resnet", "Tables 2 and 3", rows("msca_resnet", ("ferplus", "ckplus"), msca)),
        Group("gcca_vgg", "Table 1, FER2013", gcca("fer2013", gcca_size, range(1, 7)), repeats=10),
        Group("gcca_vgg", "Table 1, CK+", gcca("ckplus", gcca_size, range(1, 7)), repeats=10),
        Group("gcca_vgg", "Figure 6", gcca("fer2013", gcca_size, [6] * 15)),
    )


def operations(row: Experiment) -> float:
    """Floating-point operations of one run: two for each multiply-add, a training image counts three times."""
    sizes = images(row)
    assert sizes is not None, row.id
    per_epoch = PASSES * sizes["train"] + sizes["val"] + sizes["test"]
    return 2.0 * multiply_adds(row.model, row.variant, channels_of(row), row.size) * row.epochs * per_epoch


def summary(groups: Iterable[Group], *, device: str = "cpu", **options: Any) -> list[dict[str, Any]]:
    """Per group: sides of its images, runs, operations, seconds of all runs one after another (None: unknown).

    The seconds are on this kind of device.
    ``options`` go to `ferlib.cost.estimate`.
    """
    lines = []
    for group in groups:
        found = table([replace(row, seeds=(0,)) for row in group.rows], device=device, **options)
        lines.append(
            {
                "paper": group.paper,
                "what": group.what,
                "sizes": sorted({row.size for row in group.rows}),
                "runs": group.runs,
                "operations": group.repeats * sum(map(operations, group.rows)),
                "longest": max(map(operations, group.rows)),
                "seconds": None if found["unknown"] else group.repeats * found["seconds"],
            }
        )
    return lines
