"""SCTransNet: a residual U-Net whose skip connections pass a transformer over the channels of all four levels.

Source: S. Yuan, H. Qin, X. Yan, N. Akhtar, A. Mian, "SCTransNet: Spatial-channel Cross Transformer Network for Infrared
Small Target Detection", IEEE TGRS 62, 2024; repository xdFai/SCTransNet at e027628.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.network import Batch, Loss, Segmenter, model, pad_to_multiple
from bench.models.published_numbers import reported

STRIDE = 16
WIDTHS = (32, 64, 128, 256)  # channels of the four levels that the transformer sees
PATCHES = (16, 8, 4, 2)  # pixels a side: patches of all four levels cover the same part of the image
LAYERS = 4
EXPANSION = 2.66  # of the channels inside the feed-forward network
POSITIONS = 256  # patches of a 256 x 256 image, which the dead position embeddings are for


class FourLevels(nn.Module):
    """A module with one sub-module a level, under the published names `NAME1` to `NAME4`."""

    def add_levels(self, name: str, make: Callable[[int], nn.Module]) -> None:
        """Add the sub-module that `make` builds from each level's channels."""
        for level, channels in enumerate(WIDTHS, 1):
            self.add_module(f"{name}{level}", make(channels))

    def levels(self, name: str) -> list[nn.Module]:
        """The four sub-modules, finest level first."""
        return [self.get_submodule(f"{name}{level}") for level in range(1, len(WIDTHS) + 1)]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions plus the input, or its 1x1 projection where the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.leaky_relu(y + self.shortcut(x))


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.body(x.movedim(1, -1))  # (B, H, W, C)
        return normalised.movedim(-1, 1)


