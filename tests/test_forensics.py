"""Granularity, counts and names from print alone, and the findings that are made of them."""

from __future__ import annotations

import itertools
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from ferlib import findings, forensics
from ferlib.errors import FerlibError
from ferlib.findings import DATASET, DESIGN, EVIDENCE, KINDS, Finding, arithmetic
from ferlib.forensics import chance_of_compatibility, compatible_counts, possible_mean_and_sd


@pytest.mark.parametrize(
    ("printed", "n", "expected"),
    [
        ("68.01", 3589, [2441]),  # 2441 / 3589 = 68.0134 %
        ("69.05", 3589, []),  # 2478 gives 69.04, 2479 gives 69.07
        ("33.33", 3, [1]),
        ("33.34", 3, []),
        ("100", 10, [10]),
        ("0.0", 7, [0]),
        ("12.5", 8, [1]),
        ("50", 1000, list(range(495, 506))),
    ],
)
def test_by_hand(printed, n, expected):
    assert compatible_counts(printed, n) == expected


@pytest.mark.parametrize(
    ("printed", "n", "expected"),
    [
        ("66.66", 3, [2]),  # 66.666...
        ("66.67", 3, []),
        ("50", 1000, list(range(500, 510))),
        ("12.5", 8, [1]),
        ("12.4", 8, []),
        ("100", 10, [10]),
    ],
)
def test_digits_cut_off_by_hand(printed, n, expected):
    assert compatible_counts(printed, n, cut=True) == expected


@pytest.mark.parametrize("cut", [False, True])
def test_every_true_count_is_found(cut):
    for k in range(0, 3590, 7):
        printed = f"{k * 10_000 // 3589 / 100:.2f}" if cut else f"{100 * k / 3589:.2f}"
        assert k in compatible_counts(printed, 3589, cut=cut)


def test_chance_against_simulation():
    values = np.random.default_rng(0).integers(0, 10_000, 4000) / 100
    share = np.mean([bool(compatible_counts(f"{v:.2f}", 3589)) for v in values])
    assert share == pytest.approx(chance_of_compatibility(3589), abs=0.025)


def test_sizes_of_a_column():
    column = ["33.33", "66.67"]
    assert forensics.compatible_sizes(column, 12) == [3, 6, 9, 12]
    assert forensics.compatible_sizes([*column, "50.00"], 20) == [6, 12, 18]
    assert forensics.compatible_sizes(["33.33", "50.01"], 20) == []
    assert forensics.compatible_sizes(["66.66"], 6, cut=True) == [3, 6]
    assert forensics.fitting(["33.33", "50.00"], 3) == ["33.33"]


def test_sizes_expected_by_chance():
    assert forensics.expected_sizes(["1.00"], 4) == pytest.approx((1 + 2 + 3 + 4) / 1e4)
    assert forensics.expected_sizes(["1.0", "2.0"], 2) == pytest.approx((1 + 4) / 1e6)
    assert forensics.expected_sizes(["1.00"], 4, first=4) == pytest.approx(4e-4)


def test_chance_of_several_is_binomial():
    column = ["10.00", "20.00"]
    assert forensics.chance_of_at_least(2, column, 5000) == pytest.approx(0.25)
    assert forensics.chance_of_at_least(1, column, 5000) == pytest.approx(0.75)
    assert forensics.chance_of_at_least(0, column, 5000) == pytest.approx(1)


def test_chance_of_a_column_with_a_pair_by_hand():
    # on two images 0, 50 and 100 % are possible: of the 5,001 pairs 50 points apart two have both, none has one
    assert forensics.fits_of_pair(2, 5000) == pytest.approx([4999 / 5001, 0, 2 / 5001])
    column, pairs = ["10.00", "60.00", "20.00"], [("10.00", "60.00")]
    assert forensics.chance_of_at_least(3, column, 2, pairs) == pytest.approx(2 / 5001 * 2e-4)
    assert forensics.chance_of_at_least(1, column, 2, pairs) == pytest.approx(1 - 4999 / 5001 * (1 - 2e-4))
    assert forensics.chance_of_at_least(0, column, 2, pairs) == pytest.approx(1)
    assert forensics.chance_of_at_least(2, column[:2], 2, pairs) == pytest.approx(
        forensics.chance_with_gap(2, 5000)
    )


