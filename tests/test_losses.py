"""The papers' losses: values worked out by hand, gradients, centre updates, precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn

from ferlib.errors import FerlibError
from ferlib.losses import LOSSES, Loss, balanced_class_weights, build_loss

LN2 = math.log(2)
LABELS = torch.tensor([0, 1])
KERAS_COSINE = -0.6915487  # of the numbers in the test below
FLAT = torch.zeros(2, 2)  # two classes, both with probability 1/2


def make(name, features=2, classes=2, **options):
    return build_loss(name, classes=classes, features=features, **options)


def model_like(seed=0, n=6, classes=3, features=4, heads=2, dtype=torch.float64):
    """Logits, intermediates as `AMDCNN` returns them, labels."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    embeddings = [randn(n, features) for _ in range(heads)]
    out = {
        "features": embeddings[-1],
        "aux": [randn(n, classes) for _ in range(heads - 1)],
        "embeddings": embeddings,
        "class_weights": [randn(classes, features) for _ in range(heads)],
    }
    return randn(n, classes), out, torch.arange(n) % classes


def every_loss():
    return [
        ("cross_entropy", {"auxiliary": 0.5}),
        ("am_softmax", {}),
        ("center", {"auxiliary": 0.5, "reduction": "sum"}),
        ("island", {}),
        ("cosine", {"over": "batch"}),
        ("cosine", {"over": "image"}),
    ]


# --- against other implementations -----------------------------------------------------------------


def test_am_softmax_is_the_cosface_of_another_library():
    """Wang et al.'s AM-Softmax and CosFace are one formula; pytorch-metric-learning has it under the second name."""
    other_losses = pytest.importorskip("pytorch_metric_learning.losses", reason="pip install -e '.[dev]'")
    torch.manual_seed(0)
    _, out, labels = model_like(n=9, classes=3, features=4, heads=1, dtype=torch.float32)
    (x,), (w,) = out["embeddings"], out["class_weights"]
    other = other_losses.CosFaceLoss(num_classes=3, embedding_size=4, margin=0.35, scale=30.0)
    other.W.data = w.detach().T.clone()
    ours = make("am_softmax", features=4, classes=3, margin=0.35, scale=30.0, fused=0.0)
    value = ours(torch.zeros(9, 3), out, labels)
    expected = other(x, labels)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, x)
    assert torch.allclose(gradient, wanted, atol=1e-5)


def test_cosine_is_the_keras_loss_of_that_name():
    keras = pytest.importorskip("keras", reason="pip install -e '.[keras]'")
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    value = make("cosine", classes=3, over="image")(logits, {"aux": []}, labels)
    expected = keras.losses.CosineSimilarity()(
        F.one_hot(labels, 3).float().numpy(), logits.softmax(1).numpy()
    )
    assert value.item() == pytest.approx(float(expected), rel=1e-5)


def test_cosine_has_the_value_that_keras_gives():
    """keras.losses.CosineSimilarity of Keras 3.13 on the same numbers, float64."""
    p = torch.tensor([[0.90, 0.05, 0.05], [0.40, 0.30, 0.30], [0.10, 0.20, 0.70], [0.20, 0.50, 0.30]])
    value = make("cosine", classes=3, over="image")(p.double().log(), {}, torch.tensor([0, 0, 1, 1]))
    assert value.item() == pytest.approx(KERAS_COSINE, abs=1e-6)


def test_cosine_is_torchs_cosine_similarity():
    """Of all numbers of a batch as one vector, Eq. (4), or row by row."""
    p = torch.tensor([[0.90, 0.05, 0.05], [0.40, 0.30, 0.30], [0.10, 0.20, 0.70]])
    y = torch.tensor([0, 0, 1])
    ones = F.one_hot(y, 3).float()
    expected = {
        "batch": -F.cosine_similarity(ones.flatten(), p.flatten(), dim=0),
        "image": -F.cosine_similarity(ones, p).mean(),
    }
    assert abs(expected["batch"] - expected["image"]) > 0.01
    for over, value in expected.items():
        torch.testing.assert_close(make("cosine", classes=3, over=over)(p.log(), {}, y), value)


