"""The check that a node's kernel has the modules of its datapath.

What does not belong here: limits of the kernel, which depend on what is placed on the node (``plan/limits.py``).
"""

from __future__ import annotations

from ..facts import KernelFacts
from ..identity import natural
from .context import Check

DATAPATH = "openvswitch"
# Network type → the module whose links are its tunnels with the kernel datapath.
TUNNELS = {"vxlan": "vxlan", "geneve": "geneve", "gre": "ip_gre"}
INSTEAD = "use a kernel that has it, or node_datapath_type: netdev, which needs no module"


def check_kernel(check: Check) -> None:
    """Refuse ``node_datapath_type: system`` on a node whose kernel is known to lack a module that it needs."""
    ends = [name for name, entry in check.inventory.nodes.items() if entry.roles & {"network", "compute"}]
    types: set[str] = {network.type for network in check.cloud.networks.values()} if len(ends) > 1 else set()
    for name in sorted(ends, key=natural):
        facts, datapath = check.facts.get(name), check.inventory.nodes[name].model.datapath_type
        if datapath == "system" and facts and facts.kernel:
            rule = _rule(name, facts.kernel, types)
            if rule:
                check.refuse(f"nodes.{name}.node_datapath_type", datapath, rule)


def _rule(node: str, kernel: KernelFacts, types: set[str]) -> str:
    """What is wrong, or ""."""
    has = f"the kernel of {node} ({kernel.release}) has no module"
    if kernel.modules.get(DATAPATH) is False:
        return f"{has} {DATAPATH}; {INSTEAD}"
    missing = sorted(kind for kind in types & set(TUNNELS) if kernel.modules.get(TUNNELS[kind]) is False)
    if missing:
        modules = ", ".join(TUNNELS[kind] for kind in missing)
        return f"{has} {modules}, for the networks of type {', '.join(missing)}; {INSTEAD}"
    return ""
