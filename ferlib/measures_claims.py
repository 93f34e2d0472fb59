"""What the papers' texts say on where their attention looks, each as a comparison of shares."""

from __future__ import annotations

from dataclasses import dataclass

from ferlib.measures import ZONES

FACE = tuple(ZONES)  # eyes, nose and mouth together


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper on where its attention looks: the share in ``zones`` is higher in ``second``."""

    paper: str
    where: str
    text: str
    zones: tuple[str, ...]
    first: str
    second: str


CLAIMS = (
    Claim(
        "amdcnn",
        "section V.C, Fig. 10",
        "attention (CBAM) focuses further on the middle region of the face",
        ("middle",),
        "amdcnn-ckplus-baseline",
        "amdcnn-ckplus-cbam",
    ),
    Claim(
        "amdcnn",
        "section V.C, Fig. 10",
        "attention (MCBAM) focuses further on the middle region of the face",
        ("middle",),
        "amdcnn-ckplus-baseline",
        "amdcnn-ckplus-mcbam",
    ),
    Claim(
        "amdcnn",
        "section V.C, Fig. 10",
        "MCBAM focuses better than CBAM on eyes, nose and mouth",
        FACE,
        "amdcnn-ckplus-cbam",
        "amdcnn-ckplus-mcbam",
    ),
    Claim(
        "a_mobilenet",
        "section 2.1, as an aim",
        "attention pays more heed to eyes and mouth",
        ("eyes", "mouth"),
        "a_mobilenet-ckplus-mobilenet_v1-scratch48",
        "a_mobilenet-ckplus-a_mobilenet-scratch48",
    ),
    Claim(
        "se_cnn",
        "section 4, as an aim",
        "SE blocks let the network focus on the most informative regions",
        FACE,
        "se_cnn-plain",
        "se_cnn-se",
    ),
)
