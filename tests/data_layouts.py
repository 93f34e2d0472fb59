"""Small datasets of invented pixels in every layout that ``ferlib.data`` reads."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FER_FOLDERS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
RAF_ORDER = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
CK_CLASSES = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
USAGES = ("Training", "PublicTest", "PrivateTest")


def noise(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Random images, uint8 (n, *shape)."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def fer_rows(train: int = 12, other: int = 2) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images, labels and usages; ``train`` and ``other`` images of each class, classes mixed."""
    usages = [u for u, n in zip(USAGES, (train, other, other), strict=True) for _ in range(7 * n)]
    labels = np.arange(len(usages)) * 3 % 7
    return noise(len(usages), 48, 48), labels, usages


def table_text(images, labels, usages, header="emotion,pixels,Usage", order=(0, 1, 2)) -> str:
    lines = [header]
    for image, label, usage in zip(images, labels, usages, strict=True):
        fields = (str(label), " ".join(map(str, image.reshape(-1))), usage)
        lines.append(",".join(fields[i] for i in order))
    return "\n".join(lines) + "\n"


def fer_csv(folder: Path, name: str = "fer2013.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(table_text(*fer_rows()))
    return folder / name


def fer_folders(folder: Path, names: bool, suffix: str = "png") -> None:
    """Kaggle's class folders; with ``names`` the files are called Training_, PublicTest_, PrivateTest_."""
    images, labels, usages = fer_rows()
    for i, (image, label, usage) in enumerate(zip(images, labels, usages, strict=True)):
        part = "train" if usage == "Training" else "test"
        stem = f"{usage}_{i:05d}" if names else f"im{i:05d}"
        save(folder / part / FER_CLASSES[label] / f"{stem}.{suffix}", image)


def votes(n: int, seed: int = 1) -> np.ndarray:
    """Ten votes per face over the ten columns of FERPlus, (n, 10)."""
    rng = np.random.default_rng(seed)
    return np.array([rng.multinomial(10, rng.dirichlet(np.full(10, 0.3))) for _ in range(n)])


def ferplus_csv(folder: Path, usages: list[str], counts: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fer2013new.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        head = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
        writer.writerow(["Usage", "Image name", *head, "unknown", "NF"])
        for i, (usage, row) in enumerate(zip(usages, counts, strict=True)):
            writer.writerow([usage, f"fer{i:07d}.png", *row])
    return path


def ferplus_folders(folder: Path, images, usages: list[str], counts: np.ndarray, box: bool = False) -> None:
    """What FERPlus's generate_training_data.py writes; with ``box`` as in the repository's own label.csv."""
    places = dict(zip(USAGES, ("FER2013Train", "FER2013Valid", "FER2013Test"), strict=True))
    for place in places.values():
        (folder / place).mkdir(parents=True)
    for i, (image, usage, row) in enumerate(zip(images, usages, counts, strict=True)):
        save(folder / places[usage] / f"fer{i:07d}.png", image)
        with open(folder / places[usage] / "label.csv", "a", newline="") as file:
            middle = ["(0, 0, 48, 48)"] if box else []
            csv.writer(file).writerow([f"fer{i:07d}.png", *middle, *row])


def rafdb(folder: Path, layout: str, train: int = 12, test: int = 2) -> None:
    """RAF-DB as its authors lay it out (``basic``) or as on Kaggle; PNG bytes under .jpg names."""
    lines = []
    for part, n in (("train", train), ("test", test)):
        for i, image in enumerate(noise(7 * n, 100, 100, 3, seed=n)):
            label, name = i % 7 + 1, f"{part}_{i + 1:05d}"
            lines.append(f"{name}.jpg {label}")
            base = "basic/Image/aligned" if layout == "basic" else f"DATASET/{part}/{label}"
            file = save(folder / base / f"{name}_aligned.png", image)
            file.rename(file.with_suffix(".jpg"))
    if layout == "basic":
        (folder / "basic/EmoLabel").mkdir()
        (folder / "basic/EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")


def ck_sequences(subjects: int = 20) -> list[tuple[str, str, int]]:
    """Subject, sequence and class index: three sequences of each subject."""
    return [(f"S{s:03d}", f"{q:03d}", (s + 2 * q) % 7) for s in range(10, 10 + subjects) for q in (1, 2, 3)]


def ck48(folder: Path, subjects: int = 20) -> None:
    for k, (subject, sequence, label) in enumerate(ck_sequences(subjects)):
        for frame, image in zip((15, 16, 17), noise(3, 48, 48, seed=k), strict=True):
            save(folder / "CK+48" / CK_CLASSES[label] / f"{subject}_{sequence}_{frame:08d}.png", image)


def ck_original(folder: Path, subjects: int = 20, landmarks: bool = False, frames: int = 5) -> None:
    """Frames of 64 x 60 with a bright square; every sequence labelled but one, some frames in colour."""
    for k, (subject, sequence, label) in enumerate([*ck_sequences(subjects), ("S999", "001", None)]):
        for frame in range(1, frames + 1):
            pixels = np.full((60, 64), 10 * frame, np.uint8)
            pixels[20:40, 10:30] = 200
            name = f"{subject}_{sequence}_{frame:08d}"
            image = np.stack([pixels] * 3, -1) if k % 5 == 0 else pixels
            save(folder / f"cohn-kanade-images/{subject}/{sequence}/{name}.png", image)
            if landmarks:
                path = folder / f"Landmarks/{subject}/{sequence}/{name}_landmarks.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                xs = np.linspace(10, 30, 68)
                path.write_text("".join(f"   {x:.7e}   {x + 10:.7e}\n" for x in xs))
        emotion = folder / f"Emotion/{subject}/{sequence}"
        emotion.mkdir(parents=True)
        if label is not None:
            (emotion / f"{name}_emotion.txt").write_text(f"   {label + 1:.7e}\n")


def ck_csv(folder: Path) -> None:
    """ckextended.csv: numbers 0..7 are anger disgust fear happiness sadness surprise neutral contempt."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(96) % 8
    usages = [USAGES[0 if i < 80 else 1 + i % 2] for i in range(96)]
    (folder / "ckextended.csv").write_text(table_text(noise(96, 48, 48), labels, usages))