def test_chance_of_a_pair_by_hand():
    # on two images 0, 50 and 100 % are possible: of the 5,001 pairs 50 points apart, two
    assert forensics.chance_with_gap(2, 5000) == pytest.approx(2 / 5001)
    assert forensics.chance_with_gap(2, 4999) == 0
    assert forensics.chance_with_gap(3589, 3) > chance_of_compatibility(3589) ** 2  # 100 / 3589 is 0.028


def test_counts_of_one_test_set_on_a_part_of_it_by_hand():
    # on two images of four 0, 50 and 100 % are possible: of the four pairs of counts one apart none is, of the three
    # two apart those of 0 and 2 and of 2 and 4
    assert forensics.chance_on_part(4, 2, 1) == 0
    assert forensics.chance_on_part(4, 2, 2) == pytest.approx(2 / 3)
    assert forensics.chance_on_part(4, 2, 0) == pytest.approx(3 / 5)
    assert forensics.chance_on_part(7178, 3589, 2) == pytest.approx(0.5, abs=1e-3)


def test_shares_of_a_whole():
    found = forensics.split_sizes(981, [Fraction(1, 10), Fraction(3, 20), Fraction(1, 3)])
    assert list(found.values()) == [(98, 99), (147, 148), (327,)]


def true_pairs(runs, n):
    """Mean and standard deviation of all counts of ``runs`` runs on n images."""
    for counts in itertools.combinations_with_replacement(range(n + 1), runs):
        values = 100 * np.array(counts) / n
        yield values.mean(), values.std()


@pytest.mark.parametrize(("runs", "n"), [(2, 7), (3, 5), (5, 4), (10, 3)])
def test_no_true_pair_is_ruled_out(runs, n):
    for mean, sd in true_pairs(runs, n):
        assert possible_mean_and_sd(round(mean, 2), round(sd, 2), n, runs=runs)


def test_pairs_that_cannot_be_are_ruled_out():
    runs, n = 5, 4
    true = np.array(list(true_pairs(runs, n)))
    means = np.unique(true[:, 0].round(2))
    for mean, sd in itertools.product(means, np.arange(0, 20, 0.5)):
        reached = np.any(np.abs(true - (mean, sd)).max(axis=1) <= 0.005)
        assert possible_mean_and_sd(mean, sd, n, runs=runs) >= reached  # never the other way round
    assert not possible_mean_and_sd(51.0, 0.0, n, runs=runs)  # no multiple of 5 %
    assert not possible_mean_and_sd(50.0, 3.0, n, runs=runs)  # between all equal, and one apart
    assert possible_mean_and_sd(51.0, 0.0, n, runs=runs, slack=1.0)


def test_sizes_of_runs_are_those_of_every_pair():
    found = forensics.sizes_of_runs([(50.0, 0.0), (25.0, 0.0)], 16)
    assert found == [4, 8, 12, 16]
    assert forensics.sizes_of_runs([(50.0, 0.0)], 6, first=3) == [4, 6]


def test_bounds_of_accuracy():
    support = {"a": 10, "b": 30}
    assert forensics.accuracy_bounds(support, {"a": (50, 50), "b": (100, 100)}) == (87.5, 87.5)
    assert forensics.accuracy_bounds(support, {"b": (90, 100)}) == (67.5, 100)
    with pytest.raises(KeyError, match="no images of c"):
        forensics.accuracy_bounds(support, {"c": (0, 1)})


def test_names_over_another_order():
    found = forensics.renamed(["angry", "neutral", "sad"], ["angry", "sad", "neutral"])
    assert found == {"angry": "angry", "sad": "neutral", "neutral": "sad"}
    with pytest.raises(ValueError, match="zip"):
        forensics.renamed(["angry"], ["angry", "sad"])


