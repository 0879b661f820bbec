"""Which program configures a NIC, by the state files of the programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.system.net_managers import manager_of, networkd_file, networkd_lease


class Root:
    """A directory that looks like the root of a node with NIC eth0 (index 2)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("sys/class/net/eth0/ifindex", "2\n")

    def write(self, name: str, text: str = "") -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def active(self, unit: str) -> None:
        path = self.path / f"run/systemd/units/invocation:{unit}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to("0123456789abcdef")

    def networkd(self, file: str, state: str = "configured") -> None:
        self.active("systemd-networkd.service")
        self.write("run/systemd/netif/links/2", f"# This is private data.\nADMIN_STATE={state}\nNETWORK_FILE={file}\n")

    def manager(self) -> str:
        return manager_of("eth0", self.path)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_a_nic_without_any_state_file_has_no_manager(root: Root) -> None:
    assert root.manager() == ""
    assert manager_of("eth9", root.path) == ""


@pytest.mark.parametrize(
    ("file", "state", "manager"),
    [
        ("/etc/systemd/network/20-lan.network", "configured", "networkd"),
        ("/etc/systemd/network/20-lan.network", "configuring", "networkd"),
        ("/run/systemd/network/10-netplan-eth0.network", "configured", "netplan-networkd"),
        ("/etc/systemd/network/20-lan.network", "unmanaged", ""),
        ("", "configured", ""),
    ],
)
def test_networkd_configures_a_nic_to_which_it_applies_a_file(
    root: Root, file: str, state: str, manager: str
) -> None:
    root.networkd(file, state)
    assert root.manager() == manager


def test_the_state_of_a_networkd_that_does_not_run_does_not_count(root: Root) -> None:
    root.networkd("/etc/systemd/network/20-lan.network")
    (root.path / "run/systemd/units/invocation:systemd-networkd.service").unlink()
    assert root.manager() == ""


def test_our_own_file_names_the_file_that_it_was_made_of(root: Root) -> None:
    ours = "/etc/systemd/network/05-headworks-eth0.network"
    root.networkd(ours)
    source = "/run/systemd/network/10-netplan-eth0.network"
    root.write(ours[1:], f"# headworks made this file of {source}\n# more\n")
    assert networkd_file("eth0", root.path) == source
    assert root.manager() == "netplan-networkd"


def test_the_lease_of_networkd_is_read(root: Root) -> None:
    root.write("run/systemd/netif/leases/2", "# private\nADDRESS=192.0.2.5\nCLIENTID=ff0a\n")
    assert networkd_lease("eth0", root.path) == {"ADDRESS": "192.0.2.5", "CLIENTID": "ff0a"}
    assert networkd_lease("eth1", root.path) == {}


@pytest.mark.parametrize(("managed", "manager"), [("true", "networkmanager"), ("false", "")])
def test_networkmanager_configures_a_nic_that_it_manages(root: Root, managed: str, manager: str) -> None:
    root.write("run/NetworkManager/devices/2", f"[device]\nmanaged={managed}\n")
    assert root.manager() == ""  # it does not run
    root.active("NetworkManager.service")
    assert root.manager() == manager


@pytest.mark.parametrize(
    ("files", "manager"),
    [
        ({"run/network/ifstate": "lo=lo\neth0=eth0\n"}, "ifupdown"),
        ({"run/network/ifstate": "lo=lo\neth01=eth01\n"}, ""),
        ({"etc/network/interfaces": "auto eth0\niface eth0 inet static\n  address 192.0.2.5/24\n"}, "ifupdown"),
        ({"etc/network/interfaces": "allow-hotplug eth0\niface eth0 inet6 auto\n"}, "ifupdown"),
        ({"etc/network/interfaces": "auto lo eth0 \\\n  eth1\niface eth0 inet dhcp\n"}, "ifupdown"),
        ({"etc/network/interfaces": "iface eth0 inet dhcp\n"}, ""),
        ({"etc/network/interfaces": "# auto eth0\niface eth0 inet dhcp\n"}, ""),
        (
            {
                "etc/network/interfaces": "source /etc/network/interfaces.d/*\n",
                "etc/network/interfaces.d/50-cloud-init": "auto eth0\niface eth0 inet dhcp\n",
            },
            "ifupdown",
        ),
        (
            {
                "etc/network/interfaces": "source-directory interfaces.d\n",
                "etc/network/interfaces.d/eth0": "auto eth0\niface eth0 inet dhcp\n",
            },
            "ifupdown",
        ),
        (
            {
                "etc/network/interfaces": "source-directory interfaces.d\n",
                "etc/network/interfaces.d/eth0.old": "auto eth0\niface eth0 inet dhcp\n",
            },
            "",
        ),
        ({"etc/network/interfaces": "auto eth0\niface eth0 inet dhcp\nsource interfaces\n"}, "ifupdown"),
    ],
)
def test_ifupdown_configures_a_nic_of_its_state_or_of_its_stanzas(
    root: Root, files: dict[str, str], manager: str
) -> None:
    for name, text in files.items():
        root.write(name, text)
    assert root.manager() == ""  # ifupdown is not installed
    root.write("sbin/ifup")
    assert root.manager() == manager


@pytest.mark.parametrize("name", ["dhcpcd/pid", "dhcpcd.pid", "dhcpcd/eth0.pid"])
def test_dhcpcd_is_recognized(root: Root, name: str) -> None:
    root.write(f"run/{name}", "1\n")
    assert root.manager() == "dhcpcd"


def test_connman_is_recognized(root: Root) -> None:
    root.active("connman.service")
    assert root.manager() == "connman"
