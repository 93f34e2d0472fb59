"""The explorer and the network in the browser, as a reader uses them: mouse, keyboard, touch, camera."""

import base64
import io
import os
import re
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from ferlib import delivery, explorer, explorer_nets, recipe, weights
from ferlib.data import synthetic
from ferlib.explain import grad_cam

pytestmark = pytest.mark.xdist_group("browser")  # with --dist loadgroup the book is built once
DESKTOP, PHONE = (1280, 900), (390, 844)
WAIT = 30_000  # milliseconds: a busy machine is slow


class Visit:
    """One page in a browser of its own, with everything that it asked for and complained of."""

    def __init__(self, browser, size=DESKTOP, **options):
        self.context = browser.new_context(
            viewport=dict(zip(("width", "height"), size, strict=True)), **options
        )
        self.context.set_default_timeout(WAIT)
        self.page = self.context.new_page()
        self.requests, self.problems = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on(
            "console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None
        )

    def go(self, address):
        self.page.goto(address)
        self.page.wait_for_function(
            "document.querySelectorAll('.fx').length === document.querySelectorAll('.fx-ready').length"
        )
        return self

    def foreign(self, origin):
        return [url for url in self.requests if not url.startswith((origin, "data:", "blob:"))]

    def pixels(self, selector):
        """A canvas as numbers (H, W, 3)."""
        url = self.page.eval_on_selector(selector, "c => c.toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))

    def said(self, section):
        return self.page.inner_text(f"{section} .fx-say")

    def shares(self, section):
        """The bars' widths, which have every digit of the probabilities."""
        script = "bars => bars.map(bar => parseFloat(bar.style.width) / 100)"
        return np.array(self.page.eval_on_selector_all(f"{section} .fx-track span", script))


@pytest.fixture
def visit(chromium, url):
    """Open a page of the book; at the end nothing came from elsewhere and no browser complained."""
    visits = []

    def opened(name, size=DESKTOP, **options):
        visits.append(Visit(chromium, size, **options))
        return visits[-1].go(f"{url}/book/{name}.html")

    yield opened
    for one in visits:
        assert one.foreign(url) == []
        assert one.problems == []
        one.context.close()


@pytest.fixture
def face(visit, data):
    """The page with the network loaded; its runtime must be there where FERLIB_NEED_RUNTIME is set."""
    if reason := explorer.missing(data):
        (pytest.fail if os.environ.get("FERLIB_NEED_RUNTIME") else pytest.skip)(reason)

    def opened(*arguments, **options):
        found = visit("your_face", *arguments, **options)
        found.page.click("button[name=load]")
        found.page.wait_for_selector("#fx-face .fx-bars li")
        return found

    return opened


def slide(page, selector, key, times=1):
    page.focus(selector)
    for _ in range(times):
        page.keyboard.press(key)


# Class means


def test_every_control_of_the_class_means_changes_what_is_seen(visit):
    page = (one := visit("explorer")).page
    here = "#fx-means"
    before = one.pixels(f"{here} figure canvas")
    page.click(f"{here} .fx-pills label:has-text('happy')")
    assert "of happy in" in one.said(here)
    assert "of happy in" in page.get_attribute(f"{here} figure canvas", "aria-label")
    after = one.pixels(f"{here} figure canvas")
    assert (before != after).any()
    page.check(f"{here} [name=cells]")
    cells = one.pixels(f"{here} figure canvas")
    assert (cells != after).any()
    choices = page.eval_on_selector_all(
        f"{here} [name=layer] option", "all => all.map(o => [o.value, o.text])"
    )
    for layer, title in choices:
        page.select_option(f"{here} [name=layer]", layer)
        assert f": {title}, mean of" in one.said(here)
    slide(page, f"{here} [name=opacity]", "Home")
    assert page.inner_text(f"{here} [data-of=opacity]") == "0 %"
    bare = one.pixels(f"{here} figure canvas")
    assert (bare == bare[..., :1]).all()  # the grey face alone


def test_two_networks_stand_side_by_side_or_one_alone(visit):
    page = (one := visit("explorer")).page
    assert page.locator("#fx-means figure:visible").count() == 2
    page.select_option("#fx-means [name=other]", "")
    assert page.locator("#fx-means figure:visible").count() == 1
    for value in page.eval_on_selector_all("#fx-means [name=other] option", "all => all.map(o => o.value)"):
        page.select_option("#fx-means [name=other]", value)
        assert "undefined" not in one.said("#fx-means") and "NaN" not in one.said("#fx-means")


def test_all_networks_layers_and_classes_can_be_shown(visit):
    page = (one := visit("explorer")).page
    script = """async () => {
      const root = document.getElementById('fx-means'), form = root.querySelector('form'), found = [];
      const fire = () => form.dispatchEvent(new Event('input'));
      for (const run of [...form.elements.run.options].map(o => o.value)) {
        form.elements.run.value = run; fire();
        for (const layer of [...form.elements.layer.options].map(o => o.value)) {
          form.elements.layer.value = layer; fire();
          for (const input of root.querySelectorAll('fieldset input')) {
            input.checked = true; fire();
            found.push(root.querySelector('.fx-say').textContent);
          }
        }
      }
      return found;
    }"""
    found = page.evaluate(script)
    layers = sum(len(run["layers"]) * len(run["classes"]) for run in contents(one)["means"]["runs"])
    assert len(found) == layers
    assert not [text for text in found if re.search("undefined|NaN|null", text)]


def contents(one):
    return one.page.evaluate("window.FERLIB_EXPLORER")


# A synthetic face


def test_keyboard_alone_moves_the_synthetic_face(visit):
    page = (one := visit("explorer")).page
    here = "#fx-synthetic"
    page.focus(f"{here} fieldset input:checked")
    page.keyboard.press("ArrowRight")  # from happy
    assert "drawn sad at 100 %" in one.said(here)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "intensity"
    page.keyboard.press("ArrowLeft")
    assert "drawn sad at 90 %" in one.said(here)
    page.keyboard.press("Home")
    assert "drawn neutral" in one.said(here) and "no region" in one.said(here)
    assert page.evaluate(f"document.querySelector('{here} :focus-visible') !== null")


def test_probabilities_and_regions_are_those_of_the_network(visit):
    page = (one := visit("explorer")).page
    here, person, layer = "#fx-synthetic", 1, "block2"
    page.click(f"{here} .fx-pills label:has-text('surprise')")
    page.click(f"{here} fieldset:nth-of-type(2) label:nth-of-type({person + 1})")
    page.select_option(f"{here} [name=explained]", "fear")
    page.select_option(f"{here} [name=layer]", layer)
    net = explorer_nets.demonstrations()["synthetic-plain"]
    drawn = synthetic.face("surprise", 1.0, seed=explorer.PEOPLE[person])
    image, mask = synthetic.render(drawn, 48)
    x = torch.from_numpy(image).float().div(255)[None, None]
    with torch.no_grad():
        expected = net.model(x)[0].softmax(1)[0].numpy()
    assert one.shares(here) == pytest.approx(expected, abs=6e-4)
    cam = grad_cam(net.model, x, torch.tensor([net.classes.index("fear")]), layer).upsampled((48, 48))[0]
    inside = synthetic.expressive_mask(mask, synthetic.CLASSES.index("surprise"))
    told = int(re.search(r"(\d+) % of the map lies", one.said(here))[1])
    assert told == pytest.approx(100 * cam[inside].sum() / cam.sum(), abs=1.5)
    area = int(re.search(r"(\d+) % of the picture", one.said(here))[1])
    assert area == pytest.approx(100 * inside.mean(), abs=0.51)


def test_outline_shows_the_regions(visit):
    page = (one := visit("explorer")).page
    before = one.pixels("#fx-synthetic figure canvas")
    page.check("#fx-synthetic [name=outline]")
    assert (one.pixels("#fx-synthetic figure canvas") != before).any()
    page.click("#fx-synthetic .fx-pills label:has-text('neutral')")
    assert page.is_disabled("#fx-synthetic [name=intensity]")


def test_touch_on_a_phone(visit):
    page = (one := visit("explorer", PHONE, has_touch=True, is_mobile=True)).page
    page.locator("#fx-synthetic .fx-pills label:has-text('angry')").tap()
    assert "drawn angry at 100 %" in one.said("#fx-synthetic")
    slider = page.locator("#fx-synthetic [name=intensity]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "drawn angry at 50 %" in one.said("#fx-synthetic")


@pytest.mark.parametrize("name", ["explorer", "your_face"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways_on_a_phone(visit, name, scheme):
    page = visit(name, PHONE, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    clipped = """() => [...document.querySelectorAll('.fx *')].filter(e => e.getBoundingClientRect().right > innerWidth)
        .map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(clipped) == []


def test_controls_have_names_and_pictures_have_texts(visit):
    for name in ("explorer", "your_face"):
        page = visit(name).page
        script = """() => [...document.querySelectorAll('.fx input, .fx select')]
            .filter(e => !e.labels.length || !e.labels[0].textContent.trim()).map(e => e.outerHTML)"""
        assert page.evaluate(script) == []
        script = """() => [...document.querySelectorAll('.fx canvas')].filter(e => !e.closest('[aria-hidden]'))
            .filter(e => e.getAttribute('role') !== 'img' || !e.getAttribute('aria-label')).length"""
        assert page.evaluate(script) == 0


# From disk


@pytest.fixture(scope="module")
def unpacked(html, tmp_path_factory):
    """The folder that comes out of the packed book."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(delivery.pack(html, folder / "book.zip")) as archive:
        archive.extractall(folder)
    return folder / delivery.NAME


def searched(page, address):
    """Search for a word; the pages that the search lists."""
    page.goto(f"{address}/search.html?q=explorer")
    page.wait_for_function(r"/found \d+ page/.test(document.getElementById('search-results').innerText)")
    return page.eval_on_selector_all("#search-results li > a", "all => all.map(a => a.getAttribute('href'))")


def test_from_disk_the_explorer_works_and_the_network_says_what_it_needs(chromium, unpacked):
    one = Visit(chromium).go((unpacked / "book" / "explorer.html").as_uri())
    one.page.click("#fx-synthetic .fx-pills label:has-text('fear')")
    assert "drawn fear" in one.said("#fx-synthetic")
    one.go((unpacked / "book" / "your_face.html").as_uri())
    said = one.page.inner_text("#fx-face .fx-note")
    assert "python -m http.server, and open http://localhost:8000" in said and "ferlib book serve" in said
    assert not one.page.is_visible("button[name=load]")
    assert one.foreign("file://") == []
    one.context.close()


def test_from_disk_formulas_are_set(chromium, unpacked):
    one = Visit(chromium)
    one.page.goto((unpacked / "index.html").as_uri())
    formula = one.page.locator("article mjx-container mjx-math")
    formula.wait_for()
    assert one.page.url.endswith("/book/intro.html") and formula.bounding_box()["width"] > 20
    assert "x^2" not in one.page.inner_text("article")
    assert one.foreign("file://") == one.problems == []
    one.context.close()


@pytest.mark.parametrize("disk", [True, False])
def test_the_search_finds_pages_and_from_disk_says_that_it_shows_no_lines_of_them(
    chromium, unpacked, url, disk
):
    one, address = Visit(chromium), unpacked.as_uri() if disk else url
    assert "book/explorer.html" in {a.partition("#")[0] for a in searched(one.page, address)}
    if not disk:
        one.page.wait_for_selector("#search-results p.context")
    assert one.page.locator("#search-results p.context").count() == 0 or not disk
    assert one.page.get_by_text("This page was opened from disk").count() == (1 if disk else 0)
    assert one.foreign(address) == one.problems == []
    one.context.close()


# The network in the browser


def test_nothing_is_loaded_before_the_reader_asks(visit, data):
    one = visit("your_face")
    assert [url for url in one.requests if re.search(r"onnx|runtime|wasm", url)] == []
    if (data / "runtime").is_dir():
        one.page.click("button[name=load]")
        one.page.wait_for_selector("#fx-face .fx-bars li")
        asked = {url.rpartition("/")[2] for url in one.requests}
        assert {"face.onnx", "ort.wasm.min.js", "ort-wasm-simd-threaded.wasm"} <= asked


def test_ten_faces_get_the_probabilities_of_pytorch(face):
    one = face()
    net = weights.read(explorer.default_card())
    drawn = synthetic.load(n=10, seed=3).images
    for i, image in enumerate(drawn):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png")
        upload = {"name": f"{i}.png", "mimeType": "image/png", "buffer": file.getvalue()}
        before = one.shares("#fx-face").tolist()
        one.page.set_input_files("#fx-face [name=file]", upload)
        one.page.wait_for_function(
            "before => JSON.stringify([...document.querySelectorAll('#fx-face .fx-track span')]"
            ".map(b => parseFloat(b.style.width) / 100)) !== JSON.stringify(before)",
            arg=before,
        )
        with torch.no_grad():
            x = net.prepare(image[None])
            mirrored = net.row.recipe.get("mirror", False)  # as `ferlib predict` evaluates it
            logits = recipe.with_mirror(net.model, x) if mirrored else net.model(x)[0]
            expected = logits.softmax(1)[0].numpy()
        found = one.shares("#fx-face")
        assert np.abs(found - expected).max() < 1e-3


def test_the_square_follows_sliders_and_pointer(face):
    page = face().page
    crop = "#fx-face .fx-crop"
    whole = page.get_attribute(crop, "aria-label")
    assert "from 0, 0, side 48 of 48×48" in whole
    slide(page, "#fx-face [name=size]", "ArrowLeft", 40)
    assert "from 10, 10, side 29" in page.get_attribute(crop, "aria-label")
    slide(page, "#fx-face [name=across]", "Home")
    assert "from 0, 10, side 29" in page.get_attribute(crop, "aria-label")
    page.locator(crop).scroll_into_view_if_needed()
    box = page.locator(crop).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.4, steps=4)
    page.mouse.up()
    assert re.search(r"from (9|10), (5|6), side 29", page.get_attribute(crop, "aria-label"))


def test_class_map_and_opacity_can_be_chosen(face):
    one = face()
    page = one.page
    before = one.pixels("#fx-face .fx-seen")
    name = weights.read(explorer.default_card()).classes[3]
    page.select_option("#fx-face [name=explained]", label=name)
    assert f"the map for {name}" in page.get_attribute("#fx-face .fx-seen", "aria-label")
    assert (one.pixels("#fx-face .fx-seen") != before).any()
    slide(page, "#fx-face [name=opacity]", "Home")
    bare = one.pixels("#fx-face .fx-seen")
    assert (bare == bare[..., :1]).all()


def test_a_file_that_is_no_picture_is_refused_in_words(face):
    page = face().page
    page.set_input_files(
        "#fx-face [name=file]", {"name": "x.png", "mimeType": "image/png", "buffer": b"nothing"}
    )
    page.wait_for_selector("#fx-face .fx-note:visible")
    assert "cannot be read as a picture" in page.inner_text("#fx-face .fx-note")


def test_the_camera_is_followed_until_it_is_stopped(face):
    page = face().page
    page.click("#fx-face [name=camera]")
    page.wait_for_function(
        "document.querySelector('#fx-face .fx-seen').getAttribute('aria-label').startsWith('camera')"
    )
    assert page.get_attribute("#fx-face [name=camera]", "aria-pressed") == "true"
    page.evaluate("window.before = document.querySelector('#fx-face .fx-seen').toDataURL()")
    page.wait_for_function("document.querySelector('#fx-face .fx-seen').toDataURL() !== window.before")
    page.click("#fx-face [name=camera]")
    assert page.inner_text("#fx-face [name=camera]") == "Start the camera"
    assert page.get_attribute("#fx-face .fx-crop", "aria-label").startswith("last frame of the camera")
