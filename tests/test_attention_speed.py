"""How long maps and changes of the explorer take: against a step of training, the file, the command."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from ferlib import attention_speed, explain, stages
from ferlib.errors import RecordError
from ferlib.experiments import get


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other would be counted as work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def least(*works, times=3):
    """The least processor seconds of each, of a few tries in turn: other work on the machine hardly changes them."""
    tries = [[] for _ in works]
    for _ in range(times):
        for seconds, work in zip(tries, works, strict=True):
            began = time.process_time()
            work()
            seconds.append(time.process_time() - began)
    return [min(seconds) for seconds in tries]


@pytest.mark.parametrize("name", attention_speed.ROWS)
def test_maps_of_all_layers_cost_less_than_one_step_of_training(name):
    """On any machine. About half a step; twice as much, or more, where each layer needs passes of its own."""
    row = get(name)
    assert row.size == 48
    ready, data = attention_speed.network(row), attention_speed.faces(16, row)
    pixels, labels = data.batch(slice(None))
    x, layers = data.finish(pixels), list(stages.layers_of(ready.model, 48))
    found = explain.grad_cams(ready.model, x, labels, layers)
    assert len(found) == len(layers) and all(len(one.maps) == 16 for one in found.values())

    def step():
        output = ready.model(x)
        (output[0] if isinstance(output, tuple) else output).sum().backward()

    step()
    maps, training = least(lambda: explain.grad_cams(ready.model, x, labels, layers), step)
    assert maps < training


def test_maps_of_a_test_part_took_less_than_two_minutes_on_two_cores():
    """As the book's file has it, on the machine that it names."""
    found = attention_speed.read(Path(__file__).parents[1] / "results")
    assert [one["id"] for one in found["maps"]] == list(attention_speed.ROWS)
    assert found["machine"]["cores"] <= 2
    assert all(one["images"] == attention_speed.IMAGES for one in found["maps"])
    assert {line["within 120 s"] for line in attention_speed.map_lines(found)} == {"yes"}
    assert {line["within 300 ms"] for line in attention_speed.change_lines(found)} == {"yes"}


@pytest.fixture(scope="module")
def view():
    return attention_speed.explorer()


def test_every_control_of_the_explorer_is_used_and_fits_into_its_time(view):
    before = time.process_time()
    found = attention_speed.changes(view)
    spent = time.process_time() - before
    uses = sum(len(one["seconds"]) for one in found)
    assert {one["control"] for one in found} >= {
        "expression",
        "intensity",
        "cell covered",
        "layer",
        "opacity",
    }
    assert all(one["seconds"] for one in found) and uses > 40
    assert spent / uses < attention_speed.CHANGE


def test_the_file_and_its_tables(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(attention_speed, "ROWS", ("msca_resnet-ckplus-plain",))
    monkeypatch.setattr(attention_speed, "TIMES", 2)
    found = attention_speed.measure(21, ("msca_resnet-ckplus-plain",))
    attention_speed.write(tmp_path, found)
    assert attention_speed.read(tmp_path) == json.loads(json.dumps(found))
    (line,) = attention_speed.map_lines(found)
    assert line["network"] == "MSCA-ResNet: neither SENet nor BN"
    assert line["layer"] == "unit3, 6×6" and line["within 120 s"] == "yes"
    found["maps"][0]["all"]["seconds"] = 121
    assert attention_speed.map_lines(found)[0]["within 120 s"] == "no"
    slow = {"changes": {"controls": [{"control": "x", "seconds": [0.1, 0.2, 0.4]}]}}
    assert attention_speed.change_lines(slow)[0] == {
        "control": "x",
        "uses": "3",
        "median (ms)": "200",
        "slowest (ms)": "400",
        "within 300 ms": "no",
    }
    assert f"{torch.get_num_threads()} threads" in attention_speed.machine_line(found)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 0}', '{"schema": 1}'])
def test_a_damaged_file_is_one_line(tmp_path, text):
    (tmp_path / attention_speed.FILE).write_text(text)
    with pytest.raises(RecordError, match=r"python -m ferlib\.attention_speed") as error:
        attention_speed.read(tmp_path)
    assert "\n" not in str(error.value)


def test_command_line(tmp_path, capsys, monkeypatch):
    with pytest.raises(RecordError, match="not measured yet"):
        attention_speed.read(tmp_path)
    assert attention_speed.main(["--images", "20"]) == 2
    assert attention_speed.main(["--threads", "-1"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
    monkeypatch.setattr(attention_speed, "measure", lambda images: {"schema": 1, "images": images})
    assert attention_speed.main(["--results", str(tmp_path)]) == 1
    assert "not of schema" in capsys.readouterr().err
