"""The addresses at which processes listen, as Linux knows them."""

import ipaddress
import os
from pathlib import Path

from dynsparse.results.processes import children

LISTENS = "0A"


def family(pid: int) -> set[int]:
    """A process and all processes under it."""
    found, to_ask = {pid}, [pid]
    while to_ask:
        new = children(to_ask.pop()) - found
        found |= new
        to_ask += new
    return found


def listening_addresses(pids: set[int]) -> set[str]:
    """The addresses at which one of the processes waits for connections."""
    inodes = set()
    for pid in pids:
        try:
            links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        inodes |= {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == LISTENS and inode in inodes:
                found.add(address(local.partition(":")[0]))
    return found


def address(digits: str) -> str:
    """An address from its digits, in which each group of four bytes is reversed."""
    groups = [bytes.fromhex(digits[place : place + 8])[::-1] for place in range(0, len(digits), 8)]
    found = ipaddress.ip_address(b"".join(groups))
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