def test_one_mistake_is_what_sklearn_counts():
    true = np.repeat([0, 1, 2], [50, 9, 20])
    predicted = true.copy()
    predicted[0] = 1
    found = forensics.one_mistake(len(true), 50, 9)
    for name, score in (("precision", precision_score), ("recall", recall_score), ("F1-score", f1_score)):
        assert found[name] == pytest.approx(100 * score(true, predicted, average="weighted")), name
    assert found["accuracy"] == pytest.approx(100 * np.mean(true == predicted))


@pytest.mark.parametrize(
    ("printed", "unit", "expected"),
    [
        ("69.82", "%", "69.82"),
        ("0.6982", "", "69.82"),
        ("0.69", "", "69"),
        ("86.21%", "", "86.21"),
        ("1", "", "100"),
    ],
)
def test_shares_become_percentages_with_their_digits(printed, unit, expected):
    assert forensics.as_percent(printed, unit) == expected


def claim(printed, *, kind="accuracy", quantity="test accuracy", unit="%", dataset="CK+"):
    value = float(printed) if printed else None
    return SimpleNamespace(
        paper="p", dataset=dataset, kind=kind, quantity=quantity, printed=printed, unit=unit, value=value
    )


def test_columns_hold_each_accuracy_once():
    rows = [
        claim("69.82"),
        claim("0.6982", unit=""),
        claim("70.00"),
        claim("70"),  # fits nearly everything
        claim("99.54", quantity="test precision", kind="metric"),
        claim("1.03", kind="gain"),
        claim("80.00", dataset="FER2013"),
    ]
    assert forensics.columns(rows) == {("p", "CK+"): ["69.82", "70.00"], ("p", "FER2013"): ["80.00"]}


def test_coverage_counts_what_fits_and_what_chance_gives():
    frame = forensics.coverage(["33.33", "50.00"], {"three": 3, "six": 6, "ten runs of three": 3})
    assert list(frame["possible"]) == [1, 2, 1]
    assert frame["by chance"][0] == pytest.approx(2 * 3e-4)
    assert list(frame["not possible"]) == [["50.00"], [], ["50.00"]]
    assert list(forensics.coverage(["50.00"], {"three": 3}, runs=2)["possible"]) == [1]


def test_figures_of_two_places_are_no_four_independent_ones():
    """Luo's four are possible on 3,589 images: of unrelated figures seldom, of two such pairs less so."""
    (pairs,) = findings.PAIRS.values()
    column = [figure for pair in pairs for figure in pair]
    apart, together = (
        forensics.coverage(column, {"private": 3589}, pairs=p).loc[0, "p"] for p in ((), pairs)
    )
    assert apart < 0.05 < together == pytest.approx(forensics.chance_with_gap(3589, 3) ** 2)
    # a pair of which one figure was left out is none
    assert forensics.coverage(column[:3], {"private": 3589}, pairs=pairs).loc[0, "possible"] == 3


# ---- findings -----------------------------------------------------------------------------------------------

FINDINGS = {finding.id: finding for finding in findings.load()}
NETWORKS = {  # whose evidence builds networks or counts thousands of readings
    "amdcnn-rafdb-size",
    "gcca_vgg-speed",
    "a_mobilenet-parameters",
    "a_mobilenet-order",
    "a_mobilenet-five",
    "a_mobilenet-sizes",
}


def one(identifier="x", **changes):
    empty = dict.fromkeys(Finding.__dataclass_fields__, "")
    return Finding(**{**empty, "id": identifier, "line": 0, "other_line": 0, **changes})


def test_findings_are_well_formed():
    assert len(FINDINGS) == len(findings.load()), "an id is there twice"
    papers = {f.paper for f in FINDINGS.values()}
    assert len(papers) == 5
    for finding in FINDINGS.values():
        assert finding.kind in KINDS
        assert finding.against in ("", DATASET, DESIGN, *papers - {finding.paper}), finding.id
        assert finding.id.startswith(finding.paper + "-")
        assert finding.line and finding.printed and finding.place and finding.what
        assert finding.changes or finding.kind == "checks out", finding.id
        assert finding.other_line or finding.against in (DATASET, DESIGN) or finding.id in EVIDENCE, (
            finding.id
        )


