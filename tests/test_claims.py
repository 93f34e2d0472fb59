"""The ledger: its rows against the papers' text, its verdicts against cases worked out by hand."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from claimed import CLAIM
from recorded import record
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from ferlib import claims, heads, measures_tables, measures_verdicts, tables
from ferlib.claims import (
    command,
    costs_and_counts,
    curves,
    judge,
    judge_statements,
    page,
    verdicts,
)
from ferlib.claims.verdicts import RUN
from ferlib.claims.words_gcca_vgg import rises_after_a_fall
from ferlib.claims.words_se_cnn import better_after_fall, similar, steady_after
from ferlib.data import ckplus, fer2013
from ferlib.experiments import EXPERIMENTS
from ferlib.typeset import typeset
from ferlib.wording import cell

pytestmark = pytest.mark.xdist_group("claims")  # judged once
FILES = {
    "amdcnn": "000_*.txt",
    "gcca_vgg": "001_*.txt",
    "a_mobilenet": "002_*.txt",
    "se_cnn": "003_*.txt",
    "msca_resnet": "004_*.txt",
}
RECORDS = ("record", "words", "history", "heads", "parameters", "multiply_adds")
PAIRS = ("gain", "order", "attention", "t_test", "spread", "scatter")
PREDICATES = {
    "words": claims.words,
    "history": claims.histories,
    "fact": claims.facts,
    "attention": claims.zones,
}


@pytest.fixture(scope="module")
def judged():
    return judge.ledger("results")


@pytest.mark.parametrize("paper", claims.PAPERS)
def test_every_printed_number_stands_in_its_line(paper, papers):
    found = sorted(papers.glob(FILES[paper]))
    if not found:
        pytest.skip("the papers' texts are not here")
    lines = found[0].read_text(encoding="utf-8").splitlines()
    for row in (*claims.load(paper), *claims.others(paper)):
        assert row.printed in lines[row.line - 1], (row, lines[row.line - 1][:200])


def test_ids_are_unique_and_experiments_exist():
    ids = Counter(claim.id for claim in claims.load())
    assert not [name for name, n in ids.items() if n > 1]
    for claim in claims.load():
        rows = [claim.experiment, *claim.against.split()]
        if claim.check in (*RECORDS, *PAIRS):
            assert all(EXPERIMENTS[name].paper == claim.paper for name in rows), claim
        if claim.check in PAIRS:
            assert claim.against, claim
        if claim.check == "none":
            assert claim.note, claim
        assert claim.place and claim.quantity, claim


@pytest.mark.parametrize("paper", claims.PAPERS)
@pytest.mark.parametrize(("check", "known"), PREDICATES.items())
def test_every_statement_has_its_predicate_and_no_predicate_is_left_over(paper, check, known):
    assert set(known(paper)) == {claim.id for claim in claims.load(paper) if claim.check == check}


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
    """Their variance is added to that of the images, with Satterthwaite's degrees of freedom."""
    one = judge.difference_interval([0.7], 0.7, 3589)
    three = judge.difference_interval([0.69, 0.70, 0.71], 0.7, 3589)
    z = 1.959964
    images, seeds = ((one[2] - one[1]) / (2 * z)) ** 2, 0.01**2 / 3
    freedom = (images + seeds) ** 2 / (images**2 / 3588 + seeds**2 / 2)
    wider = stats.t.ppf(0.975, freedom) / z * np.sqrt(one[2] ** 2 + z**2 * seeds)
    assert three[0] == pytest.approx(0)
    assert three[2] == pytest.approx(wider, rel=1e-6) and three[2] > 1.1 * one[2]


def test_interval_of_a_mean_over_images():
    """Two samples of one spread: the z interval of statsmodels with that spread given twice."""
    values = np.random.default_rng(0).gamma(2, 1, 500)
    difference, low, high = verdicts.mean_interval([values.mean()], 1.9, values, 500)
    reach = 1.959964 * np.sqrt(2 * values.var(ddof=1) / 500)
    assert difference == pytest.approx(values.mean() - 1.9)
    assert (low, high) == pytest.approx((difference - reach, difference + reach))


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


