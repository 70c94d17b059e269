"""A SLURM of two nodes on this machine, for the time of a test: its own keys, ports and folders, and no privileges."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from support.ray_cluster import free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# What was put back into the queue may start again when its old credential has run out: 2 minutes, by default.
AuthInfo=socket={root}/munge.socket,cred_expire=5
CryptoType=crypto/munge
SlurmctldPort={ports[0]}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """The programs of SLURM that this machine lacks; Debian's packages are slurm-wlm and munge."""
    return [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]


class Slurm:
    """SLURM as long as `with` lasts.

    Args:
        root: an empty folder with a short path.
    """

    def __init__(self, root: Path):
        self.root = root
        self.processes = []
        self.environment = {
            **os.environ,
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "SLURM_CONF": str(root / "slurm.conf"),
        }

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        root = self.root
        for name in ("state", "spool-node1", "spool-node2"):
            (root / name).mkdir()
        user = subprocess.run(["id", "--user", "--name"], capture_output=True, text=True, check=True).stdout.strip()
        conf = CONF.format(host=socket.gethostname().partition(".")[0], user=user, root=root, ports=free_ports(3))
        (root / "slurm.conf").write_text(conf)
        key = root / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed", "key-file": "key"}
        self._run("munged", "--foreground", "--force", *(f"--{k}={root}/munge.{v}" for k, v in files.items()))
        wait(lambda: (root / "munge.socket").exists(), 10)
        self._run("slurmctld", "-D", "-i")
        for node in ("node1", "node2"):
            self._run("slurmd", "-D", "-N", node)
        wait(lambda: self("sinfo", "--noheader", "--format=%t %D").split() == ["idle", "2"], 60)

    def _run(self, *command):
        log = (self.root / f"{command[0]}-{len(self.processes)}.out").open("w")
        self.processes.append(
            subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, start_new_session=True)
        )

    def __exit__(self, *_):
        if len(self.processes) > 1:
            subprocess.run(["scancel", "--user", str(os.getuid())], env=self.environment, timeout=30)
            # The daemons end all the same.
            with contextlib.suppress(AssertionError):
                wait(lambda: not self("squeue", "--noheader"), 60)
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __call__(self, *command):
        """What a command of SLURM prints; it must succeed."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, cwd=self.root, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def submit(self, text, *options):
        """The number of a job whose file has this text."""
        file = self.root / "job.sbatch"
        file.write_text(text)
        return self("sbatch", "--parsable", *options, str(file)).strip()

    def job(self, number):
        """What SLURM says of a job: {"JobState": "RUNNING", ...}."""
        words = self("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def ended(self, number, seconds):
        """The job, once it has ended."""
        wait(lambda: self.job(number)["JobState"] in ENDS, seconds)
        return self.job(number)

    def during(self, number, condition, seconds):
        """Wait for something that comes before the job has ended."""
        wait(lambda: condition() or self.job(number)["JobState"] in ENDS, seconds)
        assert self.job(number)["JobState"] not in ENDS, self.output(number)

    def output(self, number):
        """What a job and its Ray have said."""
        return "".join(path.read_text() for path in [*self.root.glob(f"*-{number}.out"), *self.root.glob("ray-*.log")])


def wait(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.5)