def test_island_loss_is_the_printed_sum_without_its_constant_terms():
    """Eq. (6) has k = j, too: 1 + 1 for each class, wherever the centres are. Its pairs do not pull on features."""
    logits, out, y = model_like(n=9)
    loss = make("island", classes=3, features=4, weight=0.3, pair_weight=2.0).double()
    loss.centres.copy_(torch.tensor([[1.0, 2, 0, -1], [-1, 1, 1, 3], [0.5, 0, -3, 1]]))
    x, c = out["features"], loss.centres.numpy()
    pairs = float((cosine_similarity(c) + 1).sum())
    center = np.square(x.detach().numpy() - c[y]).sum() / (2 * 9)  # Eq. (7) of Nan et al., a mean
    printed = F.cross_entropy(logits, y).item() + 0.3 * (center + 2.0 * pairs)
    value = loss(logits, out, y)
    assert value.item() == pytest.approx(printed - 0.3 * 2.0 * 2 * 3)
    (gradient,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(gradient, 0.3 * (x.detach() - loss.centres[y]) / 9)


# --- values by hand -------------------------------------------------------------------------------


def test_cross_entropy_by_hand():
    """P = (1/2, 1/2) and (1/4, 3/4), labels 0 and 1: -ln 1/2 and -ln 3/4."""
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    expected = [LN2, -math.log(0.75)]
    assert make("cross_entropy")(logits, {}, LABELS).item() == pytest.approx(sum(expected) / 2)
    weighted = make("cross_entropy")(logits, {}, LABELS, torch.tensor([3.0, 0.5]))
    assert weighted.item() == pytest.approx((3 * expected[0] + 0.5 * expected[1]) / 2)  # divided by N


def test_auxiliary_heads_are_added_with_their_weight():
    out = {"aux": [FLAT, FLAT]}
    assert make("cross_entropy")(FLAT, out, LABELS).item() == pytest.approx(LN2)
    assert make("cross_entropy", auxiliary=0.3)(FLAT, out, LABELS).item() == pytest.approx(1.6 * LN2)
    weights = torch.tensor([2.0, 0.0])
    assert make("cross_entropy", auxiliary=0.3)(FLAT, out, LABELS, weights).item() == pytest.approx(1.6 * LN2)


def test_am_softmax_by_hand():
    """x at 60 degrees to w_1 and 30 to w_2, whatever their lengths; Eq. (10) with s = 2, m = 0.25, label 1."""
    x = 5 * torch.tensor([[0.5, math.sqrt(3) / 2]])
    out = {"embeddings": [x], "class_weights": [torch.tensor([[3.0, 0.0], [0.0, 0.1]])]}
    logits = torch.tensor([[0.0, 0.0]])
    loss = make("am_softmax", scale=2.0, margin=0.25, fused=0.0)
    own, other = math.exp(2 * (0.5 - 0.25)), math.exp(2 * math.sqrt(3) / 2)
    assert loss(logits, out, torch.tensor([0])).item() == pytest.approx(-math.log(own / (own + other)))
    with_fused = make("am_softmax", scale=2.0, margin=0.25, fused=0.5)(logits, out, torch.tensor([0]))
    assert with_fused.item() == pytest.approx(-math.log(own / (own + other)) + 0.5 * LN2)


def test_am_softmax_adds_heads_with_their_weights():
    """One embedding at right angles to both weights: each head costs ln(1 + e^{s m})."""
    x, w = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    out = {"embeddings": [x, x, x], "class_weights": [w, w, w]}
    each = math.log(1 + math.exp(4 * 0.5))
    loss = make("am_softmax", features=3, scale=4.0, margin=0.5, auxiliary=0.25)
    y, logits = torch.tensor([1]), torch.zeros(1, 2)
    assert loss(logits, out, y).item() == pytest.approx(1.5 * each + LN2, rel=1e-6)
    assert loss(logits, out, y, torch.tensor([3.0])).item() == pytest.approx(3 * (1.5 * each + LN2), rel=1e-6)


def test_am_softmax_without_margin_is_the_softmax_loss_of_scaled_cosines():
    logits, out, y = model_like(heads=1)
    loss = build_loss("am_softmax", classes=3, features=4, margin=0.0, scale=7.0, fused=0.0)
    cosines = F.cosine_similarity(out["embeddings"][0][:, None], out["class_weights"][0][None], dim=2)
    torch.testing.assert_close(loss(logits, out, y), F.cross_entropy(7 * cosines, y), rtol=1e-6, atol=0)


def test_the_scale_is_learned_and_stays_positive():
    loss = make("am_softmax", scale=30.0)
    assert loss.monitored() == {"am_scale": pytest.approx(30.0)}
    x, w = (
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[-1.0, 0.0], [1.0, 0.0]]),
    )  # as wrong as can be: s must fall
    optimiser = torch.optim.SGD(loss.parameters(), 0.1)
    for _ in range(50):
        value = loss(torch.zeros(1, 2), {"embeddings": [x], "class_weights": [w]}, torch.tensor([0]))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    assert 0 < loss.monitored()["am_scale"] < 1