def test_each_function_has_its_row():
    assert set(EVIDENCE) <= set(FINDINGS)


@pytest.mark.parametrize(
    "identifier", [pytest.param(i, marks=pytest.mark.slow if i in NETWORKS else ()) for i in EVIDENCE]
)
def test_finding_stands(identifier):
    holds, text = findings.evidence(FINDINGS[identifier])
    assert holds, text
    assert text and "nan" not in text


def test_words_alone_are_no_arithmetic():
    assert findings.evidence(one()) == (True, "")


def test_numbers_as_printed():
    printed = ("12,271", "1, 773", "5e-07", "69.07%", "0.2 M")
    assert [arithmetic.number(text) for text in printed] == [12271, 1773, 5e-7, 69.07, 0.2]


def test_equal_numbers_do_not_differ_and_unequal_ones_are_not_the_same():
    equal, unequal = (one(printed=a, other_printed=b) for a, b in (("0.8449", "84.49"), ("1.03", "1.04")))
    assert arithmetic.same(equal)[0] and not arithmetic.same(unequal)[0]
    assert arithmetic.differ(unequal)[0] and not arithmetic.differ(one(printed="3", other_printed="3.0"))[0]


def test_parts_and_totals():
    assert arithmetic.parts_against_total((2, 3), 6, 5) == (
        True,
        "2 + 3 = 5, not 6; the makers have 5: the parts are right",
    )
    assert arithmetic.parts_against_total((2, 3), 6, 6)[1].endswith("the total is right")
    assert arithmetic.parts_against_total((2, 3), 6, 7)[1].endswith("neither is theirs")
    assert not arithmetic.parts_against_total((2, 3), 5, 5)[0]


def test_findings_fall_with_other_numbers():
    assert not findings.se_cnn.luo_happy(one(), most=1400)[0]
    assert not findings.se_cnn.luo_disgust(one(), disgust=436, happy=7215)[0]
    assert not findings.a_mobilenet.nan_center(one(), batch=1)[0]
    assert not findings.msca_resnet.wang_shapes(one(), ratio=1)[0]
    assert not findings.gcca_vgg.chen_dropout(one(printed="0.5"))[0]
    assert not findings.gcca_vgg.chen_factor(one(printed="10 times"))[0]
    assert not findings.gcca_vgg.chen_sad(one(printed="approximately 4800"))[0]
    assert not findings.msca_resnet.wang_sequences(one(printed="327"))[0]
    assert not findings.se_cnn.luo_reaching(one(printed="69.04%"))[0]
    assert not findings.gcca_vgg.chen_swapped(one(printed="98.66%"))[0]
    assert not findings.gcca_vgg.chen_card(one(printed="GTX 1080Ti 11 G"))[0]
    assert not findings.msca_resnet.wang_cores(one(printed="8 core CPU i7-10700"))[0]


def test_how_far_two_places_are_apart_depends_on_the_test_images(monkeypatch):
    text = findings.se_cnn.luo_pairs(one())[1]
    assert text == "+0.03 and +0.03, each one of 3,589 or two of 7,178 images"
    monkeypatch.setitem(findings.LUO, "abstract", ("68.04", "69.10"))  # one image and two
    assert findings.se_cnn.images_apart(3589) == {1, 2}
    monkeypatch.setitem(findings.LUO, "abstract", ("68.02", "69.02"))
    assert findings.se_cnn.images_apart(3589) == set()
    assert findings.se_cnn.luo_pairs(one())[1].endswith(" points")


def test_named_sizes_are_in_words():
    named = findings.amdcnn.named_sizes()
    assert named[3519] == "FERPlus' test part, most frequent vote, seven classes"
    assert any("validation part" in text for text in named.values())
    assert not any(code in text for text in named.values() for code in ("argmax", "val part", "majority"))


