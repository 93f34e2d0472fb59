"""Records with known results, for tests of what is made from records."""

from __future__ import annotations

import numpy as np

from ferlib import records, tables
from ferlib.evaluate import metrics
from ferlib.experiments import get

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def record(
    folder,
    identifier,
    seed=0,
    accuracy=0.7,
    dataset="fer2013",
    n=100,
    profile="reduced",
    classes=CLASSES,
    ids=None,
    best=None,
    unseen=None,
):
    """A record whose predictions are right in the first ``accuracy`` of n test images, else one class too high.

    In its best test epoch, and over the merged parts, in the first ``best`` of them. ``unseen``: number and accuracy of
    the test images that training lacks.
    """
    labels = np.arange(n) % 7
    reached = {name: accuracy if name == "val_selected" else best or accuracy for name in tables.READINGS}
    predicted = {
        name: np.where(np.arange(n) < share * n, labels, (labels + 1) % 7) for name, share in reached.items()
    }
    logits = {name: np.eye(7, dtype=np.float16)[classes_] for name, classes_ in predicted.items()}
    results = {
        name: {"epoch": 1, "loss": 1.0, **metrics(classes_, labels, classes)}
        for name, classes_ in predicted.items()
    }
    for result in results.values():
        result["unseen"] = dict(zip(("n", "accuracy"), unseen or (n, result["accuracy"]), strict=True))
    results["val_selected"]["train"] = {"loss": 0.5, "accuracy": 0.8}  # of no other epoch
    line = {"lr": 1e-3} | {f"{p}_{q}": 0.5 for p in ("train", "val", "test") for q in ("loss", "accuracy")}
    part = {
        "experiment": get(identifier).to_dict(),
        "seed": seed,
        "profile": profile,
        "changed": [] if profile == "full" else ["epochs: 34 of 100"],
        "data": {"name": dataset, "fingerprint": "made up", "classes": list(classes)},
        "environment": {},
        "history": [{"epoch": 0, **line}, {"epoch": 1, **line, "lr": 5e-4}],
        "epochs_run": 34,
        "stopped": "last epoch" if profile == "full" else "capped at 34 epochs",
        "best_epoch": 1,
        "result": results,
    }
    arrays = {f"{name}_{p}_logits": logits[name] for name in tables.READINGS for p in ("val", "test")}
    arrays |= {f"{p}_ids": np.array([f"{p}{i}" for i in range(n)]) for p in ("val", "test")}
    arrays |= {"test_ids": np.array(ids)} if ids is not None else {}
    arrays |= {f"{p}_labels": labels.astype(np.int8) for p in ("val", "test")}
    return records.write(folder, part, arrays, {}, "made by a test")
