"""A resolved cloud of any size, for tests and benches of the wiring: many nodes and many small tenant networks."""

from __future__ import annotations

from clouds import identity, make_instance, make_network
from headworks.plan.cloud import (
    OWNER_DHCP,
    OWNER_INSTANCE,
    OWNER_ROUTER_INTERFACE,
    Cloud,
    FixedIp,
    Instance,
    Network,
    Node,
    Port,
    Router,
)


def _port(network: str, number: int, host: int, node: str, owner: str, device: str) -> Port:
    address = f"10.{number >> 8}.{number & 255}.{host}"
    mac = f"fa:16:3e:{number >> 8:02x}:{number & 255:02x}:{host:02x}"
    return Port(identity(f"{network} {host}"), mac, network, (node,), owner, device, (FixedIp(network, address),))


def big_cloud(nodes: int, networks: int, guests: int, span: int) -> Cloud:
    """A cloud of ``nodes`` compute nodes, a network node, and ``networks`` vxlan networks with a router each.

    Each network has ``guests`` guests (at most 250), spread over ``span`` neighbouring compute nodes.
    """
    names = [f"net{number:05d}" for number in range(networks)]
    vlans: dict[str, dict[str, int]] = {f"compute{number}": {} for number in range(nodes)}
    vlans["network1"] = {name: number % 4000 + 1 for number, name in enumerate(names)}
    made: dict[str, Network] = {}
    instances: dict[str, Instance] = {}
    routers: dict[str, Router] = {}
    dhcp: dict[str, tuple[Port, ...]] = {}
    for number, name in enumerate(names):
        prefix = f"10.{number >> 8}.{number & 255}"
        made[name] = make_network(
            name, "vxlan", f"{prefix}.0/24", f"{prefix}.1", segmentation_id=number + 1, mtu=1450, isolated=False
        )
        for guest in range(guests):
            node = f"compute{(number + guest % span) % nodes}"
            vlans[node].setdefault(name, len(vlans[node]) + 1)
            title = f"{name}-vm{guest}"
            port = _port(name, number, guest + 3, node, OWNER_INSTANCE, title)
            instances[title] = make_instance(title, len(instances) + 1, node, port)
        interface = _port(name, number, 1, "network1", OWNER_ROUTER_INTERFACE, name)
        routers[name] = Router(name, identity(f"router {name}"), ("network1",), interfaces=(interface,))
        dhcp[name] = (_port(name, number, 2, "network1", OWNER_DHCP, name),)
    machines = {}
    for number, (name, local) in enumerate(vlans.items(), start=1):
        address = f"172.20.{number >> 8}.{number & 255}"
        role = "network" if name == "network1" else "compute"
        machines[name] = Node(name, frozenset({role}), address, address, "eth0", local_vlans=local)
    return Cloud("big", machines, made, routers, instances, dhcp)