def test_command_filters_and_prints_json(capsys, tmp_path):
    assert command.main(["--paper", "se_cnn", "--place", "Table 1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found and {f["paper"] for f in found} == {"se_cnn"}
    assert all("Table 1" in f["place"] for f in found)
    assert command.main(["--place", "section 3.5", "--dataset", "ck+", "--json"]) == 0
    by_id = {f["id"]: f for f in json.loads(capsys.readouterr().out)}
    assert by_id["msca_resnet-s35-ckplus-all-but-sadness"]["note"] == "our bound: 95 %"
    assert command.main(["--verdict", "licensed", "--dataset", "raf-db"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all("not run: licensed data" in line for line in lines)
    assert command.main(["--counts", "--json", "--results", str(tmp_path)]) == 0
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


def test_cells_of_the_page_have_units_and_real_minus_signs():
    rate = judge.Judgement(CLAIM, "lower", ours="66.68", difference=-1.33, low=-2.5, high=0.25)
    assert (page.ours(rate), page.interval(rate)) == ("66.68 %", "-1.33 [-2.5, +0.2]")
    assert ">66.68 %</td>" in page.html([rate]) and "−1.33 [−2.5, +0.2]</td>" in page.html([rate])
    gain = replace(rate, claim=replace(CLAIM, kind="gain", check="order"), ours="-0.17")
    assert page.ours(gain) == "-0.17 points" and page.ours(replace(gain, ours="–")) == "–"
    assert (
        page.ours(replace(rate, claim=replace(CLAIM, quantity="test loss", kind="metric", unit="")))
        == "66.68"
    )
    count = replace(CLAIM, kind="count", check="audit", unit="images")
    differences = (0, -200.0, 1234.0)
    found = [page.interval(judge.Judgement(count, "higher", difference=d)) for d in differences]
    assert found == ["0", "-200", "+1,234"]
    assert page.interval(judge.Judgement(CLAIM, "higher", difference=0.0)) == "+0.00"
    assert page.printed(replace(CLAIM, unit="fraction")) == "68.01"
    assert (
        page.what(replace(CLAIM, model="2 (SENet)", quantity="lambda_1 = 7 at 48x48"))
        == "SENet: λ₁ = 7 at 48×48"
    )


def test_page_says_how_a_claim_is_read():
    words = replace(CLAIM, kind="words", check="words", printed="", note="our bound: 95 %, on 48x48")
    found = judge.Judgement(words, "direction holds", runs="full, 1 seed")
    assert page.why(found) == "full, 1 seed; note: our bound: 95 %, on 48×48"
    assert page.why(replace(found, why="all")) == "full, 1 seed; all; note: our bound: 95 %, on 48×48"
    assert page.why(judge.from_nothing(replace(words, note="no measure"), "results")) == "no measure"
    assert page.why(replace(found, claim=CLAIM)) == "full, 1 seed"


def test_page_names_the_records_behind_a_verdict(judged):
    """Every id that a line names has a folder with records; what needs no run, or has none, names nothing."""
    column = list(page.COLUMNS).index("Why")
    rows = BeautifulSoup(page.html(judged), "html.parser").select("tbody tr")
    named = {
        one.claim.id: [code.text for code in row.find_all("td")[column].select("code")]
        for one, row in zip(judged, rows, strict=True)
    }
    assert sum(map(bool, named.values())) > 100
    for one in judged:
        assert all(list(Path("results", name).glob("seed*.json")) for name in named[one.claim.id])
        assert bool(named[one.claim.id]) == (judge.rests_on_runs(one) and one.verdict not in RUN)
    order = replace(CLAIM, check="order", kind="gain", experiment="se_cnn-se", against="se_cnn-plain")
    found = judge.Judgement(order, "lower", ours="-0.17", runs="full, 1 seed")
    expected = "full, 1 seed; records <code>se_cnn-plain</code>, <code>se_cnn-se</code></td>"
    assert expected in page.html([found])


def test_every_note_stands_on_the_page(judged):
    rows = BeautifulSoup(page.html(judged), "html.parser").select("tbody tr")
    column = list(page.COLUMNS).index("Why")
    for row, judgement in zip(rows, judged, strict=True):
        note = typeset(cell(judgement.claim.note))
        assert note in typeset(cell(row.find_all("td")[column].text)), judgement.claim.id


def test_cells_of_the_page_have_numbers_to_sort_by():
    def keys(judgement):
        cells = BeautifulSoup(page.html([judgement]), "html.parser").find_all("td")
        found = dict(zip(page.COLUMNS, cells, strict=True))
        return [found[name].get("data-order") for name in page.NUMBERS]

    rate = judge.Judgement(CLAIM, "lower", ours="66.68 ± 0.20", difference=-1.33)
    assert keys(rate) == ["68.01", "66.68", "-1.33"]
    fraction = replace(CLAIM, printed="0.6801", unit="fraction")
    assert keys(replace(rate, claim=fraction)) == ["68.01", "66.68", "-1.33"]
    order = replace(CLAIM, kind="gain", check="order", printed="")
    assert keys(judge.Judgement(order, "direction fails", ours="-17.00")) == [None, "-17", None]
    count = replace(CLAIM, kind="count", check="audit", printed="28,709", unit="images")
    assert keys(judge.Judgement(count, "higher", ours="35,887", difference=7178)) == [
        "28709",
        "35887",
        "7178",
    ]
    for text in ("–", "highest: happy (86.7 %)", "47 of 50; 49 of 50"):
        assert keys(judge.Judgement(order, "direction holds", ours=text)) == [None, None, None]


def test_a_provisional_verdict_is_found_as_what_it_is():
    firm, unsure = (judge.Judgement(CLAIM, "lower", provisional) for provisional in (False, True))
    column = page.FILTERS["Verdict"]
    cells = [BeautifulSoup(page.html([j]), "html.parser").find_all("td")[column] for j in (firm, unsure)]
    assert [td.text for td in cells] == ["lower", "provisional: lower"]
    assert [td.get("data-choices") for td in cells] == [None, "lower|provisional"]


def test_missing_rows_are_counted_where_they_are_many(tmp_path):
    sweep = [name for name in EXPERIMENTS if name.startswith("gcca_vgg-fer2013-pair")]
    claim = replace(CLAIM, paper="gcca_vgg", check="order", kind="words", experiment=sweep[0])
    many = judge.direction(replace(claim, against=" ".join(sweep[1:])), tmp_path).why
    assert many.startswith(f"no run of {len(sweep)} rows, for example Model 6") and many.count("λ₁") == 2
    few = judge.direction(replace(claim, against=sweep[1]), tmp_path).why
    assert few.startswith("no run of Model 6") and few.count("λ₁") == 2 and "rows" not in few


def test_whole_counts_hide_nothing(monkeypatch):
    count = replace(CLAIM, kind="count", unit="images")
    parts = [replace(count, id=f"p-{i}", printed=n) for i, n in enumerate(("25,060", "3,152"))]
    monkeypatch.setattr(judge, "load", lambda paper: tuple(parts))
    total = replace(CLAIM, kind="count", check="arithmetic", against="p-0 + p-1")
    assert judge.from_arithmetic(replace(total, printed="28,212"), "results").verdict == "reproduced"
    found = judge.from_arithmetic(replace(total, printed="28,213"), "results")
    assert found.verdict == "contradicts itself" and found.ours == "28,212"
    assert found.why == "from the paper's own 25,060 + 3,152"
    known = {claim.id: claim for claim in parts}
    known["p-2"] = replace(CLAIM, printed="1, 773")
    assert judge.as_printed("100 * ( p-0 - p-1 )", known) == "100 × (25,060 − 3,152)"
    assert judge.as_printed("p-2 / p-1", known) == "1,773 % / 3,152"


def test_stability_is_an_f_test():
    """Variances whose ratio lies inside, then outside, the 95 % of F(9, 9), which ends at 4.026."""
    deviations = np.array([-1.0, 1.0] * 5)

    def part(scale):
        return [
            {
                "experiment": {"dataset_options": {}},
                "result": {"val_selected": {"accuracy": a / 100}},
                "profile": "full",
                "epochs_run": 1,
            }
            for a in 90 + scale * deviations
        ]

    claim = replace(CLAIM, kind="test", quantity="Sta", printed="0.50", unit="points")
    inside, outside = np.sqrt(4.0) * 0.5, np.sqrt(4.05) * 0.5
    assert judge.stability(claim, part(inside)).verdict == "reproduced"
    found = judge.stability(claim, part(outside))
    assert (found.verdict, found.provisional) == ("higher", False)
    assert judge.stability(claim, part(inside)[:4]).provisional
    assert judge.stability(claim, part(inside)[:1]).verdict == "not run: compute"


def test_losses_are_judged_by_the_spread_of_single_images(tmp_path):
    """Logits of 1 for one class and 0 for six: a cross-entropy of ln(e + 6) - 1 where it is right, else 1 more."""
    record(tmp_path, "se_cnn-plain", accuracy=0.75, profile="full", n=400)
    path = judge.records.path_of(tmp_path, "se_cnn-plain", 0)
    base = np.log(np.e + 6)
    found = judge.image_losses(path, "val_selected")
    assert sorted(set(found.round(6))) == pytest.approx([base - 1, base])
    claim = replace(CLAIM, kind="metric", quantity="test loss", printed="1.0", unit="")  # the records say 1.0
    same = judge.from_records(claim, tmp_path)
    reach = 1.959964 * found.std(ddof=1) * np.sqrt(2 / 400)
    assert (same.verdict, same.ours) == ("too few images", "1.000")  # wider than 3 % of 1.0
    assert (same.low, same.high) == pytest.approx((-reach, reach), rel=1e-6)
    assert judge.from_records(replace(claim, printed="1.2"), tmp_path).verdict == "lower"
    other = replace(claim, quantity="training precision")
    assert judge.from_records(other, tmp_path).why == "the records hold no training precision"


def test_what_one_reading_alone_holds_is_judged_by_it(tmp_path):
    """Training figures are those of the epoch chosen on validation; records have none of the best test epoch."""
    record(tmp_path, "se_cnn-plain", profile="full")
    path = judge.records.path_of(tmp_path, "se_cnn-plain", 0)
    part = judge.records.read(path)["reproducible"]
    part["data"]["counts"] = {"train": {"happy": 9000, "sad": 1000}}
    judge.records.write(tmp_path, part, judge.records.read_predictions(path), {}, "made by a test")
    claim = replace(CLAIM, quantity="training accuracy", printed="80.50")
    found = judge.from_records(claim, tmp_path)
    assert (found.verdict, found.ours, found.why) == (
        "reproduced",
        "80.00",
        "n = 10,000; evaluated. In training, with augmentation and dropout, 50.00",
    )
    assert found.at_best_test == ""


@pytest.mark.parametrize(("best", "verdict"), [(0.68, "reproduced"), (0.60, "lower")])
def test_reproduced_is_what_is_so_on_the_merged_images_too(tmp_path, best, verdict):
    """Of a paper that tested on them: 68 % of 4,000 meets the print; the merged images must as well."""
    record(tmp_path, "se_cnn-plain", accuracy=0.68, best=best, profile="full", n=4000)
    found = judge.from_records(CLAIM, tmp_path)
    assert found.verdict == verdict
    assert "on the merged test part, which the paper used" in found.why and f", {verdict}" in found.why
    decided = (
        ", which decides; on the official one " in found.why
    )  # the interval shown is that of the verdict
    assert decided == (verdict == "lower") == (found.high < 0)
    assert (found.ours, found.at_best_test) == (
        f"{100 * best:.2f}",
        verdict,
    )  # ours minus the print is what is shown
    assert found.difference == pytest.approx(float(found.ours) - float(CLAIM.printed))
    other = replace(CLAIM, paper="amdcnn", experiment="amdcnn-fer2013-acs3", printed="68.00")
    record(tmp_path, other.experiment, accuracy=0.68, best=best, profile="full", n=4000)
    found = judge.from_records(other, tmp_path)  # a paper of the official test part
    assert found.verdict == "reproduced" and "merged" not in found.why


def test_what_runs_decide_comes_first():
    """In the ledger's table: accuracies, orders, what needs no run, what has no verdict."""
    order = replace(CLAIM, check="order")
    judged = [
        judge.Judgement(CLAIM, "not run: compute"),
        judge.Judgement(replace(CLAIM, check="audit"), "reproduced"),
        judge.Judgement(order, "not shown"),
        judge.Judgement(CLAIM, "lower"),
    ]
    assert page.telling(judged) == judged[::-1]


T_TEST = replace(
    CLAIM,
    paper="amdcnn",
    kind="test",
    quantity="p",
    check="t_test",
    experiment="amdcnn-ckplus-acs3",
    against="amdcnn-ckplus-mcbam",
    printed="0.001",
    unit="",
)


def test_a_t_test_is_welchs_over_seeds(tmp_path):
    first, second = (0.70, 0.71, 0.72), (0.74, 0.76, 0.78)
    assert "there are 0 of baseline+MCBAM, 0 of" in judge.judge(T_TEST, tmp_path, {}).why
    for seed in range(3):
        record(tmp_path, T_TEST.against, seed, first[seed], dataset="ckplus", profile="full")
        record(tmp_path, T_TEST.experiment, seed, second[seed], dataset="ckplus", profile="full")
    found = judge.judge(T_TEST, tmp_path, {})
    p = stats.ttest_ind(second, first, equal_var=False).pvalue
    assert found.ours == f"{p:.2g}" and 0.001 < p < 0.05
    assert (found.verdict, found.provisional) == ("higher", False)
    assert judge.judge(replace(T_TEST, printed="0.05"), tmp_path, {}).verdict == "reproduced"
    assert judge.judge(replace(T_TEST, printed=""), tmp_path, {}).verdict == "direction holds"
    turned = replace(T_TEST, experiment=T_TEST.against, against=T_TEST.experiment)
    assert judge.judge(turned, tmp_path, {}).verdict == "direction fails"
    record(
        tmp_path, T_TEST.against, 3, 0.90, dataset="ckplus", profile="full"
    )  # now the first three tell nothing
    blurred = judge.judge(T_TEST, tmp_path, {})
    assert float(blurred.ours) > 0.05 and blurred.verdict == "not shown"


def test_a_gain_over_seeds_is_tested_over_seeds(tmp_path):
    """Two seeds that point in opposite directions: neither of their own p-values says anything on the gain."""
    claim = replace(T_TEST, kind="gain", check="order", printed="")
    record(tmp_path, claim.against, 0, 0.60, dataset="ckplus", profile="full")
    record(tmp_path, claim.experiment, 0, 0.90, dataset="ckplus", profile="full")
    one = judge.judge(claim, tmp_path, {})
    assert one.ours == "+30.00" and "(p 1.9e-09 over people)" in one.why and one.verdict == "direction holds"
    record(tmp_path, claim.against, 1, 0.90, dataset="ckplus", profile="full")
    record(tmp_path, claim.experiment, 1, 0.58, dataset="ckplus", profile="full")
    both = judge.judge(claim, tmp_path, {})
    assert both.verdict == "not shown" and both.ours == "-1.00"
    assert float(both.why.split("(p ")[1].split()[0]) > 0.9 and "over 2 seeds" in both.why


def test_an_order_over_single_images_is_mcnemars(tmp_path):
    claim = replace(T_TEST, kind="gain", check="order", printed="")
    claim = replace(claim, against="amdcnn-fer2013-mcbam", experiment="amdcnn-fer2013-acs3")
    turned = replace(claim, experiment=claim.against, against=claim.experiment)
    record(tmp_path, claim.against, 0, 0.60, profile="full")
    record(tmp_path, claim.experiment, 0, 0.90, profile="full")
    found = judge.judge(claim, tmp_path, {})
    assert "(McNemar p 1.9e-09)" in found.why and found.title == "provisional: direction holds"
    assert judge.judge(turned, tmp_path, {}).title == "provisional: direction fails"
    record(tmp_path, claim.experiment, 0, 0.60, profile="full")
    assert judge.judge(claim, tmp_path, {}).title == "provisional: not shown"  # no difference at all


def test_an_order_is_as_firm_as_the_seeds_that_both_have(tmp_path):
    """Three seeds of each, of which one is common: provisional, and the label says what was compared."""
    claim = replace(T_TEST, kind="gain", check="order", printed="")
    for seeds, name, accuracy in (((0, 1, 2), claim.against, 0.6), ((0, 11, 12), claim.experiment, 0.9)):
        for seed in seeds:
            record(tmp_path, name, seed, accuracy, dataset="ckplus", profile="full")
    found = judge.judge(claim, tmp_path, {})
    assert found.title == "provisional: direction holds" and "1 seed" in found.runs
    for seed in (1, 2):
        record(tmp_path, claim.experiment, seed, 0.9, dataset="ckplus", profile="full")
    found = judge.judge(claim, tmp_path, {})
    assert found.title == "direction holds" and "3 seeds" in found.runs


def test_several_orders_in_one_sentence():
    assert judge.joint(["direction holds", "direction holds"]) == "direction holds"
    assert judge.joint(["direction holds", "not shown"]) == "not shown"
    assert judge.joint(["direction fails", "not shown", "direction holds"]) == "direction fails"


def test_frames_of_one_person_are_worth_fewer_images(tmp_path):
    """Ten frames of each of ten people, right or wrong together, are worth ten images (nine by their own variance)."""
    row = EXPERIMENTS[T_TEST.experiment]
    ids = [f"S{i // 10:03d}_001_{i:08d}" for i in range(100)]

    def worth():
        return judge.independent(tables.parts_of(tmp_path, row.id), "val_selected")

    record(tmp_path, row.id, 0, 0.6, dataset="ckplus", profile="full", ids=ids)
    assert worth() == 9
    record(tmp_path, row.id, 0, 1.0, dataset="ckplus", profile="full", ids=ids)
    assert worth() == 10
    record(tmp_path, row.id, 0, 0.6, dataset="ckplus", profile="full")  # everyone once
    assert worth() in (99, 100)


def test_words_hold_where_most_seeds_say_so():
    assert judge_statements.by_most([True, True, False]) == "direction holds"
    assert judge_statements.by_most([True, False]) == judge_statements.by_most([False]) == "direction fails"
    assert judge_statements.by_most([None, True]) == "direction holds"  # one that cannot tell does not count
    assert judge_statements.by_most([None]) == "not shown"


def test_less_spread_over_seeds(tmp_path):
    claim = replace(T_TEST, kind="words", check="spread", printed="")
    assert judge.judge(claim, tmp_path, {}).verdict == "not run: compute"
    for seed in range(10):
        record(tmp_path, claim.against, seed, 0.70 + 0.02 * seed, dataset="ckplus", profile="full")
        record(tmp_path, claim.experiment, seed, 0.70 + 0.01 * seed, dataset="ckplus", profile="full")
        record(tmp_path / "less", claim.against, seed, 0.70 + 0.03 * seed, dataset="ckplus", profile="full")
        record(
            tmp_path / "less", claim.experiment, seed, 0.70 + 0.01 * seed, dataset="ckplus", profile="full"
        )
    found = judge.judge(claim, tmp_path, {})
    p = 2 * stats.f.cdf(1 / 4, 9, 9)  # variances as 1 to 4
    assert found.why == f"standard deviations in points; F-test p = {p:.2g}" and p > 0.05
    assert (found.verdict, found.provisional) == ("not shown", False)
    assert judge.judge(claim, tmp_path / "less", {}).verdict == "direction holds"  # as 1 to 9
    turned = replace(claim, experiment=claim.against, against=claim.experiment)
    assert judge.judge(turned, tmp_path / "less", {}).verdict == "direction fails"


def test_classes_are_gathered(tmp_path):
    """The recorded logits are right or wrong: fewer mistakes, better gathered; seeds that disagree show nothing."""
    claim = replace(T_TEST, kind="words", check="scatter", printed="")
    assert judge.judge(claim, tmp_path, {}).verdict == "not run: compute"
    record(tmp_path, claim.against, 0, 0.70, dataset="ckplus", profile="full")
    record(tmp_path, claim.experiment, 0, 0.90, dataset="ckplus", profile="full")
    found = judge.judge(claim, tmp_path, {})
    assert (found.verdict, found.provisional) == ("direction holds", True)
    turned = replace(claim, experiment=claim.against, against=claim.experiment)
    assert judge.judge(turned, tmp_path, {}).verdict == "direction fails"
    record(tmp_path, claim.against, 1, 0.90, dataset="ckplus", profile="full")
    record(tmp_path, claim.experiment, 1, 0.70, dataset="ckplus", profile="full")
    assert judge.judge(claim, tmp_path, {}).verdict == "not shown"


def test_facts_by_hand():
    counts = {"a": 10, "b": 30, "c": 20}
    assert costs_and_counts.unbalanced(counts, 3)() == (True, "b 30, a 10")
    assert not costs_and_counts.unbalanced(counts, 3.1)()[0]
    assert costs_and_counts.rarest(counts, "a", "c")()[0] and not costs_and_counts.rarest(counts, "c")()[0]
    assert (
        costs_and_counts.more_than(counts, "b", 29)()[0]
        and not costs_and_counts.more_than(counts, "b", 30)()[0]
    )
    assert costs_and_counts.fewer_than_most(counts, "a")()[0]
    assert costs_and_counts.fewer_than_most(counts, "c")()[0] is None  # one has more, one fewer
    assert costs_and_counts.fewer_than_most(counts, "b")()[0] is False
    cheap, dear = "a_mobilenet-ferplus-mobilenet_v3_small", "a_mobilenet-ferplus-mobilenet_v1"
    assert costs_and_counts.cheaper(cheap, dear)()[0] and not costs_and_counts.cheaper(dear, cheap)()[0]
    assert costs_and_counts.no_more_parameters(cheap, dear)()[0]
    assert not costs_and_counts.hardly_dearer(dear, cheap, 5)()[0]
    assert costs_and_counts.hardly_larger_and_dearer(dear, dear, 0)() == (
        True,
        "+0.00 % parameters, +0.00 % multiply-adds",
    )
    names = "amdcnn-fer2013-cbam", "amdcnn-fer2013-baseline"
    held = [
        costs_and_counts.hardly_larger_for_any(*names, 5, "ratio", ratios)()[0]
        for ratios in ((2,), (16, 8), (2, 16))
    ]
    assert held == [False, True, None]


def test_facts_need_no_record(tmp_path):
    found = judge.ledger(tmp_path, [c for c in claims.load() if c.check == "fact"])
    assert len(found) >= 12
    assert {j.verdict for j in found} <= {"direction holds", "direction fails", "not shown"}
    assert not any(j.provisional or j.claim.experiment for j in found)
    by_id = {j.claim.id: j for j in found}
    assert by_id["amdcnn-va1-fer2013-fear-few-images"].verdict == "not shown"  # the middle one of seven
    assert by_id["gcca_vgg-s31-ckplus-contempt-rarest"].ours == f"contempt ({ckplus.SEQUENCES['contempt']})"
    assert by_id["se_cnn-32-disgust-rarest"].ours == f"disgust ({fer2013.PUBLISHED['train']['disgust']})"


def history(accuracy, rates=None, val=None):
    lines = [{"test_accuracy": a, "val_accuracy": a, "lr": 1.0} for a in accuracy]
    for i, line in enumerate(lines):
        line["lr"] = rates[i] if rates else line["lr"]
        line["val_accuracy"] = val[i] if val else line["val_accuracy"]
    return {"history": lines, "result": {"val_selected": {"accuracy": max(accuracy)}}}


def test_curves_by_hand():
    part = history([0.1, 0.4, 0.8, 0.9], [1, 1, 0.5, 0.25])
    assert curves.falls(part).tolist() == [2, 3]
    assert curves.epochs_to_level(part, history([0.5, 0.5, 0.5, 0.5]))[:2] == (3, 1)
    assert steady_after(3)(part)[0] is False  # 0.7 of a rise of 0.8
    assert steady_after(3)(history([0.1, 0.4, 0.86, 0.9])) == (True, "95 % of the rise by epoch 3")
    assert steady_after(4)(part)[0] is None
    fast, slow = history([0.9, 0.9, 0.9, 0.9]), history([0.1, 0.2, 0.3, 0.91])
    assert similar(fast, fast)[0] and not similar(fast, slow)[0]
    assert not similar(fast, history([0.8, 0.8, 0.8, 0.8]))[0]
    rising = history([0.5] * 10 + [0.6] * 10, [1.0] * 10 + [0.5] * 10)
    assert better_after_fall(11)(rising)[0] and not better_after_fall(3)(rising)[0]
    assert better_after_fall(16)(rising)[0] is None  # too short to tell
    assert not better_after_fall(11)(history([0.5] * 20, [1.0] * 10 + [0.5] * 10))[0]


def test_a_curve_with_one_summit():
    def parts(*values):
        return [{"result": {"val_selected": {"accuracy": v}}} for v in values]

    assert not rises_after_a_fall(*parts(0.1, 0.2, 0.3, 0.2))[0]
    assert not rises_after_a_fall(*parts(0.1, 0.2, 0.3))[0]
    assert rises_after_a_fall(*parts(0.1, 0.3, 0.2, 0.25)) == (True, "10.0, 30.0, 20.0, 25.0")


def test_fusion_weights_against_the_accuracy_of_each_classifier(tmp_path):
    claim = next(c for c in claims.load("amdcnn") if c.id == "amdcnn-iii-c-ckplus-weights")
    assert judge.judge(claim, tmp_path, {}).verdict == "not run: compute"
    for seed in range(3):
        record(tmp_path, claim.experiment, seed, dataset="ckplus", profile="full")
    waits = judge.judge(claim, tmp_path, {})
    assert waits.verdict == "not run: compute" and "the weights alone" in waits.why

    def put(seed, right):
        weights = {"alpha1": 0.1, "alpha2": 0.3, "alpha3": 0.2, "alpha4": 0.4}
        path = judge.records.path_of(tmp_path, claim.experiment, seed)
        facts = {"n": 100, "weights": weights, "right": dict(zip(weights, right, strict=True))}
        heads.write(tmp_path, judge.records.read(path), facts)

    put(0, (50, 70, 80, 90))
    one = judge.judge(claim, tmp_path, {})
    assert (one.verdict, one.provisional) == ("direction holds", True)
    assert one.ours == "50.0 % with 0.10, 70.0 % with 0.30, 80.0 % with 0.20, 90.0 % with 0.40"
    put(1, (50, 60, 60, 90))
    put(2, (50, 90, 60, 90))  # as good as the best
    assert (judge.judge(claim, tmp_path, {}).title) == "direction holds"
    put(2, (50, 95, 60, 90))
    assert (judge.judge(claim, tmp_path, {}).title) == "direction fails"


@pytest.mark.parametrize(("other", "verdict"), [(-0.05, "not shown"), (-0.03, "direction holds")])
def test_where_attention_looks_is_not_shown_where_another_layer_says_the_opposite(
    monkeypatch, tmp_path, other, verdict
):
    run = SimpleNamespace(profile="full")
    up, down = ({"mean": m, "low": m - 0.04, "high": m + 0.04} for m in (0.05, other))
    monkeypatch.setattr(measures_tables, "runs_of", lambda *_: {})
    monkeypatch.setattr(measures_verdicts, "common", lambda *_: dict.fromkeys(range(3), (run, run)))
    monkeypatch.setattr(measures_verdicts, "compare", lambda *_: up)
    monkeypatch.setattr(measures_verdicts, "by_layer", lambda *_: {"a": up, "b": down})
    claim = next(c for c in claims.load("amdcnn") if c.check == "attention")
    found = judge_statements.from_attention(claim, tmp_path)
    assert (found.verdict, found.provisional) == (verdict, False)
    assert "by layer: a +5.0 [+1.0, +9.0]" in found.why
    ending = "[-9.0, -1.0]; the layers disagree" if verdict == "not shown" else "; b -3.0 [-7.0, +1.0]"
    assert found.why.endswith(ending)
