"""A Ray cluster of a head without CPUs and nodes of one, as a process that is told what to do on its standard input.

"remove", "add", or "add blind PATH": a node that sees an empty folder where the others see PATH.
"""

import subprocess
import sys
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster


def add_blind(path):
    program = Path(sys.executable).with_name("ray")
    start = f"mount -t tmpfs tmpfs '{path}' && exec '{program}' start --address={cluster.address} --num-cpus=1 --block"
    subprocess.Popen(["unshare", "--mount", "sh", "-c", start], stdout=sys.stderr)
    # Its own `ray status` would need a driver; the head's table of nodes does not.
    gcs = ray._raylet.GcsClient(address=cluster.address)
    while sum(node.state == 0 for node in gcs.get_all_node_info().values()) < len(nodes) + 2:
        time.sleep(0.5)


cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    word, _, path = line.strip().partition(" blind ")
    if word == "remove":
        cluster.remove_node(nodes.pop(), allow_graceful=False)
    elif path:
        add_blind(path)
    else:
        nodes.append(cluster.add_node(num_cpus=1))
    print("done", flush=True)
cluster.shutdown()
