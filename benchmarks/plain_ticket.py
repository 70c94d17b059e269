"""A lottery ticket as a user would write it without dynsparse: torch.nn.utils.prune, rewinding, Adam."""

import copy

import torch
import torch.nn.functional as F
from plain import InMemory, accuracy
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class PlainTicket:
    """A ticket, 784-300-100-10 on MNIST: train an epoch, test, prune a fifth (last layer: a tenth), rewind, repeat."""

    def __init__(self, data_dir, in_memory=False):
        if in_memory:
            self.train_loader = InMemory(datasets.MNIST(data_dir), batch_size=60, shuffle=True)
            self.test_loader = InMemory(datasets.MNIST(data_dir, train=False), batch_size=1000)
        else:
            normal = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
            self.train_loader = DataLoader(datasets.MNIST(data_dir, transform=normal), batch_size=60, shuffle=True)
            self.test_loader = DataLoader(datasets.MNIST(data_dir, train=False, transform=normal), batch_size=1000)

    def run(self, n_rounds):
        """Return the accuracy of each round, starting with the dense network."""
        layers = [nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
        self.model = nn.Sequential(*layers)
        linears = [module for module in self.model if isinstance(module, nn.Linear)]
        initial = [copy.deepcopy(linear.state_dict()) for linear in linears]
        accuracies = [self.train()]
        for _ in range(n_rounds):
            for linear in linears:
                prune.l1_unstructured(linear, "weight", 0.1 if linear is linears[-1] else 0.2)
            with torch.no_grad():
                for linear, its in zip(linears, initial, strict=True):
                    linear.weight_orig.copy_(its["weight"])
                    linear.bias.copy_(its["bias"])
            accuracies.append(self.train())
        return accuracies

    def train(self):
        """Train an epoch with a new optimizer, and return the test accuracy."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.0012)
        self.model.train()
        for x, y in self.train_loader:
            optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            optimizer.step()
        return accuracy(self.model, self.test_loader)