def test_center_loss_by_hand():
    """Centres (1, 0) and (0, 2); features at squared distances 4 and 9: Eq. (7) gives 13 / 4, Eq. (10) 13 / 2."""
    out = {"features": torch.tensor([[3.0, 0.0], [0.0, 5.0]])}
    for reduction, expected in (("mean", 13 / 4), ("sum", 13 / 2)):
        loss = make("center", weight=0.1, reduction=reduction)
        loss.centres.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        assert loss(FLAT, out, LABELS).item() == pytest.approx(LN2 + 0.1 * expected)
        weighted = loss(FLAT, out, LABELS, torch.tensor([1.0, 0.0])).item()
        assert weighted == pytest.approx(LN2 / 2 + 0.1 * expected * 4 / 13)


@pytest.mark.parametrize(("reduction", "share"), [("mean", 1 / 6), ("sum", 1.0)])
def test_equation_8_holds_for_the_sum(reduction, share):
    """Eq. (8) prints dL_c/dx_i = x_i - c_{y_i}; the mean of Eq. (7) divides that by m."""
    logits, out, y = model_like()
    loss = build_loss("center", classes=3, features=4, weight=2.0, reduction=reduction).double()
    loss.centres.copy_(torch.arange(12.0).reshape(3, 4))
    (gradient,) = torch.autograd.grad(loss(logits, out, y), out["features"])
    torch.testing.assert_close(gradient, 2.0 * share * (out["features"] - loss.centres[y]).detach())


