"""A row of the ledger, for tests of what is made from rows."""

from __future__ import annotations

from ferlib.claims import Claim

CLAIM = Claim(
    id="p-t1-a",
    paper="se_cnn",
    place="Table 1",
    line=1,
    kind="accuracy",
    quantity="test accuracy",
    dataset="FER2013",
    model="plain",
    printed="68.01",
    unit="%",
    check="record",
    experiment="se_cnn-plain",
    against="",
    same="",
    note="",
)