class PatchEmbedding(nn.Module):
    """One vector a patch.

    The position embeddings are dead as published: nothing adds them. They stay, so that published checkpoints load;
    being made for 256 x 256 images, they would not fit others.
    """

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.position_embeddings = nn.Parameter(torch.zeros(1, POSITIONS, channels))
        self.patch_embeddings = nn.Conv2d(channels, channels, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.patch_embeddings(x)  # (B, C, H/patch, W/patch)
        return patches


class ChannelAttention(FourLevels):
    """SSCA: each channel of a level attends to the channels of all levels (single head).

    The sixteen scalars `qI_attnJ` are dead as published; they stay, so that published checkpoints load.
    """

    def __init__(self) -> None:
        super().__init__()
        C = sum(WIDTHS)
        for level in range(1, len(WIDTHS) + 1):
            for number in range(1, 5):
                self.register_parameter(f"q{level}_attn{number}", nn.Parameter(torch.tensor([0.2])))
        self.add_levels("mhead", lambda channels: nn.Conv2d(channels, channels, 1, bias=False))
        self.mheadk = nn.Conv2d(C, C, 1, bias=False)
        self.mheadv = nn.Conv2d(C, C, 1, bias=False)
        self.add_levels(
            "q", lambda channels: nn.Conv2d(channels, channels, 3, padding=1, groups=channels // 2, bias=False)
        )
        self.k = nn.Conv2d(C, C, 3, padding=1, groups=C, bias=False)
        self.v = nn.Conv2d(C, C, 3, padding=1, groups=C, bias=False)
        self.add_levels("project_out", lambda channels: nn.Conv2d(channels, channels, 1, bias=False))

    def forward(self, maps: Sequence[Tensor], joined: Tensor) -> list[Tensor]:
        """Each level's features after attention over the channels of all levels.

        Args:
            maps: (B, C_i, h, w) of each level.
            joined: (B, C, h, w), C the sum of all C_i.

        Returns:
            (B, C_i, h, w) of each level.
        """
        C = joined.shape[1]
        key = F.normalize(self.k(self.mheadk(joined)).flatten(2), dim=2)  # (B, C, h w), of length 1 each
        value = self.v(self.mheadv(joined)).flatten(2)  # (B, C, h w)
        attended = []
        stages = zip(maps, self.levels("mhead"), self.levels("q"), self.levels("project_out"), strict=True)
        for x, mhead, q, project_out in stages:
            query = F.normalize(q(mhead(x)).flatten(2), dim=2)  # (B, C_i, h w)
            scores = query @ key.mT / C**0.5  # (B, C_i, C)
            attention = F.instance_norm(scores.unsqueeze(1)).squeeze(1).softmax(2)  # rows sum to 1
            attended.append(project_out((attention @ value).reshape(x.shape)))
        return attended


class EfficientChannelAttention(nn.Module):
    """The map weighted by one gate per channel, each made from the means of three neighbouring channels.

    Source: Q. Wang et al., "ECA-Net: Efficient channel attention for deep convolutional neural networks", CVPR 2020.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3)).unsqueeze(1)  # (B, 1, C)
        gates: Tensor = self.conv(means)
        return x * gates.movedim(1, 2).unsqueeze(3)  # times (B, C, 1, 1)


class FeedForward(nn.Module):
    """CFN: one half of the expanded channels sees 3x3 pixels, the other 5x5."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = int(EXPANSION * channels)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.dwconv3x3 = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.dwconv5x5 = nn.Conv2d(hidden, hidden, 5, padding=2, groups=hidden, bias=False)
        self.project_out = nn.Conv2d(2 * hidden, channels, 1, bias=False)
        self.eca = EfficientChannelAttention()

    def forward(self, x: Tensor) -> Tensor:
        narrow, wide = self.project_in(x).chunk(2, 1)  # (B, hidden, h, w) each
        x = torch.cat([F.relu(self.dwconv3x3(narrow)), F.relu(self.dwconv5x5(wide))], 1)
        gated: Tensor = self.eca(self.project_out(x))
        return gated


class SCTB(FourLevels):
    """Spatial-channel cross transformer block: attention over the channels of all levels, then a CFN on each level."""

    def __init__(self) -> None:
        super().__init__()
        self.add_levels("attn_norm", ChannelNorm)
        self.attn_norm = ChannelNorm(sum(WIDTHS))
        self.channel_attn = ChannelAttention()
        self.add_levels("ffn_norm", ChannelNorm)
        self.add_levels("ffn", FeedForward)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Features (B, C_i, h, w) of each level, from those of all levels."""
        joined = self.attn_norm(torch.cat(tuple(maps), 1))  # (B, C, h, w)
        normalised = [norm(x) for norm, x in zip(self.levels("attn_norm"), maps, strict=True)]
        attended = self.channel_attn(normalised, joined)
        maps = [x + change for x, change in zip(maps, attended, strict=True)]
        return [
            x + ffn(norm(x)) for x, norm, ffn in zip(maps, self.levels("ffn_norm"), self.levels("ffn"), strict=True)
        ]


class Encoder(FourLevels):
    """The transformer blocks one after another, and a last norm on each level."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList(SCTB() for _ in range(LAYERS))
        self.add_levels("encoder_norm", ChannelNorm)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        for block in self.layer:
            maps = block(maps)
        return [norm(x) for norm, x in zip(self.levels("encoder_norm"), maps, strict=True)]


class Reconstruct(nn.Module):
    """Each patch's vector spread over its pixels."""

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.conv = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=self.patch, mode="bilinear", align_corners=False)
        return F.relu(self.norm(self.conv(x)))


class ChannelTransformer(FourLevels):
    """The four skip connections, each enriched by the channels of all of them."""

    def __init__(self) -> None:
        super().__init__()
        patch_of = dict(zip(WIDTHS, PATCHES, strict=True))
        self.add_levels("embeddings_", lambda channels: PatchEmbedding(channels, patch_of[channels]))
        self.encoder = Encoder()
        self.add_levels("reconstruct_", lambda channels: Reconstruct(channels, patch_of[channels]))

    def forward(self, skips: Sequence[Tensor]) -> list[Tensor]:
        """Skip connections (B, C_i, H_i, W_i) of each level, from those of all levels, with the input added."""
        patches = [embed(skip) for embed, skip in zip(self.levels("embeddings_"), skips, strict=True)]
        patches = self.encoder(patches)  # (B, C_i, H/16, W/16) each
        return [
            reconstruct(x) + skip
            for reconstruct, x, skip in zip(self.levels("reconstruct_"), patches, skips, strict=True)
        ]


class CCA(nn.Module):
    """Channel-wise cross attention: the skip weighted by one gate per channel, made from itself and the deep map.

    Source: H. Wang et al., "UCTransNet: Rethinking the skip connections in U-Net from a channel-wise perspective with
    transformer", AAAI 2022.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp_x = nn.Sequential(nn.Flatten(), nn.Linear(channels, channels))
        self.mlp_g = nn.Sequential(nn.Flatten(), nn.Linear(channels, channels))

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        logits = (self.mlp_x(skip.mean((2, 3))) + self.mlp_g(deep.mean((2, 3)))) / 2  # (B, C)
        return F.relu(skip * torch.sigmoid(logits)[:, :, None, None])


class CBR(nn.Module):
    """A 3x3 convolution, norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class DecoderBlock(nn.Module):
    """Up-sampling, the gated skip connection, two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.coatt = CCA(inputs // 2)
        self.nConvs = nn.Sequential(CBR(inputs, outputs), CBR(outputs, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """A map (B, outputs, H, W) from a map (B, inputs/2, H/2, W/2) and the skip (B, inputs/2, H, W)."""
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        out: Tensor = self.nConvs(torch.cat([self.coatt(x, skip), x], 1))
        return out


class SCTransNet(Segmenter):
    """SCTransNet, numerically equal to the published one before its final sigmoids.

    122,944 of its 11,325,939 parameters are dead: position embeddings and scalars of the attention. It learns from six
    maps; the judged one is made from the finest decoder features, not the one fused from the other five.
    """

    official_keys = (("model.", ""),)

    def __init__(self, *, channels: int = 1) -> None:
        super().__init__()
        c1, c2, c3, c4 = WIDTHS
        self.inc = nn.Sequential(ResidualBlock(channels, c1))
        self.down_encoder1 = nn.Sequential(ResidualBlock(c1, c2))
        self.down_encoder2 = nn.Sequential(ResidualBlock(c2, c3))
        self.down_encoder3 = nn.Sequential(ResidualBlock(c3, c4))
        self.down_encoder4 = nn.Sequential(ResidualBlock(c4, c4))
        self.mtc = ChannelTransformer()
        self.up_decoder4 = DecoderBlock(2 * c4, c3)
        self.up_decoder3 = DecoderBlock(2 * c3, c2)
        self.up_decoder2 = DecoderBlock(2 * c2, c1)
        self.up_decoder1 = DecoderBlock(2 * c1, c1)
        self.outc = nn.Conv2d(c1, 1, 1)
        self.gt_conv5 = nn.Sequential(nn.Conv2d(c4, 1, 1))
        self.gt_conv4 = nn.Sequential(nn.Conv2d(c3, 1, 1))
        self.gt_conv3 = nn.Sequential(nn.Conv2d(c2, 1, 1))
        self.gt_conv2 = nn.Sequential(nn.Conv2d(c1, 1, 1))
        self.outconv = nn.Conv2d(5, 1, 1)
        initialise(self)

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        H, W = image.shape[-2:]
        logits: Tensor = self.outc(self.decode(image)[-1])
        return logits[..., :H, :W]

    def heads(self, image: Tensor) -> list[Tensor]:
        """Logits (B, 1, H, W) of the six maps that are learnt from: of e5, d4, d3 and d2, all fused, the judged one."""
        H, W = image.shape[-2:]
        e5, d4, d3, d2, d1 = self.decode(image)
        out = self.outc(d1)  # (B, 1, H, W), as are all below
        g5, g4, g3, g2 = (
            F.interpolate(logits, out.shape[-2:], mode="bilinear", align_corners=True)
            for logits in (self.gt_conv5(e5), self.gt_conv4(d4), self.gt_conv3(d3), self.gt_conv2(d2))
        )
        d0 = self.outconv(torch.cat([g2, g3, g4, g5, out], 1))
        return [logits[..., :H, :W] for logits in (g5, g4, g3, g2, d0, out)]

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The deepest features and those of the four decoder blocks, of the padded image."""
        x = pad_to_multiple(image, STRIDE)
        e1 = self.inc(x)  # (B, 32, H, W)
        e2 = self.down_encoder1(F.max_pool2d(e1, 2))  # (B, 64, H/2, W/2)
        e3 = self.down_encoder2(F.max_pool2d(e2, 2))  # (B, 128, H/4, W/4)
        e4 = self.down_encoder3(F.max_pool2d(e3, 2))  # (B, 256, H/8, W/8)
        e5 = self.down_encoder4(F.max_pool2d(e4, 2))  # (B, 256, H/16, W/16)

        skips = (e1, e2, e3, e4)
        # as published, the encoder's maps are added to the transformer's a second time here
        s1, s2, s3, s4 = (x + skip for x, skip in zip(self.mtc(skips), skips, strict=True))
        d4 = self.up_decoder4(e5, s4)  # (B, 128, H/8, W/8)
        d3 = self.up_decoder3(d4, s3)  # (B, 64, H/4, W/4)
        d2 = self.up_decoder2(d3, s2)  # (B, 32, H/2, W/2)
        d1 = self.up_decoder1(d2, s1)  # (B, 32, H, W)
        return e5, d4, d3, d2, d1

    def training_loss(self, batch: Batch, loss: Loss, *, epoch: int) -> Tensor:
        """The sum, not the mean, of the loss on the six maps."""
        return torch.stack([loss(logits, batch.mask) for logits in self.heads(batch.image)]).sum()


def initialise(network: nn.Module) -> None:
    """Give kernels and matrices Kaiming's normal numbers (fan in), and BatchNorm weights N(1, 0.02), as published."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=1, std=0.02)


@model(
    "SCTransNet",
    cite="S. Yuan, H. Qin, X. Yan, N. Akhtar, A. Mian, SCTransNet: Spatial-channel Cross Transformer Network for "
    "Infrared Small Target Detection, IEEE Transactions on Geoscience and Remote Sensing 62 (2024)",
    source="https://github.com/xdFai/SCTransNet at e027628",
    licence="none stated",
    recipe="sctransnet",
    channels=1,
    reported=reported("SCTransNet"),
)
def build(*, channels: int) -> SCTransNet:
    """SCTransNet as its authors configure it: four levels of 32 to 256 channels, four transformer blocks."""
    return SCTransNet(channels=channels)