def test_findings_fall_with_other_figures(monkeypatch):
    monkeypatch.setitem(findings.LUO, "abstract", ("68.03", "69.07"))
    assert findings.se_cnn.luo_images(one()) == (False, "not all are possible on 3,589")
    monkeypatch.setitem(findings.LUO, "abstract", ("68.02", "69.07"))
    assert findings.se_cnn.luo_images(one()) == (False, "not all are possible on 7,178")
    better, worse = [(69.79, 0.38), (71.53, 0.35)], [(69.79, 0.38), (69.78, 0.35)]
    monkeypatch.setattr(findings.gcca_vgg, "chen", lambda _: better * 3)
    assert not findings.gcca_vgg.chen_improves(one())[0]  # model 3 is no better than model 1
    monkeypatch.setattr(findings.gcca_vgg, "chen", lambda _: better[:1] + better[1:] * 5)
    assert findings.gcca_vgg.chen_improves(one())[0]
    monkeypatch.setattr(findings.gcca_vgg, "chen", lambda _: worse[:1] + worse[1:] * 5)
    assert not findings.gcca_vgg.chen_improves(one())[0]


def test_a_split_by_frames_and_one_by_whole_sequences_give_the_same_figures():
    """Of three frames each: 65 sequences fit, with a class of three; of 66 no whole class does."""
    found = {n: findings.amdcnn.classes_taken_for(n, 3) for n in (195, 198)}
    assert found == {195: [9], 198: []}
    assert all(findings.amdcnn.classes_taken_for(n, 1) for n in (195, 196, 197, 198))
    assert not findings.amdcnn.classes_taken_for(194, 1) + findings.amdcnn.classes_taken_for(199, 1)


def test_overview_counts_every_finding():
    table = findings.overview()
    assert list(table.columns) == list(KINDS)
    assert table.to_numpy().sum() == len(FINDINGS)
    assert findings.overview([one(paper="p", kind="unclear")]).loc["p"].tolist() == [0, 1, 0, 0, 0]


def test_a_bad_file_is_refused(tmp_path):
    columns = ",".join(Finding.__dataclass_fields__)
    (bad := tmp_path / "bad.csv").write_text(f"{columns}\nx,p,nonsense,a,b,1,c,,,,,,\n")
    with pytest.raises(FerlibError, match="unknown class 'nonsense'"):
        findings.load(bad)
    (other := tmp_path / "other.csv").write_text("id,paper\n")
    with pytest.raises(FerlibError, match="the columns must be"):
        findings.load(other)


TITLES = {
    "amdcnn": "Facial Emotion Recognition Combining Auxiliary Classifiers",
    "gcca_vgg": "A Framework for Facial Expression Recognition Combining Contextual",
    "a_mobilenet": "A-MobileNet: An approach of facial expression recognition",
    "se_cnn": "Convolutional neural network combined with the attention mechanism",
    "msca_resnet": "Multiscale Convolutional Attention-based Residual Network",
}


@pytest.fixture(scope="module")
def texts(papers):
    """Lines of each paper's text."""
    found = {}
    for path in sorted(papers.glob("*.txt")):
        lines = path.read_text(encoding="utf-8").split("\n")
        for paper, title in TITLES.items():
            if any(title in line for line in lines[:20]):
                found[paper] = lines
    if set(found) != set(TITLES):
        pytest.skip("FERLIB_PAPERS lacks a paper")
    return found


@pytest.mark.parametrize("identifier", FINDINGS)
def test_finding_stands_where_it_says(identifier, texts):
    finding = FINDINGS[identifier]
    assert finding.printed in texts[finding.paper][finding.line - 1]
    if finding.other_line:
        paper = finding.against if finding.against in texts else finding.paper
        assert finding.other_printed in texts[paper][finding.other_line - 1]


def test_what_would_settle_a_question_is_said_for_every_paper():
    papers = {f.paper for f in FINDINGS.values()}
    asked = [f for f in FINDINGS.values() if f.resolve]
    tables = {paper: findings.unsettled(paper) for paper in papers}
    assert sum(map(len, tables.values())) == len(asked)
    assert all(len(table) and (table != "").all().all() for table in tables.values())
