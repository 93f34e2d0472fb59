"""The ledger: its rows against the papers' text, its verdicts against cases worked out by hand."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from statsmodels.stats.proportion import confint_proportions_2indep

from ferlib import claims
from ferlib.claims import Claim, command, judge, page
from ferlib.experiments import EXPERIMENTS

TEXTS = Path(__file__).parents[2] / "shared" / "papers"
FILES = {
    "amdcnn": "000_*.txt",
    "gcca_vgg": "001_*.txt",
    "a_mobilenet": "002_*.txt",
    "se_cnn": "003_*.txt",
    "msca_resnet": "004_*.txt",
}
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


@pytest.fixture(scope="module")
def judged():
    return judge.ledger("results")


@pytest.mark.parametrize("paper", claims.PAPERS)
def test_every_printed_number_stands_in_its_line(paper):
    found = sorted(TEXTS.glob(FILES[paper])) if TEXTS.is_dir() else []
    if not found:
        pytest.skip("the papers' texts are not here")
    lines = found[0].read_text(encoding="utf-8").splitlines()
    for row in (*claims.load(paper), *claims.others(paper)):
        assert row.printed in lines[row.line - 1], (row, lines[row.line - 1][:200])


def test_ids_are_unique_and_experiments_exist():
    ids = Counter(claim.id for claim in claims.load())
    assert not [name for name, n in ids.items() if n > 1]
    for claim in claims.load():
        if claim.check in ("record", "gain", "order", "words", "parameters", "multiply_adds"):
            assert claim.experiment in EXPERIMENTS, claim
            assert claim.check == "words" or EXPERIMENTS[claim.experiment].paper == claim.paper, claim
        if claim.check in ("gain", "order"):
            assert claim.against and all(name in EXPERIMENTS for name in claim.against.split()), claim
        if claim.check == "none":
            assert claim.note, claim
        if claim.check == "history":
            assert claim.id in claims.histories(claim.paper), claim
        if claim.check == "words":
            assert claim.id in claims.words(claim.paper), claim
        assert claim.place and claim.quantity, claim


@pytest.mark.parametrize("paper", claims.PAPERS)
def test_no_predicate_without_a_row(paper):
    rows = {claim.id for claim in claims.load(paper) if claim.check == "words"}
    assert set(claims.words(paper)) <= rows
    assert set(claims.histories(paper)) == {c.id for c in claims.load(paper) if c.check == "history"}


def test_published_values_of_the_experiments_are_in_the_ledger():
    """What a row of the experiments says is printed in a table, the ledger has too, at the same place."""
    known = {(c.paper, c.place, c.quantity, c.value) for c in claims.load()}
    missing = [
        (row.paper, p.where, p.quantity, p.value)
        for row in EXPERIMENTS.values()
        for p in row.published
        if p.where.startswith("Table")
        and p.quantity == "test accuracy"
        and (row.paper, p.where, p.quantity, p.value) not in known
    ]
    assert not missing


def test_every_verdict_is_one_of_those_defined(judged):
    assert {j.verdict for j in judged} <= set(judge.VERDICTS)
    assert len(judged) == len(claims.load()) > 300
    for j in judged:
        if j.verdict in (*judge.RUN, "not testable", "contradicts itself"):
            assert not j.provisional, j
        if j.verdict == "not testable":
            assert j.why, j


@pytest.mark.parametrize(("text", "value", "half"), [("99.49", 99.49, 0.005), ("25,060", 25060, 0.5)])
def test_printed_numbers(text, value, half):
    claim = replace(CLAIM, printed=text)
    assert claim.value == value
    assert claim.half_unit == pytest.approx(half)
    assert replace(CLAIM, printed="").value is None


def test_interval_is_newcombes():
    """Against statsmodels' interval for two independent proportions (Newcombe's method 10)."""
    ours, published, n = 180 / 200, 190 / 200, 200
    difference, low, high = judge.difference_interval([ours], published, n)
    expected = confint_proportions_2indep(180, n, 190, n, method="newcomb", compare="diff")
    assert difference == pytest.approx(-0.05)
    assert (low, high) == pytest.approx(expected, abs=1e-12)


def test_seeds_widen_the_interval():
    one = judge.difference_interval([0.7], 0.7, 3589)
    three = judge.difference_interval([0.69, 0.70, 0.71], 0.7, 3589)
    seeds = 4.302653 * 0.01 / np.sqrt(3)  # t(2), sd 0.01
    assert three[0] == pytest.approx(0)
    assert three[2] == pytest.approx(np.sqrt(one[2] ** 2 + seeds**2), rel=1e-5)


@pytest.mark.parametrize(
    ("difference", "low", "high", "verdict"),
    [
        (-0.5, -2.0, 1.0, "reproduced"),
        (-3.0, -5.0, -1.0, "lower"),
        (4.0, 1.0, 7.0, "higher"),
        (-0.5, -5.0, 4.0, "too few images"),
        (0.1, -1.0, 3.2, "too few images"),
    ],
)
def test_width_never_earns_the_verdict(difference, low, high, verdict):
    assert judge.by_interval(difference, low, high) == verdict


def test_contradictions_name_the_place_that_counts():
    table = replace(CLAIM, id="t", same="g")
    abstract = replace(CLAIM, id="a", place="abstract", printed="68.04", same="g")
    rounded = replace(CLAIM, id="r", place="conclusion", printed="68.0", same="g")
    apart = replace(CLAIM, id="x", place="section 4", printed="70.00", same="other")
    found = judge.contradictions([table, abstract, rounded, apart])
    assert found == {"a": "Table 1 prints 68.01"}
    assert judge.judge(abstract, "results", found).verdict == "contradicts itself"


def test_arithmetic_allows_for_rounding_and_nothing_more(monkeypatch):
    known = {
        "p-a": replace(CLAIM, id="p-a", printed="69.04"),
        "p-b": replace(CLAIM, id="p-b", printed="68.01"),
    }
    assert judge.evaluated("p-a - p-b", known) == pytest.approx((1.03, 0.01))
    assert judge.evaluated("( p-a + p-b ) / 2", known)[0] == pytest.approx(68.525)
    for bad in ("p-a ** 2", "__import__('os')", "p-a - unknown"):
        with pytest.raises((ValueError, SyntaxError)):
            judge.evaluated(bad, known)
    monkeypatch.setattr(judge, "load", lambda paper: tuple(known.values()))
    gain = replace(CLAIM, kind="gain", check="arithmetic", against="p-a - p-b")
    assert judge.from_arithmetic(replace(gain, printed="1.03"), "results").verdict == "reproduced"
    assert judge.from_arithmetic(replace(gain, printed="1.3"), "results").verdict == "contradicts itself"


def test_without_records_nothing_is_judged(tmp_path):
    found = judge.from_records(CLAIM, tmp_path)
    assert (found.verdict, found.provisional, found.ours) == ("not run: compute", False, "–")
    raf = next(name for name, row in EXPERIMENTS.items() if row.dataset == "rafdb")
    licensed = replace(CLAIM, experiment=raf, paper=EXPERIMENTS[raf].paper)
    assert judge.from_records(licensed, tmp_path).verdict == "not run: licensed data"


def test_parameters_to_the_printed_digits():
    claim = replace(
        CLAIM, paper="amdcnn", check="parameters", experiment="amdcnn-fer2013-acs3", printed="1.6", unit="M"
    )
    assert judge.from_network(claim, "results").verdict == "reproduced"
    assert judge.from_network(replace(claim, printed="1.5"), "results").verdict == "higher"
    assert judge.from_network(replace(claim, printed="1.65"), "results").verdict == "lower"


def test_audit_paths(tmp_path):
    (tmp_path / "audit.json").write_text(json.dumps({"fer2013": {"splits": {"train": {"happy": 7215}}}}))
    claim = replace(
        CLAIM, check="audit", experiment="fer2013.splits.train.happy", printed="7,215", unit="images"
    )
    assert judge.from_audit(claim, tmp_path).verdict == "reproduced"
    assert judge.from_audit(replace(claim, printed="7,214"), tmp_path).verdict == "higher"
    assert (
        judge.from_audit(replace(claim, experiment="rafdb.total"), tmp_path).verdict
        == "not run: licensed data"
    )


def test_a_bad_row_is_refused(tmp_path, monkeypatch):
    columns = ["id", "place", "line"]
    path = tmp_path / "se_cnn.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerow(columns)
    monkeypatch.setattr(claims, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(claims.FerlibError, match="columns must be"):
        claims._rows("se_cnn", ["id", "place", "line", "kind"])
    with pytest.raises(claims.FerlibError, match="no paper 'fig'"):
        claims.load("fig")


def test_command_filters_and_prints_json(capsys):
    assert command.main(["--paper", "se_cnn", "--place", "Table 1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found and {f["paper"] for f in found} == {"se_cnn"}
    assert all("Table 1" in f["place"] for f in found)
    assert command.main(["--verdict", "licensed", "--dataset", "raf-db"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all("not run: licensed data" in line for line in lines)
    assert command.main(["--counts", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["all"]["all"] == len(claims.load())


def test_page_holds_every_claim(judged):
    soup = BeautifulSoup(page.html(judged), "html.parser")
    rows = soup.select("tbody tr")
    assert len(rows) == len(judged)
    assert [th.text for th in soup.select("th")] == list(page.COLUMNS)
    assert all(len(row.find_all("td")) == len(page.COLUMNS) for row in rows)
    for name, column in page.FILTERS.items():
        assert list(page.COLUMNS)[column] == name


def test_whole_counts_hide_nothing(monkeypatch):
    parts = [replace(CLAIM, id=f"p-{i}", kind="count", printed=n) for i, n in enumerate(("25,060", "3,152"))]
    monkeypatch.setattr(judge, "load", lambda paper: tuple(parts))
    total = replace(CLAIM, kind="count", check="arithmetic", against="p-0 + p-1")
    assert judge.from_arithmetic(replace(total, printed="28,212"), "results").verdict == "reproduced"
    assert judge.from_arithmetic(replace(total, printed="28,213"), "results").verdict == "contradicts itself"


def test_stability_is_an_f_test():
    """Variances whose ratio lies inside, then outside, the 95 % of F(9, 9), which ends at 4.026."""
    deviations = np.array([-1.0, 1.0] * 5)

    def part(scale):
        return [
            {"result": {"val_selected": {"accuracy": a / 100}}, "profile": "full", "epochs_run": 1}
            for a in 90 + scale * deviations
        ]

    claim = replace(CLAIM, kind="test", quantity="Sta", printed="0.50", unit="points")
    inside, outside = np.sqrt(4.0) * 0.5, np.sqrt(4.05) * 0.5
    assert judge.stability(claim, part(inside)).verdict == "reproduced"
    found = judge.stability(claim, part(outside))
    assert (found.verdict, found.provisional) == ("higher", False)
    assert judge.stability(claim, part(inside)[:4]).provisional
    assert judge.stability(claim, part(inside)[:1]).verdict == "not run: compute"
