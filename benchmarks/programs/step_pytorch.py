"""The same step in PyTorch, made faster for a CPU with bfloat16 autocast and channels last: `step_pytorch BATCH_FILE WIDTH`."""

import sys

import numpy as np
import torch
from torch import nn

from benchmarks._process import serve

LAMBDA = 100
MAX_WIDTH_FACTOR = 8   # the widest level has so many times the channels of the first


def build_downsample(in_channels: int, channels: int, normalize: bool = True) -> nn.Sequential:
    parts: list[nn.Module] = [nn.Conv2d(in_channels, channels, 4, 2, 1, bias=False)]
    if normalize:
        parts.append(nn.BatchNorm2d(channels))
    return nn.Sequential(*parts, nn.LeakyReLU(0.3))


def build_upsample(in_channels: int, channels: int, dropout: bool) -> nn.Sequential:
    parts: list[nn.Module] = [nn.ConvTranspose2d(in_channels, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels)]
    if dropout:
        parts.append(nn.Dropout(0.5))
    return nn.Sequential(*parts, nn.ReLU())


class Generator(nn.Module):
    """The U-Net of Pix2Pix."""

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        channels = [width * min(2**level, MAX_WIDTH_FACTOR) for level in range(side.bit_length() - 1)][:8]
        down = []
        for level, (before, after) in enumerate(zip([3, *channels[:-1]], channels, strict=True)):
            # PyTorch refuses to normalize a batch of one image where one pixel is left.
            down.append(build_downsample(before, after, normalize=0 < level < len(channels) - 1))
        below = [channels[-1], *(2 * count for count in channels[-2:0:-1])]   # with the skip connections
        up = []
        for level, (before, after) in enumerate(zip(below, channels[-2::-1], strict=True)):
            up.append(build_upsample(before, after, dropout=level < 3))
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.last = nn.ConvTranspose2d(2 * channels[0], 3, 4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for part in self.down:
            x = part(x)
            skips.append(x)
        for part, skip in zip(self.up, skips[-2::-1], strict=True):
            x = torch.cat([part(x), skip], 1)
        return torch.tanh(self.last(x).float())


def build_discriminator(width: int) -> nn.Sequential:
    return nn.Sequential(
        build_downsample(6, width, normalize=False), build_downsample(width, 2 * width), build_downsample(2 * width, 4 * width),
        nn.ZeroPad2d(1), nn.Conv2d(4 * width, 8 * width, 4, bias=False), nn.BatchNorm2d(8 * width), nn.LeakyReLU(0.3),
        nn.ZeroPad2d(1), nn.Conv2d(8 * width, 1, 4))


def read_images(file: str, name: str) -> torch.Tensor:
    """Return images in -1..1, channels last."""
    with np.load(file) as arrays:
        images = np.moveaxis(2 * arrays[name] - 1, -1, 1).copy()
    return torch.from_numpy(images).to(memory_format=torch.channels_last)


def build_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999), fused=True)


class TrainingStep:
    """A step of the discriminator, then one of the generator; each call is one step."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, damaged: torch.Tensor, original: torch.Tensor) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.damaged, self.original = damaged, original
        self.generator_optimizer, self.discriminator_optimizer = build_optimizer(generator), build_optimizer(discriminator)
        self.cross_entropy = nn.BCEWithLogitsLoss()

    def discriminate(self, images: torch.Tensor) -> torch.Tensor:
        return self.discriminator(torch.cat([self.damaged, images], 1)).float()

    def __call__(self) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            predicted = self.generator(self.damaged)
        self.train_discriminator(predicted.detach())
        self.train_generator(predicted)

    def train_discriminator(self, predicted: torch.Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            real, fake = self.discriminate(self.original), self.discriminate(predicted)
            loss = self.cross_entropy(real, torch.ones_like(real)) + self.cross_entropy(fake, torch.zeros_like(fake))
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()

    def train_generator(self, predicted: torch.Tensor) -> None:
        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            fake = self.discriminate(predicted)
            adversarial_loss = self.cross_entropy(fake, torch.ones_like(fake))
            loss = adversarial_loss + LAMBDA * nn.functional.l1_loss(predicted, self.original)
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)


def main() -> None:
    file, width = sys.argv[1], int(sys.argv[2])
    damaged, original = read_images(file, "damaged"), read_images(file, "original")
    generator = Generator(damaged.shape[2], width).to(memory_format=torch.channels_last)
    discriminator = build_discriminator(width).to(memory_format=torch.channels_last)
    serve(step=TrainingStep(generator, discriminator, damaged, original))


if __name__ == "__main__":
    main()
