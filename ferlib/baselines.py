"""The two plain baselines of ``ferlib bench``: a textbook PyTorch loop, and Keras as the papers used it.

Both train Luo's network without SE blocks on the same folder of PNG files, one folder per class, with the same
shift, in float32. This file also runs alone (``python baselines.py keras FOLDER``) under an interpreter that has
tensorflow and no ferlib: it imports nothing of ferlib, torch or tensorflow before it is told which baseline.

A worker reads one JSON object a line (``{"seconds": 4}``), trains for that long and answers with the images
and seconds of it; the first line that it writes says that it is ready.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Block = Callable[[float], tuple[int, float]]  # seconds asked for -> images, seconds taken

SIDE, CHANNELS, CLASSES, SHIFT = 48, 1, 7, 0.1
LEARNING_RATE, EPSILON = 0.002, 1e-7  # Luo, section 2.3; Keras' Adam
EPOCH = 28_709  # images of FER2013's training part: epochs of the baselines are as long as Luo's


def write_folder(folder: Path, images: Any, labels: Any, total: int) -> int:
    """Write images uint8 (N, H, W) as PNG into class folders, each under several names until there are ``total``.

    The further names are hard links (copies where the file system has none): an epoch gets its real length
    without being drawn. Returns the number of names, the largest multiple of N that is not above ``total``,
    at least N.
    """
    from PIL import Image

    n, names = len(images), max(1, total // len(images))
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / str(int(label))
        place.mkdir(parents=True, exist_ok=True)
        first = place / f"{i:05d}.png"
        Image.fromarray(image).save(first)
        for k in range(1, names):
            other = place / f"{i:05d}-{k}.png"
            try:
                os.link(first, other)
            except OSError:
                shutil.copyfile(first, other)
    return n * names


def timed(steps: Iterator[int], settle: int) -> Block:
    """A block that runs ``steps`` (each yields its images) for a while, the first ``settle`` of them untimed.

    What a loader has prepared while nobody asked is used up in the untimed steps.
    """

    def block(seconds: float) -> tuple[int, float]:
        for _ in range(settle):
            next(steps)
        images, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds or not images:
            images += next(steps)
        return images, elapsed

    return block


def textbook(folder: Path, batch: int, device: str = "cpu", workers: int = 2) -> tuple[dict[str, Any], Block]:
    """PyTorch as its tutorials have it: ImageFolder, per-image transforms, DataLoader with workers, float32."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import InterpolationMode, v2

    from ferlib.models import build, count_parameters

    transform = v2.Compose(
        [
            v2.Grayscale(),
            # while the image is still Pillow's: at this size several times faster than on a tensor
            v2.RandomAffine(0, translate=(SHIFT, SHIFT), interpolation=InterpolationMode.BILINEAR),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    loader = DataLoader(
        ImageFolder(str(folder), transform), batch_size=batch, shuffle=True, num_workers=workers
    )
    model = build("se_cnn", classes=CLASSES, channels=CHANNELS, size=SIDE, se="none").to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=EPSILON)
    criterion = torch.nn.CrossEntropyLoss()

    def steps() -> Iterator[int]:
        running = 0.0
        while True:
            for x, y in loader:
                optimiser.zero_grad()
                loss = criterion(model(x.to(device))[0], y.to(device))
                loss.backward()
                optimiser.step()
                running += loss.item()
                yield len(y)

    facts = {"parameters": count_parameters(model), "torch": torch.__version__, "workers": workers}
    return facts, timed(steps(), settle=2 * workers + 1)  # two batches wait in each worker


def keras_network(keras: Any) -> Any:
    """Luo's network without SE blocks, layer by layer that of ``ferlib.models.se_cnn`` (3x3, 'valid')."""
    layers = keras.layers
    stack: list[Any] = [keras.Input((SIDE, SIDE, CHANNELS))]
    for first, second in ((32, 64), (128, 128), (256, 256)):
        stack += [layers.Conv2D(first, 3, activation="relu"), layers.Conv2D(second, 3, activation="relu")]
        stack += [layers.MaxPooling2D(), layers.BatchNormalization(), layers.Dropout(0.25)]
    stack += [layers.Flatten(), layers.Dense(1024, activation="relu"), layers.BatchNormalization()]
    stack += [layers.Dropout(0.5), layers.Dense(CLASSES, activation="softmax")]
    return keras.Sequential(stack)


def keras(folder: Path, batch: int, threads: int) -> tuple[dict[str, Any], Block]:
    """The papers' own stack as Luo's section 2.1 sets it: ImageDataGenerator, flow_from_directory, fit."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rescale=1 / 255, width_shift_range=SHIFT, height_shift_range=SHIFT
    )
    flow = generator.flow_from_directory(
        str(folder),
        target_size=(SIDE, SIDE),
        color_mode="grayscale",
        class_mode="categorical",
        batch_size=batch,
    )
    model = keras_network(tf.keras)
    model.compile(tf.keras.optimizers.Adam(LEARNING_RATE), "categorical_crossentropy", metrics=["accuracy"])

    class Clock(tf.keras.callbacks.Callback):
        """Stops ``fit`` after so many seconds; the first steps, in which its queue fills, are untimed."""

        def __init__(self, seconds: float, settle: int) -> None:
            super().__init__()
            self.seconds, self.settle, self.steps, self.elapsed = seconds, settle, 0, 0.0

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            if self.settle:
                self.settle -= 1
                self.began = time.perf_counter()
                return
            self.steps += 1
            self.elapsed = time.perf_counter() - self.began
            self.model.stop_training = self.elapsed >= self.seconds

    def block(seconds: float) -> tuple[int, float]:
        clock = Clock(seconds, settle=3)
        model.fit(flow, epochs=1_000_000, verbose=0, callbacks=[clock])
        return clock.steps * batch, clock.elapsed

    trainable = sum(int(tf.size(v)) for v in model.trainable_variables)
    return {"parameters": trainable, "tensorflow": tf.__version__, "keras": tf.keras.__version__}, block


def keras_missing() -> str | None:
    """Why the Keras baseline cannot run in this interpreter, or None where tensorflow is installed."""
    if importlib.util.find_spec("tensorflow") is None:
        return (
            "tensorflow is not installed; pip install 'ferlib[keras]', or name an interpreter: --keras-python"
        )
    return None


def peak_memory() -> int:
    """Highest resident memory of this process so far, in bytes; what its parent or children took is not counted.

    Linux' ``ru_maxrss`` starts from the parent's after a fork, so /proc is asked first.
    """
    import resource

    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte


def serve(start: Callable[[], tuple[dict[str, Any], Block]], peak: Callable[[], int] = peak_memory) -> None:
    """Answer the parent's blocks until it hangs up. Only answers go to its pipe; all else that prints, to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        facts, block = start()
        block(0)  # kernels are chosen and compiled, buffers and queues made
        print(json.dumps({"ready": facts}), file=answers)
        for line in sys.stdin:
            images, seconds = block(json.loads(line)["seconds"])
            print(json.dumps({"images": images, "seconds": seconds, "peak": peak()}), file=answers)
    except Exception as error:
        text = " ".join(str(error).split()) or "no message"
        print(json.dumps({"error": f"{type(error).__name__}: {text[:300]}"}), file=answers)
        raise SystemExit(1) from None


def main() -> None:
    parser = argparse.ArgumentParser(description="A worker of `ferlib bench`; reads from a pipe.")
    parser.add_argument("baseline", choices=("textbook", "keras"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.baseline == "keras":
        serve(lambda: keras(options.folder, options.batch, options.threads))
        return
    import torch

    torch.set_num_threads(options.threads)
    workers = min(4, os.cpu_count() or 1)
    serve(lambda: textbook(options.folder, options.batch, options.device, workers))


if __name__ == "__main__":
    if not __package__:  # run as a file: its folder must not stand for a place of top-level modules
        sys.path.pop(0)
    main()
