"""Time training steps of LeNet-5 on MNIST, on one thread: the module engine, and a plain loop in torch.

Both train the same torch module on the same batches, with the same optimizer, from memory. In the engine the network is
dense, has a static mask (density 0.1), or is trained with SET or RigL, with a mask update after the steps. CPU seconds.
The turns are short, so that other load affects all alike. The losses show that what is timed also learns: all ways
train the same few batches again and again.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from tabulate import tabulate
from turns import HEADERS, rows, seconds_in_turns, write

from dynsparse.config import Config
from dynsparse.engines.base import UpdateContext
from dynsparse.nn.modules import MODULES
from dynsparse.nn.settings import ModuleSettings
from dynsparse.training.trainer import Trainer

RATE, MOMENTUM, DECAY = 0.05, 0.9, 1e-4


def engine_steps(network, n_steps, batch, **values):
    """Return a function that trains some steps in the engine and then updates the masks, if the method does.

    It returns the mean loss of the steps.
    """
    keys = {"learning_rate": RATE, "momentum": MOMENTUM, "weight_decay": DECAY, "batch_size": batch}
    trainer = Trainer([Config(network=network, epochs=1000, test_noise=False, **keys, **values)])
    engine, (data, order) = trainer.engine, (trainer.splits.train, trainer.splits.order(1)[:, : n_steps * batch])
    rates = trainer.plan.learning_rates(0, n_steps, n_steps)
    epoch = iter(range(1, 1000))

    def steps():
        now = next(epoch)
        sums = engine.train_epoch(data, order, epoch=now, rates=rates)
        if trainer.plan.updates is not None:
            engine.update_masks(UpdateContext(now, now / 1000, 1.0, stopped=torch.tensor([False])))
        engine.end_epoch()
        return float(sums.loss) / order.shape[1]

    return steps


class Settings(ModuleSettings):
    """The settings of a trial on MNIST, for a network that is built without the engine."""

    input_shape, input_size, num_classes = (1, 28, 28), 784, 10
    kwinners, batch_norm, dropout, hidden_sizes = False, False, 0.0, (100, 100, 100)


def plain_steps(network, n_steps, batch):
    """Return a function that trains the same number of steps without dynsparse."""
    trainer = Trainer([Config(network=network, epochs=1, test_noise=False)])
    [x], [y] = trainer.splits.train
    images, [order] = x.view(-1, 1, 28, 28), trainer.splits.order(1)[:, : n_steps * batch]
    torch.manual_seed(0)
    net = MODULES[network](Settings()).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)

    def steps():
        loss_sum = correct = 0
        for index in order.split(batch):
            target = y[index]
            optimizer.zero_grad()
            logits = net(images[index])
            loss = F.cross_entropy(logits, target)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(index)
            correct += (logits.argmax(1) == target).sum()
        return float(loss_sum) / len(order)

    return steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="LeNet5", choices=list(MODULES))
    parser.add_argument("--batch", type=int, default=128, help="examples in a batch")
    parser.add_argument("--compile", action="store_true", help="also time SET with compile=True")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plain = f"{options.network}, plain torch"
    ways = {plain: plain_steps(options.network, options.steps, options.batch)}
    for model in ("Dense", "SparseModel", "SET", "RigL"):
        ways[f"{options.network}, {model}"] = engine_steps(options.network, options.steps, options.batch, model=model)
    if options.compile:
        keys = {"model": "SET", "compile": True}
        ways[f"{options.network}, SET, compiled"] = engine_steps(options.network, options.steps, options.batch, **keys)
    losses = {name: [] for name in ways}
    recorded = {name: lambda name=name: losses[name].append(ways[name]()) for name in ways}
    # The machine may have other load, which wall time would count.
    seconds = seconds_in_turns(recorded, options.repeats, clock=time.process_time)
    of_losses = [[name, each[0], each[-1]] for name, each in losses.items()]
    print(tabulate(of_losses, ["mean loss", "at first", "at the end"], floatfmt=".4f"), end="\n\n")
    for name, times in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(times, seconds[plain], strict=True)]
        print(f"{name}: median ratio of a turn {statistics.median(ratios):.3f}")
    headers = [f"{options.steps} steps", *HEADERS[1:]]
    print(tabulate(rows(seconds, plain), headers, floatfmt=(None, ".4f", ".4f", ".4f", ".3f")))
    write(options.json, seconds)


if __name__ == "__main__":
    main()
