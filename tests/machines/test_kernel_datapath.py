"""The kernel's datapath on machines with Debian's kernel: network types, offloads, NAT, metadata, spoof guards.

The lab is the one of two machines in ``conftest.py``. The guests ``stand1`` and ``stand2`` are off;
namespaces stand on their ports (``stands.py``). ``vm1`` is a real guest. It is slow, and slows all else, so only the
last tests start it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import Any

import pytest
from ansible_run import TOP, Run
from conftest import MACHINES
from machine_lab import MachineLab
from real_nodes import eventually
from stands import Place, Standing, arp, counted, dhcp_place, transfer, udp

MTU = {"vxlan1": 1450, "geneve1": 1450, "gre1": 1458, "vlan1": 1500, "flat1": 1500}
ICMP_HEADERS = 28
WORLD = "203.0.113.10"
GUEST_IP, STAND1_IP = "172.16.19.231", "172.16.19.232"
PORTS = ("vxlan_sys_4789 (vxlan", "genev_sys_6081 (geneve", "gre_sys (gre", "enp0s18", "enp0s19")
WHOAMI = (TOP / "playbooks/files/whoami.py").read_text()
FETCH = "import urllib.request as u; print(u.urlopen({url!r}, timeout=60).read().decode())"
# Two emulations, one within the other, on a busy host.
GUEST_BOOT_S = 1500.0


def test_the_first_run_makes_the_changes_that_it_planned(first_run: Run) -> None:
    planned, made = set(first_run.planned_changes()), set(first_run.changes())
    assert sorted(planned - made) == []
    assert sorted(made - planned) == []


def test_a_second_run_changes_nothing(lab: MachineLab) -> None:
    run = lab.playbook("site.yml").must_succeed()
    assert run.changed_counts() == dict.fromkeys(MACHINES, 0)
    assert [lab.drift(machine) for machine in MACHINES] == ["", ""]


@pytest.mark.parametrize("machine", MACHINES)
def test_bridges_are_in_the_datapath_of_the_kernel(lab: MachineLab, machine: str) -> None:
    shown = lab.ssh(machine, "ovs-dpctl", "show")
    assert "system@ovs-system" in shown
    assert [port for port in PORTS if port not in shown] == []
    assert "netdev@" not in lab.ssh(machine, "ovs-appctl", "dpif/show")
    assert "openvswitch" in lab.ssh(machine, "lsmod")


@pytest.mark.parametrize("network", MTU)
def test_the_largest_packet_passes_between_nodes_and_a_larger_one_does_not(
    lab: MachineLab, summary: dict[str, Any], network: str
) -> None:
    assert summary["networks"][network]["mtu"] == MTU[network]
    near, far = (dhcp_place(lab, summary, machine, network) for machine in MACHINES)
    largest = MTU[network] - ICMP_HEADERS
    assert near.answers(far.address, largest)
    assert far.answers(near.address, largest)
    assert not near.answers(far.address, largest + 1, tries=1)


@pytest.mark.parametrize("network", MTU)
def test_ports_of_guests_reach_each_other_with_the_largest_packet(standing: Standing, network: str) -> None:
    near, far = standing("stand1", network), standing("stand2", network)
    assert near.answers(far.address, MTU[network] - ICMP_HEADERS)
    assert far.answers(near.address, MTU[network] - ICMP_HEADERS)


@pytest.mark.parametrize("network", MTU)
def test_tcp_arrives_unchanged_with_offloads_on(lab: MachineLab, summary: dict[str, Any], network: str) -> None:
    near, far = (dhcp_place(lab, summary, machine, network) for machine in MACHINES)
    for place in (near, far):
        assert "tcp-segmentation-offload: on" in place.run("ethtool", "-k", place.device)
        assert "tx-checksumming: on" in lab.ssh(place.machine, "ethtool", "-k", "enp0s17")
    speed = transfer(near, far, 8)
    print(f"{network}: {speed:.0f} Mbit/s")
    flows = lab.ssh("node2", "ovs-dpctl", "dump-flows")
    assert re.search(r"packets:[1-9]", flows), flows


def test_flows_in_the_kernel_have_the_tunnels(lab: MachineLab, standing: Standing) -> None:
    seen = {}
    for network, port in (("vxlan1", "vxlan_sys_4789"), ("geneve1", "genev_sys_6081"), ("gre1", "gre_sys")):
        near, far = standing("stand1", network), standing("stand2", network)
        assert near.answers(far.address)
        flows = lab.ssh("node2", "ovs-appctl", "dpctl/dump-flows", "--names")
        seen[network] = bool(re.search(rf"tunnel\(tun_id=.*in_port\({port}\)", flows)) or flows
    assert seen == dict.fromkeys(seen, True)


def test_a_guest_without_floating_ip_leaves_as_the_router(
    lab: MachineLab, summary: dict[str, Any], standing: Standing
) -> None:
    guest, router = standing("stand2", "vxlan1"), summary["routers"]["r1"]
    outer = router["external_ips"][0]
    with _whoami(lab) as url:
        assert _fetch(guest, url) == outer
    inside = ("ip", "netns", "exec", f"qrouter-{router['id']}")
    entries = lab.ssh(router["node"], *inside, "conntrack", "-L", "-p", "tcp")
    assert re.search(rf"src={guest.address} dst={WORLD} .*src={WORLD} dst={outer}", entries), entries


def test_a_floating_ip_works_in_both_directions(lab: MachineLab, standing: Standing) -> None:
    guest = standing("stand1", "vxlan1")
    with _whoami(lab) as url:
        assert _fetch(guest, url) == STAND1_IP
    unit = "whoami-stand1"
    server = [*guest.prefix, "python3", "-c", WHOAMI, guest.address, "8080"]
    lab.ssh(guest.machine, "systemd-run", f"--unit={unit}", "--collect", *server)
    try:
        fetch = FETCH.format(url=f"http://{STAND1_IP}:8080/")
        seen = eventually(lambda: lab.outside("ext", sys.executable, "-c", fetch, check=False).strip(), "an answer", 60)
        assert seen == "172.16.0.1"
    finally:
        lab.ssh(guest.machine, "systemctl", "stop", unit, check=False)


def test_a_guest_reads_its_own_metadata(standing: Standing) -> None:
    for guest in ("stand1", "stand2"):
        url = "http://169.254.169.254/latest/meta-data/local-hostname"
        assert _fetch(standing(guest, "vxlan1"), url).startswith(guest)


@pytest.mark.parametrize("network", ["vxlan1", "vlan1", "flat1"])
def test_spoofed_packets_do_not_arrive(standing: Standing, network: str) -> None:
    guest, victim = standing("stand1", network), standing("stand2", network)
    assert guest.answers(victim.address)
    other = guest.address.rpartition(".")[0] + ".77"
    seen = counted(
        guest,
        victim,
        {
            "honest-packet": udp(guest.mac, victim, guest.address, "honest-packet"),
            "honest-arp": arp(guest.mac, victim, guest.address, "honest-arp"),
            "forged-ip": udp(guest.mac, victim, other, "forged-ip"),
            "forged-mac": udp("fa:16:3e:00:00:77", victim, guest.address, "forged-mac"),
            "forged-arp": arp(guest.mac, victim, other, "forged-arp"),
            "forged-arp-mac": arp("fa:16:3e:00:00:77", victim, guest.address, "forged-arp-mac"),
            "forged-vlan": udp(guest.mac, victim, guest.address, "forged-vlan", vlan=1),
        },
    )
    honest = {mark: number for mark, number in seen.items() if mark.startswith("honest")}
    assert honest == {"honest-packet": 5, "honest-arp": 5}
    assert {mark: number for mark, number in seen.items() if mark not in honest} == dict.fromkeys(
        ["forged-ip", "forged-mac", "forged-arp", "forged-arp-mac", "forged-vlan"], 0
    )


def test_a_real_guest_answers_at_its_floating_ip(lab: MachineLab, summary: dict[str, Any]) -> None:
    lab.playbook("site.yml", "-e", "lab_guest_state=running").must_succeed()
    vm1 = summary["instances"]["vm1"]
    address, router = vm1["nics"][0]["addresses"][0], summary["routers"]["r1"]
    inside = Place(lab, router["node"], f"qrouter-{router['id']}", "", "", "")
    eventually(lambda: inside.answers(address, tries=1), f"vm1 answers at {address}", GUEST_BOOT_S, 5.0)
    pings = lab.pings_outside("ext", GUEST_IP, interval=1.0)
    time.sleep(10)
    loss = pings.stop()
    assert loss.answers, loss.output
    console = lab.ssh(vm1["node"], "cat", f"/var/lib/headworks/instances/{vm1['id']}/console.log")
    assert "Kernel panic" not in console
    assert f"address {address}/24" in console


def _fetch(place: Place, url: str) -> str:
    """The text at a URL, as soon as its server runs."""
    fetch = ("python3", "-c", FETCH.format(url=url))
    return str(eventually(lambda: place.run(*fetch, check=False).strip(), f"an answer from {url}", 90, 1.0))


class _whoami:
    """A server outside of the cloud that answers with the address of its client, while the body runs."""

    def __init__(self, lab: MachineLab) -> None:
        namespace = lab.definition.outside("ext")
        self.args = ["ip", "netns", "exec", namespace, sys.executable, "-c", WHOAMI, WORLD, "8080"]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return f"http://{WORLD}:8080/"

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
