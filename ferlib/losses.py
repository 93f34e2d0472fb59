"""The losses of the five papers.

``build_loss`` makes any of them by name. ``loss(logits, out, labels, weights)`` is a scalar, the mean over the batch;
``logits`` (N, classes) and ``out`` are what the model returned, ``labels`` int64 (N,), ``weights`` None or the
images' sample weights (N,). As in Keras, weighted values are divided by N and not by the sum of the weights.
All losses compute in float32 (float64 where the input is float64), also under autocast, and never wait for
the device. ``loss.after_step()`` stands after the optimiser's step and updates what the papers update by a
rule of their own. Parameters of a loss are optimised with the model's; its buffers belong in the checkpoint.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from ferlib.errors import FerlibError

Output = dict[str, Any]


def full(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 where it is that already."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def one_hot(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """(N,) -> (N, classes) in the type of ``like``; unlike torch's, it does not look at the labels' values."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).to(like.dtype)


def mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over the batch of ``values`` (N,), each times its sample weight."""
    return values.mean() if weights is None else (values * weights).mean()


class Loss(nn.Module):
    """What all losses share. A subclass defines ``value``, which runs outside autocast on float32 logits."""

    def __init__(self, *, classes: int, features: int) -> None:
        super().__init__()
        self.classes, self.features = classes, features

    def forward(self, logits: Tensor, out: Output, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return self.value(full(logits), out, labels, None if weights is None else full(weights))

    def value(self, logits: Tensor, out: Output, labels: Tensor, weights: Tensor | None) -> Tensor:
        raise NotImplementedError

    def after_step(self) -> None:
        """Update what the paper updates after a step; nothing by default."""

    def monitored(self) -> dict[str, float]:
        """What a run's history keeps of the loss's own state; nothing by default."""
        return {}


class CrossEntropy(Loss):
    """Softmax loss (Nan et al. Eq. 4-6), of ``logits`` and, times ``auxiliary``, of each in ``out["aux"]``.

    ``smoothing`` of the label's probability is spread evenly over the classes (Szegedy et al. 2016, section 7).
    """

    def __init__(
        self, *, classes: int, features: int, auxiliary: float = 0.0, smoothing: float = 0.0
    ) -> None:
        super().__init__(classes=classes, features=features)
        self.auxiliary, self.smoothing = auxiliary, smoothing

    def value(self, logits: Tensor, out: Output, labels: Tensor, weights: Tensor | None) -> Tensor:
        values = F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.smoothing)
        total = mean(values, weights)
        for aux in out["aux"] if self.auxiliary else []:
            values = F.cross_entropy(full(aux), labels, reduction="none")
            total = total + self.auxiliary * mean(values, weights)
        return total


class LabelDistribution(Loss):
    """Cross-entropy against the annotators' votes, ``out["targets"]`` (N, classes), smoothed by ``smoothing``.

    Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label
    distribution", ICMI 2016, section 4.4. Raises FerlibError where the run brings no such targets.
    """

    def __init__(self, *, classes: int, features: int, smoothing: float = 0.0) -> None:
        super().__init__(classes=classes, features=features)
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and below 1, not {smoothing}")
        self.smoothing = smoothing

    def value(self, logits: Tensor, out: Output, labels: Tensor, weights: Tensor | None) -> Tensor:
        if "targets" not in out:
            raise FerlibError(
                "label_distribution needs votes; take ferplus with recipe targets, or another loss"
            )
        targets = (1 - self.smoothing) * full(out["targets"]) + self.smoothing / self.classes
        return mean(F.cross_entropy(logits, targets, reduction="none"), weights)


class AMSoftmax(Loss):
    """Additive-margin softmax with a learnable scale (Shang et al. Eq. 10) over the heads of a model.

    L = L_AMS(main) + auxiliary * sum of L_AMS(ACMs) + fused * (- mean log P_all of the label).

    L_AMS takes the cosines between ``out["embeddings"]`` and ``out["class_weights"]``, lists over the heads, the
    main one last. The last term takes ``logits``, log P_all of Eq. 13, for which Eq. 10 is not defined; it alone
    trains the fusion weights alpha and the biases of Eq. 12, of which Eq. 10 knows nothing. Not printed: the
    margin m and the start of s (0.35 and 30 are those of the paper's reference 23, Wang et al. 2018), the weights
    ``auxiliary`` and ``fused`` (1), one s for all heads. Raises FerlibError where the model has no such heads.
    """

    def __init__(
        self,
        *,
        classes: int,
        features: int,
        margin: float = 0.35,
        scale: float = 30.0,
        auxiliary: float = 1.0,
        fused: float = 1.0,
    ) -> None:
        super().__init__(classes=classes, features=features)
        if scale <= 0:
            raise ValueError(f"scale must be positive, not {scale}")
        self.margin, self.auxiliary, self.fused = margin, auxiliary, fused
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))  # the logarithm: s stays positive

    def value(self, logits: Tensor, out: Output, labels: Tensor, weights: Tensor | None) -> Tensor:
        if "embeddings" not in out:
            raise FerlibError(
                "am_softmax needs a model that returns embeddings (amdcnn); choose another loss"
            )
        heads = zip(out["embeddings"], out["class_weights"], strict=True)
        *aux, main = [mean(self.per_image(full(x), full(w), labels), weights) for x, w in heads]
        fused = mean(F.cross_entropy(logits, labels, reduction="none"), weights)
        return main + self.auxiliary * sum(aux) + self.fused * fused

    def per_image(self, x: Tensor, class_weights: Tensor, labels: Tensor) -> Tensor:
        """Eq. (10) before its mean: x (N, D), class weights (classes, D) -> (N,)."""
        cosines = F.linear(F.normalize(x), F.normalize(class_weights))
        moved = cosines - self.margin * one_hot(labels, self.classes, cosines)
        return F.cross_entropy(self.log_scale.exp() * moved, labels, reduction="none")

    def monitored(self) -> dict[str, float]:
        return {"am_scale": float(self.log_scale.detach().exp())}


class CenterLoss(CrossEntropy):
    """Softmax and center loss (Nan et al. Eq. 7-10, after Wen et al. 2016): L = L_s + weight * L_c.

    L_c = 1/2 mean ||x_i - c_{y_i}||^2 over ``out["features"]`` (Eq. 7); ``reduction='sum'`` leaves out Eq. 7's
    1/m, as Eq. 10 does (and as Eq. 8 supposes). After a step c_j <- c_j - step * Delta c_j with Delta c_j of
    Eq. 9. Not printed: ``weight`` (lambda) and ``step`` (0.003 and 0.5 are Wen et al.'s), the start of the
    centres (zero). Sample weights act on L_s and L_c, not on Eq. 9.
    """

    centres: Tensor

    def __init__(
        self,
        *,
        classes: int,
        features: int,
        weight: float = 0.003,
        step: float = 0.5,
        reduction: str = "mean",
        auxiliary: float = 0.0,
    ) -> None:
        super().__init__(classes=classes, features=features, auxiliary=auxiliary)
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be mean or sum, not {reduction!r}")
        self.weight, self.step, self.reduction = weight, step, reduction
        self.register_buffer("centres", torch.zeros(classes, features))
        self.seen: tuple[Tensor, Tensor] | None = None

    def value(self, logits: Tensor, out: Output, labels: Tensor, weights: Tensor | None) -> Tensor:
        x = full(out["features"])
        if self.training:
            self.seen = x.detach(), labels
        softmax_loss = super().value(logits, out, labels, weights)
        return softmax_loss + self.weight * self.about_centres(x, labels, weights)  # Eq. (10)

    def about_centres(self, x: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
        squares = (x - self.centres[labels]).square().sum(dim=1)
        images = 1 if self.reduction == "mean" else len(x)
        return 0.5 * images * mean(squares, weights)  # Eq. (7)

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the centres by what the last forward pass in training mode saw."""
        if self.seen is None:
            return
        x, labels = self.seen
        with torch.autocast(x.device.type, enabled=False):
            self.centres -= self.step * self.change(x, labels).to(self.centres.dtype)
        self.seen = None

    def change(self, x: Tensor, labels: Tensor) -> Tensor:
        """Delta c of Eq. (9): (classes, features). A class that the batch lacks stays."""
        member = one_hot(labels, self.classes, x)  # delta(y_i = j)
        count = member.sum(dim=0)[:, None]
        # a matrix product, not index_add: its sums have one order on CUDA too
        return (count * self.centres - member.T @ x) / (1 + count)


class IslandLoss(CenterLoss):
    """Softmax and island loss (Chen & Chen Eq. 5-7, after Cai et al. 2018): L = L_s + weight * L_I.

    L_I = L_c + pair_weight * sum over ordered pairs j != k of (cos(c_j, c_k) + 1). Eq. 6 as printed sums over
    j = k too, which adds the constant 2 per class. The pair term has no gradient in the features: it acts
    through the centres' update, which the paper leaves to its reference 25 (Cai et al.): Eq. 9 of Nan et al.
    plus pair_weight / (classes - 1) times, for each j, the sum over k of the gradient of cos(c_j, c_k) in c_j.
    ``weight`` is lambda, ``pair_weight`` lambda_1 (0.005 and 7, section 2.6). Not printed: ``step`` and the
    start of the centres (see `CenterLoss`; a centre that is still zero has cosine 0 and is not pushed).
    """

    def __init__(
        self,
        *,
        classes: int,
        features: int,
        weight: float = 0.005,
        pair_weight: float = 7.0,
        step: float = 0.5,
        reduction: str = "mean",
        auxiliary: float = 0.0,
    ) -> None:
        super().__init__(
            classes=classes,
            features=features,
            weight=weight,
            step=step,
            reduction=reduction,
            auxiliary=auxiliary,
        )
        self.pair_weight = pair_weight

    def directions(self) -> tuple[Tensor, Tensor]:
        """Unit vectors of the centres (classes, features) and 1 / ||c|| (classes, 1); zero for a zero centre."""
        norms = self.centres.norm(dim=1, keepdim=True)
        inverse = torch.where(norms > 0, 1 / norms, torch.zeros_like(norms))
        return self.centres * inverse, inverse

    def about_centres(self, x: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
        units, _ = self.directions()
        apart = 1 - torch.eye(self.classes, device=units.device, dtype=units.dtype)
        pairs = ((units @ units.T + 1) * apart).sum()  # Eq. (6)
        return super().about_centres(x, labels, weights) + self.pair_weight * pairs  # Eq. (5)

    def change(self, x: Tensor, labels: Tensor) -> Tensor:
        units, inverse = self.directions()
        cosines = units @ units.T
        # sum over k of (u_k - cos_jk u_j) / ||c_j||; the term k = j is zero of itself
        push = (units.sum(dim=0) - cosines.sum(dim=1, keepdim=True) * units) * inverse
        return super().change(x, labels) + self.pair_weight / (self.classes - 1) * push


class CosineLoss(Loss):
    """Negative cosine similarity of one-hot labels and softmax outputs (Wang & Zhang Eq. 4).

    ``over='batch'`` reads the sums of Eq. 4 over images: one cosine between all labels and all predictions of the
    batch, sample weights inside its three sums. ``over='image'`` reads them over classes: one cosine per image and
    their mean, which is what the loss of that name in TensorFlow, the paper's framework, computes. Both lie between
    -1 and 0. Unlike cross-entropy, both have no gradient where the softmax is certain, right or wrong.
    """

    def __init__(self, *, classes: int, features: int, over: str = "batch") -> None:
        super().__init__(classes=classes, features=features)
        if over not in ("batch", "image"):
            raise ValueError(f"over must be batch or image, not {over!r}")
        self.over = over

    def value(self, logits: Tensor, out: Output, labels: Tensor, weights: Tensor | None) -> Tensor:
        predicted = logits.softmax(dim=1)
        dot = predicted.gather(1, labels[:, None])[:, 0]  # y_true . y_pred of each image
        squares = predicted.square().sum(dim=1)
        if self.over == "image":
            return mean(-dot / squares.sqrt(), weights)
        lengths = mean(torch.ones_like(squares), weights) * mean(squares, weights)
        return -mean(dot, weights) / lengths.sqrt()


LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy,
    "label_distribution": LabelDistribution,
    "am_softmax": AMSoftmax,
    "center": CenterLoss,
    "island": IslandLoss,
    "cosine": CosineLoss,
}


def build_loss(name: str, *, classes: int, features: int, **options: Any) -> Loss:
    """The loss ``name`` for ``classes`` classes and embeddings of ``features`` numbers; options: see its class.

    Raises FerlibError for an unknown name or option.
    """
    if name not in LOSSES:
        raise FerlibError(f"unknown loss {name!r}; known are {', '.join(LOSSES)}")
    try:
        return LOSSES[name](classes=classes, features=features, **options)
    except (TypeError, ValueError) as error:
        raise FerlibError(f"loss {name}: {error}") from error


def balanced_class_weights(labels: ArrayLike, classes: int) -> Tensor:
    """float32 (classes,): ``weights[labels]`` is scikit-learn's ``compute_sample_weight("balanced", labels)``.

    Shang et al. section IV.C and Table 2. A class that ``labels`` lacks has weight 0.
    """
    present = np.unique(np.asarray(labels))
    weights = np.zeros(classes, np.float32)
    weights[present] = compute_class_weight("balanced", classes=present, y=np.asarray(labels))
    return torch.from_numpy(weights)
