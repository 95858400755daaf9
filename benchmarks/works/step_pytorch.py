"""The same step in PyTorch, sped up for a CPU by bfloat16 autocast and channels last; `step_pytorch BATCH_FILE WIDTH`."""

import sys

import numpy as np
import torch
from torch import nn

from benchmarks._process import serve

LAMBDA = 100
DEEPEST = 8   # times the width


def down(before, channels, norm=True):
    parts = [nn.Conv2d(before, channels, 4, 2, 1, bias=False), *([nn.BatchNorm2d(channels)] if norm else [])]
    return nn.Sequential(*parts, nn.LeakyReLU(0.3))


def up(before, channels, dropout):
    parts = [nn.ConvTranspose2d(before, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels)]
    return nn.Sequential(*parts, *([nn.Dropout(0.5)] if dropout else []), nn.ReLU())


class Generator(nn.Module):
    def __init__(self, side, width):
        super().__init__()
        plan = [width * min(2**level, DEEPEST) for level in range(side.bit_length() - 1)][:8]
        befores = [3, *plan[:-1]]
        normed = range(1, len(plan) - 1)   # where one pixel is left, PyTorch refuses to norm a batch of one picture
        self.downs = nn.ModuleList(down(b, c, level in normed) for level, (b, c) in enumerate(zip(befores, plan, strict=True)))
        below = [plan[-1], *(2 * channels for channels in plan[-2:0:-1])]
        self.ups = nn.ModuleList(up(b, c, step < 3) for step, (b, c) in enumerate(zip(below, plan[-2::-1], strict=True)))
        self.last = nn.ConvTranspose2d(2 * plan[0], 3, 4, 2, 1)

    def forward(self, x):
        skips = []
        for part in self.downs:
            x = part(x)
            skips.append(x)
        for part, skip in zip(self.ups, skips[-2::-1], strict=True):
            x = torch.cat([part(x), skip], 1)
        return torch.tanh(self.last(x).float())


def discriminator(width):
    return nn.Sequential(down(6, width, norm=False), down(width, 2 * width), down(2 * width, 4 * width), nn.ZeroPad2d(1),
                         nn.Conv2d(4 * width, 8 * width, 4, bias=False), nn.BatchNorm2d(8 * width), nn.LeakyReLU(0.3),
                         nn.ZeroPad2d(1), nn.Conv2d(8 * width, 1, 4))


def main():
    file, width = sys.argv[1], int(sys.argv[2])
    with np.load(file) as arrays:
        seen, whole = (torch.from_numpy(np.moveaxis(2 * arrays[name] - 1, -1, 1).copy()) for name in ("seen", "whole"))
    seen, whole = (pictures.to(memory_format=torch.channels_last) for pictures in (seen, whole))
    networks = Generator(seen.shape[2], width), discriminator(width)
    paints, judges = (network.to(memory_format=torch.channels_last) for network in networks)
    of_paints, of_judges = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), fused=True) for net in (paints, judges))
    entropy = nn.BCEWithLogitsLoss()

    def judged(pictures):
        return judges(torch.cat([seen, pictures], 1)).float()

    def step():
        with torch.autocast("cpu", torch.bfloat16):
            painted = paints(seen)
            real, fake = judged(whole), judged(painted.detach())
            judging = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
        of_judges.zero_grad()
        judging.backward()
        of_judges.step()
        judges.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            fooled = judged(painted)
            painting = entropy(fooled, torch.ones_like(fooled)) + LAMBDA * nn.functional.l1_loss(painted, whole)
        of_paints.zero_grad()
        painting.backward()
        of_paints.step()
        judges.requires_grad_(True)

    serve(step=step)


if __name__ == "__main__":
    main()
