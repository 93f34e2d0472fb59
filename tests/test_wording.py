"""How numbers and names stand on the pages."""

from __future__ import annotations

import re
from collections import Counter

import pandas as pd
import pytest
from book_sources import PAGES, source, texts_and_cells

from ferlib import chapters, wording
from ferlib.experiments import EXPERIMENTS, get
from ferlib.typeset import typeset, typeset_cells

FITS = 76  # characters of code that a page 1,280 pixels wide shows without a scroll bar
HIDDEN = {"hide-input", "remove-input", "hide-cell", "remove-cell", "remove-output"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-0.17 [-7.8, +1.0]", "−0.17 [−7.8, +1.0]"),
        ("**-1** and (-.5), ±-2", "**−1** and (−.5), ±−2"),
        ("from 1-3 on 2026-11-20, 5-fold", "from 1-3 on 2026-11-20, 5-fold"),
        ("- 3 items", "- 3 items"),
        ("-0.00 [-0.0, -0.02], -0, +0.00", "0.00 [0.0, −0.02], 0, +0.00"),
        ("run-1, lr1e-2, 1e5f", "run-1, lr1e-2, 1e5f"),
        ("p 2e-15, 3.1e+04, (p 1.9e-09)", "p 2·10⁻¹⁵, 3.1·10⁴, (p 1.9·10⁻⁹)"),
        ("`ferlib -1 2e-5` gives -3", "`ferlib -1 2e-5` gives −3"),
        ("```bash\nferlib -1\n```\n-2", "```bash\nferlib -1\n```\n−2"),
    ],
)
def test_signs_and_powers(text, shown):
    assert typeset(text) == shown
    assert typeset(shown) == shown


def test_numbers_of_a_table_stay_numbers():
    frame = typeset_cells(pd.DataFrame({"a": ["-1.0", "x"], "b": [-1.5, 2.0]}))
    assert frame["a"].tolist() == ["−1.0", "x"] and frame["b"].tolist() == [-1.5, 2.0]


def test_what_is_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(chapters, "display", shown.append)
    chapters.say("")
    chapters.say([])
    chapters.say(text for text in ())
    assert not shown
    chapters.say(["-1", "b"])
    assert shown.pop().data == "−1\n\nb"
    chapters.table_or(pd.DataFrame({"a": ["-1"]}), "none")
    assert "−1" in shown.pop().to_html()
    chapters.table_or(pd.DataFrame(), "none of -1")
    assert shown.pop().data == "none of −1"


def test_columns_that_say_the_same_become_a_sentence():
    frame = pd.DataFrame({"network": ["a", "b"], "seeds": [1, 1], "images": ["981", "981"], "p": [1, 2]})
    left, told = wording.without_constant(frame, ("seeds", "images", "p", "absent"))
    assert list(left) == ["network", "p"] and told == "In every line *seeds*: 1, *images*: 981."
    assert wording.without_constant(frame[:1], ("seeds",))[1] == ""
    assert wording.without_constant(pd.DataFrame(), ("seeds",))[1] == ""


def test_every_row_has_a_name_of_its_own():
    names = Counter(map(wording.title, EXPERIMENTS.values()))
    assert not [name for name, n in names.items() if n > 1]
    assert not [name for name in names if "_" in name or "lambda" in name or "48x48" in name]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("amdcnn-ckplus-mcbam", "AMDCNN: baseline+MCBAM, CK+48"),
        ("a_mobilenet-ckplus-a_mobilenet-scratch48", "A-MobileNet, from scratch, 48×48, CK+48"),
        ("a_mobilenet-ferplus-mobilenet_v2", "A-MobileNet: MobileNetV2, FERPlus"),
        ("gcca_vgg-ckplus-model1", "GCCA-VGG16: Model 1 (VGG16), CK+"),  # with neutral faces: not CK+48
        ("msca_resnet-ferplus-plain", "MSCA-ResNet: neither SENet nor BN, FERPlus"),
        ("msca_resnet-ckplus-one_sided", "MSCA-ResNet: full method (rotation to one side only), CK+48"),
        ("se_cnn-se-merged", "SE-CNN: CNN with SE Blocks, both test parts, FER2013"),
        ("se_cnn-plain-same", "SE-CNN: Original CNN, padded, FER2013"),
        ("comparison-ckplus-se_cnn-grouped1", "common protocol: SE-CNN, fold 2 of 5, CK+48"),
        ("house-fer2013", "house recipe: small residual network, FER2013"),
    ],
)
def test_names_of_rows(row, name):
    assert wording.title(get(row)) == name


def test_names_of_networks_in_a_sentence():
    text = "se_cnn training against mobilenet_v3_small; se_cnn-plain, my_se_cnn"
    assert wording.models(text) == "SE-CNN training against MobileNetV3-small; SE-CNN-plain, my_se_cnn"


def test_settings_have_names_in_words_that_differ():
    assert wording.choice("variant.residual_kernel") == "network: residual kernel"
    assert wording.choice("early_stopping") == "early stopping"
    open_settings = {name for row in EXPERIMENTS.values() for name in row.assumed}
    assert set(wording.CHOICES) <= open_settings
    for row in EXPERIMENTS.values():
        assert len({wording.choice(name) for name in row.assumed}) == len(row.assumed)


def code_shown(page):
    """Lines of code and commands that a reader of a page sees without a click."""
    texts, cells = texts_and_cells(page)
    for cell in cells:
        if not HIDDEN & set(cell["metadata"].get("tags", ())):
            yield from source(cell).splitlines()
    for text in texts:
        for block in re.findall(r"^```(?:bash|python|console)\n(.*?)^```", text, flags=re.S | re.M):
            yield from block.splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_that_is_shown_is_not_cut_off(page):
    shown = list(code_shown(page))
    assert shown or page.suffix == ".md"
    assert not [line for line in shown if len(line) > FITS]