def test_island_loss_by_hand():
    """Centres (2, 0), (0, 3), (-1, 0): cosines 0, -1, 0, so each ordered sum of cos + 1 is 2 (1 + 0 + 1) = 4."""
    loss = make("island", classes=3, weight=0.01, pair_weight=10.0)
    loss.centres.copy_(torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
    out = {"features": torch.tensor([[2.0, 2.0], [0.0, 3.0]])}  # squared distances 4 and 0: L_c = 1
    value = loss(torch.zeros(2, 3), out, LABELS)
    assert value.item() == pytest.approx(math.log(3) + 0.01 * (1 + 10 * 4))


def test_island_loss_starts_with_the_papers_weights():
    loss = make("island")
    assert (loss.weight, loss.pair_weight) == (0.005, 7.0)


def test_cosine_by_hand():
    """P = (4/5, 1/5) and (1/2, 1/2), labels 0 and 1."""
    logits = torch.tensor([[4.0, 1.0], [1.0, 1.0]]).log()
    lengths = math.sqrt(0.68), math.sqrt(0.5)
    over_batch = -(0.8 + 0.5) / (math.sqrt(2) * math.sqrt(0.68 + 0.5))  # Eq. (4)
    over_image = -(0.8 / lengths[0] + 0.5 / lengths[1]) / 2
    assert make("cosine")(logits, {}, LABELS).item() == pytest.approx(over_batch)
    assert make("cosine", over="image")(logits, {}, LABELS).item() == pytest.approx(over_image)


@pytest.mark.parametrize("over", ["batch", "image"])
def test_a_certain_mistake_has_no_gradient_under_the_cosine(over):
    """Under cross-entropy its gradient tends to the square root of 2; a certain softmax is flat."""
    for margin, most in ((5, 0.02), (20, 1e-8)):
        logits = torch.tensor([[margin, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
        make("cosine", classes=3, over=over)(logits, {}, torch.tensor([1])).backward()
        assert 0 < logits.grad.norm() < most


def test_weighted_cosine_by_hand():
    """Weight 3 on the first of the two images above: the same as showing it three times."""
    logits, weights = torch.tensor([[4.0, 1.0], [1.0, 1.0]]).log(), torch.tensor([3.0, 1.0])
    repeated, y = logits[[0, 0, 0, 1]], LABELS[[0, 0, 0, 1]]
    loss = make("cosine")
    torch.testing.assert_close(loss(logits, {}, LABELS, weights), loss(repeated, {}, y))
    over_image = -(3 * 0.8 / math.sqrt(0.68) + 0.5 / math.sqrt(0.5)) / 2
    value = make("cosine", over="image")(logits, {}, LABELS, weights)
    assert value.item() == pytest.approx(over_image)


@pytest.mark.parametrize("over", ["batch", "image"])
def test_cosine_is_minus_one_for_certain_and_right_predictions(over):
    logits = 100 * torch.eye(3)
    assert make("cosine", classes=3, over=over)(logits, {}, torch.arange(3)).item() == pytest.approx(-1)


# --- centres --------------------------------------------------------------------------------------


def test_centres_move_by_equation_9():
    """Class 0 has images at 4 and 7, class 1 one at -3, class 2 none; centres 1, 1, 5; step 1/2.

    Delta c = (1-4 + 1-7) / (1+2) = -3;  (1+3) / (1+1) = 2;  0 / 1 = 0. Centres become 2.5, 0, 5.
    """
    loss = make("center", classes=3, features=1, step=0.5)
    loss.centres.copy_(torch.tensor([[1.0], [1.0], [5.0]]))
    out = {"features": torch.tensor([[4.0], [-3.0], [7.0]])}
    loss(torch.zeros(3, 3), out, torch.tensor([0, 1, 0]))
    assert loss.centres.flatten().tolist() == [1, 1, 5]  # not before the step
    loss.after_step()
    assert loss.centres.flatten().tolist() == [2.5, 0, 5]
    loss.after_step()  # nothing new was seen
    assert loss.centres.flatten().tolist() == [2.5, 0, 5]


def test_centres_rest_in_evaluation():
    loss = make("center").eval()
    loss(FLAT, {"features": torch.ones(2, 2)}, LABELS)
    loss.after_step()
    assert not loss.centres.any()


def test_centres_take_what_was_seen_before_the_optimiser_moved_the_model():
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(2.0)
    loss = make("center", features=1, step=1.0)
    out = {"features": layer(torch.ones(2, 1))}
    loss(FLAT, out, torch.tensor([0, 0])).backward()
    layer.weight.data.fill_(100.0)
    loss.after_step()
    assert loss.centres.flatten().tolist() == [pytest.approx(4 / 3), 0]  # (2 + 2) / (1 + 2)


def test_centres_find_the_means_of_their_classes():
    torch.manual_seed(0)
    means = torch.tensor([[3.0, 0.0], [0.0, -2.0]])
    loss = make("center", step=0.5)
    for _ in range(60):
        y = torch.arange(32) % 2
        loss(torch.zeros(32, 2), {"features": means[y] + 0.1 * torch.randn(32, 2)}, y)
        loss.after_step()
    torch.testing.assert_close(loss.centres, means, atol=0.1, rtol=0)


def test_island_centres_are_pushed_along_the_gradient_of_the_cosines():
    """Cai et al.: to Eq. (9) comes pair_weight / (classes - 1) times the sum over k of d cos(c_j, c_k) / d c_j."""
    centres = torch.tensor([[1.0, 2.0, 0.0], [-1.0, 1.0, 1.0], [0.5, 0.0, 3.0], [2.0, 2.0, -1.0]]).double()
    loss = build_loss("island", classes=4, features=3, pair_weight=3.0, step=0.25).double()
    plain = build_loss("center", classes=4, features=3, step=0.25).double()
    out, y = {"features": torch.randn(5, 3, dtype=torch.float64)}, torch.tensor([0, 0, 1, 3, 3])
    for each in (loss, plain):
        each.centres.copy_(centres)
        each(torch.zeros(5, 4).double(), out, y)
        each.after_step()
    c = centres.clone().requires_grad_()
    pairs = sum(F.cosine_similarity(c[j], c[k], dim=0) for j in range(4) for k in range(j))
    (gradient,) = torch.autograd.grad(pairs, c)
    torch.testing.assert_close(plain.centres - loss.centres, 0.25 * 3.0 / 3 * gradient)


def test_island_push_by_hand():
    """Centres (2, 0) and (0, 1), no images of them in the batch: d cos / d c = (0, 1) / 2 and (1, 0) / 1."""
    loss = make("island", classes=3, pair_weight=4.0, step=1.0)
    loss.centres.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    loss(torch.zeros(1, 3), {"features": torch.zeros(1, 2)}, torch.tensor([2]))
    loss.after_step()  # 4 / (3 - 1) = 2 times those; the third centre is zero, pushes none and is not pushed
    assert loss.centres.tolist() == [[2, -1], [-2, 1], [0, 0]]


def test_island_loss_spreads_centres_that_center_loss_leaves_close():
    torch.manual_seed(1)
    found = {}
    for name in ("center", "island"):
        loss = make(name, features=3)
        for _ in range(30):
            x = torch.tensor([[4.0, 1.0, 0.0], [4.0, -1.0, 0.0]]) + 0.1 * torch.randn(2, 3)
            loss(FLAT, {"features": x}, LABELS)
            loss.after_step()
        assert torch.isfinite(loss.centres).all()
        found[name] = F.cosine_similarity(*loss.centres, dim=0)
    assert found["island"] < found["center"] - 0.02


def test_centres_are_in_the_checkpoint_and_not_optimised():
    for name in ("center", "island"):
        loss = make(name, features=5, classes=3)
        assert list(loss.parameters()) == []
        assert {k: tuple(v.shape) for k, v in loss.state_dict().items()} == {"centres": (3, 5)}


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "options"), every_loss(), ids=str)
def test_gradients(name, options, weighted):
    logits, out, y = model_like()
    loss = build_loss(name, classes=3, features=4, **options).double()
    if "centres" in loss.state_dict():
        loss.centres.copy_(torch.linspace(-1, 1, 12).reshape(3, 4))
    weights = torch.linspace(0.5, 2, 6).double() if weighted else None
    inputs = (logits, *out["aux"], *out["embeddings"], *out["class_weights"], *loss.parameters())

    def value(*_):
        return loss(logits, out, y, weights)

    assert torch.autograd.gradcheck(value, inputs)


@pytest.mark.parametrize(("name", "options"), every_loss(), ids=str)
def test_weights_of_one_change_nothing_and_weights_of_zero_take_images_out(name, options):
    logits, out, y = model_like(dtype=torch.float32)
    loss = build_loss(name, classes=3, features=4, **options)
    torch.testing.assert_close(loss(logits, out, y, torch.ones(6)), loss(logits, out, y))
    weights = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    first = loss(logits, out, y, weights)
    changed = {**out, "aux": [a.clone() for a in out["aux"]]}
    changed["embeddings"] = [torch.cat([-e[:1], e[1:]]) for e in out["embeddings"]]
    changed["features"] = changed["embeddings"][-1]
    second = loss(torch.cat([-3 * logits[:1], logits[1:]]), changed, y, weights)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(("name", "options"), every_loss(), ids=str)
def test_half_precision_in_and_autocast_around_give_the_float32_value(name, options):
    logits, out, y = model_like(dtype=torch.float32)

    def half(v):
        return [half(w) for w in v] if isinstance(v, list) else v.detach().bfloat16()

    low = half(logits), {k: half(v) for k, v in out.items()}
    high = (
        low[0].float(),
        {k: [w.float() for w in v] if isinstance(v, list) else v.float() for k, v in low[1].items()},
    )
    loss, other = (build_loss(name, classes=3, features=4, **options) for _ in range(2))
    for _ in range(2):  # the second time with centres that have moved
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(*low, y)
            loss.after_step()
        expected = other(*high, y)
        other.after_step()
        assert value.dtype == torch.float32
        assert value.item() == expected.item()
        assert all(v.dtype == torch.float32 for v in loss.state_dict().values())


@pytest.mark.parametrize(("name", "options"), every_loss(), ids=str)
def test_nothing_waits_for_the_device(name, options):
    """On fake tensors there are no values: whatever would read one, as ``.item()`` does, raises."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        logits, out, y = model_like(dtype=torch.float32)
        loss = build_loss(name, classes=3, features=4, **options)
        for weights in (None, torch.rand(6)):
            loss(logits, out, y, weights).backward()
            loss.after_step()
        with pytest.raises(DataDependentOutputException):
            loss(logits, out, y).item()  # the check itself


@pytest.mark.parametrize(("name", "options"), every_loss(), ids=str)
def test_extreme_logits_stay_finite(name, options):
    logits, out, y = model_like(dtype=torch.float32)
    loss = build_loss(name, classes=3, features=4, **options)
    for factor in (0.0, 1e4):
        zero = {**out, "features": 0 * out["features"], "embeddings": [0 * e for e in out["embeddings"]]}
        value = loss(factor * logits, zero, y)
        gradients = torch.autograd.grad(value, [logits, *out["embeddings"]], allow_unused=True)
        assert torch.isfinite(value) and all(torch.isfinite(g).all() for g in gradients if g is not None)


def test_names():
    names = {"cross_entropy", "label_distribution", "am_softmax", "center", "island", "cosine"}
    assert set(LOSSES) == names
    loss = make("cross_entropy")
    assert isinstance(loss, Loss) and loss.monitored() == {} and loss.after_step() is None


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("focal", {}, "known are cross_entropy, label_distribution, am_softmax, center, island, cosine"),
        ("center", {"lambda_": 1}, "lambda_"),
        ("center", {"reduction": "max"}, "reduction must be mean or sum"),
        ("cosine", {"over": "pixel"}, "over must be batch or image"),
        ("am_softmax", {"scale": 0}, "scale must be positive"),
    ],
)
def test_bad_names_and_options_get_one_line(name, options, word):
    with pytest.raises(FerlibError, match=word) as error:
        make(name, **options)
    assert "\n" not in str(error.value)


def test_am_softmax_says_which_model_it_needs():
    with pytest.raises(FerlibError, match="amdcnn"):
        make("am_softmax")(FLAT, {"features": FLAT, "aux": []}, LABELS)


@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [0, 2, 2, 2, 2, 1, 1], [2, 2, 0]])
def test_balanced_class_weights_are_scikit_learns(labels):
    weights = balanced_class_weights(np.array(labels), 3)
    np.testing.assert_allclose(weights[labels], compute_sample_weight("balanced", labels), rtol=1e-6)
    assert weights.dtype == torch.float32 and weights.shape == (3,)


def test_balanced_class_weights_by_hand():
    """Six images, classes 0 (four), 1 (two), 2 (none): 6 / (2 * 4), 6 / (2 * 2), none."""
    assert balanced_class_weights([0, 0, 0, 0, 1, 1], 3).tolist() == [0.75, 1.5, 0.0]
