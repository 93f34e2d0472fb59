"""What the papers' texts say on where their attention looks: as comparisons of shares, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from ferlib.measures import ZONES

FACE = tuple(ZONES)  # eyes with brows, nose and mouth together


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper on where its attention looks: the share in ``zones`` is higher in ``second``.

    ``reading``: why these zones, where the text does not name them, or what else differs between the two networks.
    ``layer``: where it is not the one that each network is shown by, the deepest of at least 5x5 cells.
    """

    paper: str
    where: str
    text: str
    zones: tuple[str, ...]
    first: str
    second: str
    reading: str = ""
    layer: str | None = None


@dataclass(frozen=True)
class Untested:
    """A sentence on what attention attends to that no share can bear out or contradict, and why."""

    paper: str
    where: str
    text: str
    reason: str


UNNAMED = "the text names no place; taken for eyes, nose and mouth"
BACKBONE = "block4"  # the deepest stage of at least 5x5 cells that all six models of GCCA-VGG16 have

CLAIMS = (
    Claim(
        "amdcnn",
        "section V.C, Figure 10",
        "attention (CBAM) focuses further on the middle region of the face",
        ("middle",),
        "amdcnn-ckplus-baseline",
        "amdcnn-ckplus-cbam",
    ),
    Claim(
        "amdcnn",
        "section V.C, Figure 10",
        "attention (MCBAM) focuses further on the middle region of the face",
        ("middle",),
        "amdcnn-ckplus-baseline",
        "amdcnn-ckplus-mcbam",
    ),
    Claim(
        "amdcnn",
        "abstract; section V.C",
        "CBAM makes the model focus better on the important areas of the face",
        FACE,
        "amdcnn-ckplus-baseline",
        "amdcnn-ckplus-cbam",
        "the areas that section V.C names",
    ),
    Claim(
        "amdcnn",
        "section V.C, Figure 10; abstract, section I",
        "MCBAM focuses better than CBAM on eyes, nose and mouth",
        FACE,
        "amdcnn-ckplus-cbam",
        "amdcnn-ckplus-mcbam",
    ),
    Claim(
        "gcca_vgg",
        "section 3.4",
        "multi-feature fusion learns more targeted areas",
        FACE,
        "gcca_vgg-ckplus-model1-scratch48",
        "gcca_vgg-ckplus-model2-scratch48",
        UNNAMED,
        BACKBONE,
    ),
    Claim(
        "gcca_vgg",
        "sections 1 and 2.2",
        "GCCA steers the network towards critical areas",
        FACE,
        "gcca_vgg-ckplus-model2-scratch48",
        "gcca_vgg-ckplus-model3-scratch48",
        UNNAMED,
        BACKBONE,
    ),
    Claim(
        "gcca_vgg",
        "Figure 4",
        "the partial decoder extracts features of the target region precisely",
        FACE,
        "gcca_vgg-ckplus-model3-scratch48",
        "gcca_vgg-ckplus-model4-scratch48",
        UNNAMED,
        BACKBONE,
    ),
    Claim(
        "gcca_vgg",
        "sections 2.5 and 3.4",
        "reverse attention adds detail of the key expression regions",
        FACE,
        "gcca_vgg-ckplus-model4-scratch48",
        "gcca_vgg-ckplus-model5-scratch48",
        UNNAMED,
        BACKBONE,
    ),
    Claim(
        "a_mobilenet",
        "sections 1 and 2.1, as an aim",
        "attention pays more heed to eyes and mouth",
        ("eyes", "mouth"),
        "a_mobilenet-ckplus-mobilenet_v1-scratch48",
        "a_mobilenet-ckplus-a_mobilenet-scratch48",
        "the paper's own comparison, in which loss and activations differ as well",
    ),
    Claim(
        "a_mobilenet",
        "sections 1 and 2.1, as an aim",
        "attention pays more heed to eyes and mouth",
        ("eyes", "mouth"),
        "a_mobilenet-ckplus-no_attention-scratch48",
        "a_mobilenet-ckplus-a_mobilenet-scratch48",
        "attention alone differs",
    ),
    Claim(
        "se_cnn",
        "sections 1 and 4, as an aim",
        "SE blocks let the network focus on the most informative regions",
        FACE,
        "se_cnn-plain",
        "se_cnn-se",
        UNNAMED,
    ),
    Claim(
        "msca_resnet",
        "sections 2.3 and 3.5",
        "channel attention leads the network to where the expression changes most",
        ("eyes", "mouth"),
        "msca_resnet-ckplus-plain",
        "msca_resnet-ckplus-se_bn",
        "section 1 names the muscles of eyes, mouth and face; BN differs as well",
    ),
    Claim(
        "msca_resnet",
        "sections 2.3 and 3.5",
        "channel attention leads the network to where the expression changes most",
        ("eyes", "mouth"),
        "msca_resnet-ckplus-plain",
        "msca_resnet-ckplus-se",
        "SENet alone differs",
    ),
)

UNTESTED = (
    Untested(
        "amdcnn",
        "section III.B",
        "MSAM focuses more accurately on specific regions",
        "says of the module what section V.C says of the network, which is tested",
    ),
    Untested(
        "amdcnn",
        "section VI",
        "the model must still pay more heed to regions that tell expressions apart",
        "a wish for later work",
    ),
    Untested(
        "gcca_vgg",
        "section 2.5",
        "reverse attention erases the region that is predicted already and widens the target area",
        "holds by construction: Eq. (4) weighs with one minus the deeper prediction",
    ),
    Untested(
        "a_mobilenet",
        "section 2.1",
        "the eye region matters more for the accuracy than the mouth region",
        "quoted from a study of other networks; on accuracy, not on attention",
    ),
    Untested(
        "se_cnn",
        "section 2.2",
        "SE blocks put weight on informative features",
        "speaks of channels",
    ),
    Untested(
        "se_cnn",
        "section 4",
        "the region in focus is controlled by the loss function",
        "section 2.3 trains with plain cross-entropy; no other loss is described",
    ),
    Untested(
        "msca_resnet",
        "section 2.1",
        "SENet makes the model heed the channels of important features",
        "speaks of channels",
    ),
)
