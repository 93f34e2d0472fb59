"""Findings of the forensics: ``claims/findings.csv`` has each one in words, this package the evidence behind it.

A finding sets one place of a paper against another place, another paper, the dataset or the described network. Where
there is arithmetic in it, `EVIDENCE` holds a function that computes it: ``finding -> (holds, text)``; ``holds`` says
whether the finding stands, ``text`` what was computed. Constants are numbers that the papers print, with their place.
One file per paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ferlib.claims import NAMES
from ferlib.findings import a_mobilenet, amdcnn, gcca_vgg, msca_resnet, se_cnn
from ferlib.findings.finding import DATASET, DESIGN, KINDS, Evidence, Finding, Result, load
from ferlib.findings.gcca_vgg import chen
from ferlib.findings.parts import RUNS, SHARES, frames_of, implied_parts
from ferlib.findings.se_cnn import LUO
from ferlib.findings.se_cnn import pairs as luo_pairs

__all__ = [
    "DATASET",
    "DESIGN",
    "EVIDENCE",
    "KINDS",
    "LUO",
    "PAIRS",
    "RUNS",
    "SHARES",
    "Finding",
    "chen",
    "evidence",
    "frames_of",
    "implied_parts",
    "load",
    "overview",
    "unsettled",
]

PAIRS = {"se_cnn": luo_pairs()}  # figures of a paper that print one quantity in two places

EVIDENCE: dict[str, Evidence] = {
    identifier: test
    for paper in (amdcnn, gcca_vgg, a_mobilenet, se_cnn, msca_resnet)
    for identifier, test in paper.EVIDENCE.items()
}


def evidence(finding: Finding) -> Result:
    """Whether the finding stands by arithmetic, and what was computed; (True, "") where it stands in words alone."""
    test = EVIDENCE.get(finding.id)
    return test(finding) if test else (True, "")


def overview(findings: Sequence[Finding] | None = None) -> pd.DataFrame:
    """Number of findings by paper (rows) and class (columns)."""
    found = load() if findings is None else findings
    frame = pd.DataFrame([(f.paper, f.kind) for f in found], columns=["paper", "class"])
    table = pd.crosstab(frame["paper"], frame["class"])
    papers = list(dict.fromkeys(f.paper for f in found))
    return table.reindex(index=papers, columns=list(KINDS), fill_value=0)


def unsettled(paper: str) -> pd.DataFrame:
    """What a detail from a paper's authors would settle: its findings that say with what, and where they stand."""
    return pd.DataFrame(
        [
            {"open": f.what, "where": _places(f), "would settle it": f.resolve}
            for f in load()
            if f.paper == paper and f.resolve
        ]
    )


def _places(finding: Finding) -> str:
    other = ", ".join(filter(None, [NAMES.get(finding.against, ""), finding.other]))
    return "; ".join(dict.fromkeys(filter(None, [finding.place, other])))
