"""One trial as a user would write it without dynsparse: nn.Sequential, multiplied masks, a DataLoader.

A sparse MLP with k-winners, magnitude and Hebbian pruning, Hebbian growth and a test on noisy images, on MNIST.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class MaskedLinear(nn.Linear):
    def __init__(self, n_in, n_out, density):
        super().__init__(n_in, n_out)
        order = torch.randperm(n_in * n_out)[: round(density * n_in * n_out)]
        mask = torch.zeros(n_in * n_out)
        mask[order] = 1
        self.register_buffer("mask", mask.view(n_out, n_in))
        self.coactivation = torch.zeros(n_out, n_in)

    def forward(self, x):
        return F.linear(x, self.weight * self.mask, self.bias)


class KWinners(nn.Module):
    def __init__(self, n, density=0.3, boost=1.4, period=1000):
        super().__init__()
        self.k, self.n, self.boost, self.period, self.seen = round(n * density), n, boost, period, 0
        self.register_buffer("duty", torch.zeros(n))

    def forward(self, x):
        boosted = x * torch.exp(self.boost * (self.k / self.n - self.duty))
        winners = torch.zeros_like(x).scatter(1, boosted.topk(self.k, dim=1).indices, 1.0)
        out = x * winners
        if self.training:
            self.seen += len(x)
            period = min(self.period, self.seen)
            self.duty = (self.duty * (period - len(x)) + (out > 0).sum(0)) / period
        return out


class Noise:
    """Overwrite a share of the pixels, half with 0.9 and half with 0.1."""

    def __init__(self, level=0.15):
        self.level = level

    def __call__(self, image):
        flat = image.clone().view(-1)
        chosen = torch.randperm(len(flat))[: int(len(flat) * self.level)]
        flat[chosen[: len(chosen) // 2]] = 0.9
        flat[chosen[len(chosen) // 2 :]] = 0.1
        return flat.view(image.shape)


def network(on_perc, sizes=(784, 100, 100, 100, 10)):
    layers = [nn.Flatten()]
    for n_in, n_out in pairwise(sizes):
        layers += [MaskedLinear(n_in, n_out, on_perc), KWinners(n_out)]
    return nn.Sequential(*layers[:-1])


def train(model, loader, optimizer):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        activations = [x.flatten(1)]
        out = x
        for module in model:
            out = module(out)
            if isinstance(module, KWinners):
                activations.append(out.detach())
        activations.append(out.detach())
        F.cross_entropy(out, y).backward()
        optimizer.step()
        linears = [module for module in model if isinstance(module, MaskedLinear)]
        for linear, before, after in zip(linears, activations, activations[1:], strict=False):
            linear.coactivation += (after > 0).float().T @ (before > 0).float()


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    correct = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    return correct / len(loader.dataset)


@torch.no_grad()
def update_masks(model, weight_prune=0.3, hebbian_prune=0.3):
    for module in model:
        if not isinstance(module, MaskedLinear):
            continue
        active = module.mask.bool()
        target = active.sum()
        drop = torch.zeros_like(active)
        for sign in (active & (module.weight >= 0), active & (module.weight < 0)):
            size = module.weight.abs().masked_fill(~sign, math.inf).view(-1)
            drop.view(-1)[size.argsort()[: round(weight_prune * sign.sum().item())]] = True
        seldom = module.coactivation.masked_fill(~active, math.inf).view(-1).argsort()
        by_coactivation = torch.zeros_like(active)
        by_coactivation.view(-1)[seldom[: round(hebbian_prune * target.item())]] = True
        kept = active & ~(drop & by_coactivation)
        often = module.coactivation.masked_fill(active, -1).view(-1).argsort(descending=True)
        grown = torch.zeros_like(active)
        grown.view(-1)[often[: target - kept.sum()]] = True
        module.weight[grown | ~kept] = 0
        module.mask.copy_((kept | grown).float())
        module.coactivation.zero_()


class InMemory:
    """A replacement for DataLoader with the whole data set as normalised tensors."""

    def __init__(self, dataset, batch_size, shuffle=False, noise=None):
        x = ((dataset.data.float() / 255) - 0.1307) / 0.3081
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.x = torch.stack([noise(image) for image in x]) if noise else x
        self.y = dataset.targets

    def __iter__(self):
        order = torch.randperm(len(self.x)) if self.shuffle else torch.arange(len(self.x))
        for index in order.split(self.batch_size):
            yield self.x[index], self.y[index]


class PlainTrial:
    """The trial: an epoch trains, tests, tests on noise and updates the masks."""

    def __init__(self, data_dir, on_perc=0.1, in_memory=False):
        train, test = datasets.MNIST(data_dir), datasets.MNIST(data_dir, train=False)
        if in_memory:
            self.train_loader = InMemory(train, batch_size=128, shuffle=True)
            self.test_loader = InMemory(test, batch_size=1000)
            self.noise_loader = InMemory(test, batch_size=1000, noise=Noise())
        else:
            normal = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
            plain, noisy = transforms.Compose(normal), transforms.Compose([*normal, Noise()])
            self.train_loader = DataLoader(datasets.MNIST(data_dir, transform=plain), batch_size=128, shuffle=True)
            self.test_loader = DataLoader(datasets.MNIST(data_dir, train=False, transform=plain), batch_size=1000)
            self.noise_loader = DataLoader(datasets.MNIST(data_dir, train=False, transform=noisy), batch_size=1000)
        self.model = network(on_perc)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    def epoch(self):
        train(self.model, self.train_loader, self.optimizer)
        accuracies = accuracy(self.model, self.test_loader), accuracy(self.model, self.noise_loader)
        update_masks(self.model)
        for module in self.model:
            if isinstance(module, KWinners):
                module.boost *= 0.7
        return accuracies
