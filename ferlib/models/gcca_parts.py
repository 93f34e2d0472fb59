"""What GCCA-VGG16 is put together from beside the paper's own blocks: layers, pooling, ImageNet's weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG16_BN_Weights, VGG16_Weights

from ferlib.errors import FerlibError
from ferlib.models import start


def conv(c_in: int, c: int, kernel: int = 3, std: float | None = None) -> nn.Conv2d:
    """A convolution that keeps the size; starts from He's normal weights, or normal ones of that ``std``."""
    layer = nn.Conv2d(c_in, c, kernel, padding=kernel // 2)
    if std is None:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    else:
        nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def resize(x: Tensor, like: Tensor) -> Tensor:
    """x at the height and width of ``like``: bilinear where it grows, averaged where it shrinks."""
    size = (like.shape[-2], like.shape[-1])
    if x.shape[-1] > size[1]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def stochastic_pool(x: Tensor, training: bool) -> Tensor:
    """One activation of each map, drawn with probability proportional to it; x (N, C, H, W) >= 0 -> (N, C).

    Outside training the expectation. Zeiler & Fergus, "Stochastic pooling for regularization of deep
    convolutional neural networks", ICLR 2013, Eq. (4)-(6), with the whole map as the one region.
    Draws N C numbers from torch's default generator. A map of zeros gives zero.
    """
    a = x.flatten(2)
    if not training:
        squares = torch.linalg.vector_norm(a, dim=2, dtype=torch.float32).square()
        return squares / a.sum(2, dtype=torch.float32).clamp_min(torch.finfo(torch.float32).tiny)
    with torch.no_grad():  # inverts the distribution function: one draw a map, nothing read by the host
        cumulated = a.float().contiguous().cumsum(2)
        u = torch.rand_like(cumulated[..., -1:]) * cumulated[..., -1:]
        # past the end by rounding, or where all is zero and any place will do
        place = torch.searchsorted(cumulated, u, right=True).clamp_(max=a.shape[2] - 1)
    return a.gather(2, place).squeeze(2)


class ImageNetPixels(nn.Module):
    """Pixels in [0, 1] (N, 1 or 3, H, W) -> (N, 3, H, W) as torchvision's ImageNet weights expect them."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", [0.485, 0.456, 0.406]), ("deviation", [0.229, 0.224, 0.225])):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x.expand(-1, 3, -1, -1) - self.mean) / self.deviation


def load_imagenet(blocks: nn.Module, norm: bool) -> None:
    """Put torchvision's VGG16 weights into ``blocks``; FerlibError if they can be neither found nor fetched."""
    if not start.fetched():
        return
    weights = (VGG16_BN_Weights if norm else VGG16_Weights).IMAGENET1K_V1
    try:
        theirs = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise FerlibError(
            f"pretrained=True: cannot fetch {weights.url} ({type(error).__name__}); put that file into "
            f"{torch.hub.get_dir()}/checkpoints or take pretrained=False"
        ) from None
    # Both list the same layers in the same order
    parts = [
        [v for k, v in s.items() if "classifier" not in k and v.ndim] for s in (blocks.state_dict(), theirs)
    ]
    for ours, source in zip(*parts, strict=True):
        ours.copy_(source)
