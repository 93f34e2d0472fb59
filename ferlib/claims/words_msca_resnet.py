"""What Wang & Zhang (2023), `msca_resnet`, say in words, as predicates under the ids of the ledger.

"Very high" on CK+ is read as 95 % or more, a resemblance as the most frequent mistake; both readings are ours.
"""

from __future__ import annotations

from ferlib.statements import (
    Test,
    every_recall_at_least,
    rarest,
    recalled_best,
    recalled_worst,
    taken_for,
)

LOW = ("disgust", "fear", "contempt")  # section 3.5, of FER+

STATEMENTS: dict[str, Test] = {
    "msca_resnet-s35-ckplus-all-but-sadness": every_recall_at_least(95, "sadness"),
    "msca_resnet-s35-ckplus-sadness-worst": recalled_worst("sadness"),
    "msca_resnet-s35-ckplus-sadness-anger": taken_for("sadness", "anger"),
    "msca_resnet-s35-ckplus-anger-sadness": taken_for("anger", "sadness"),
    "msca_resnet-s35-ferplus-best": recalled_best("neutral", "happiness", "surprise"),
    "msca_resnet-s35-ferplus-worst": recalled_worst(*LOW),
    **{
        f"msca_resnet-s35-ferplus-{name}-alike": taken_for(name, *(o for o in LOW if o != name))
        for name in LOW
    },
    "msca_resnet-s35-ferplus-rarest": rarest(*LOW),
}
