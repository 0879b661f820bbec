"""The DHCP client of a NIC: its arguments and leases for the bridge, and the commands that move it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.node.underlay import dhcp_client, moves
from headworks.node.underlay.dhcp_client import DhcpClient, arguments_for, leases_for
from headworks.node.underlay.undo_units import Undo, rollback_service


def test_a_dhcp_client_gets_the_other_device_and_files_with_its_name() -> None:
    arguments = [
        "/sbin/dhclient",
        "-1",
        "-4",
        "-v",
        "-pf",
        "/run/dhclient.eth0.pid",
        "-lf",
        "/var/lib/dhcp/eth0.leases",
    ]
    assert arguments_for([*arguments, "-cf", "/etc/dhclient-eth01.conf", "eth0"], "eth0", "br-ex") == [
        "dhclient",
        "-nw",
        "-4",
        "-v",
        "-pf",
        "/run/dhclient.br-ex.pid",
        "-lf",
        "/var/lib/dhcp/br-ex.leases",
        "-cf",
        "/etc/dhclient-eth01.conf",
        "br-ex",
    ]


def test_a_lease_file_gets_the_other_device() -> None:
    lease = 'lease {\n  interface "eth0";\n  fixed-address 192.0.2.5;\n}\nlease {\n  interface "eth01";\n}\n'
    assert leases_for(lease, "eth0", "br-ex") == lease.replace('"eth0"', '"br-ex"')


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list[DhcpClient]]:
    """Simulate a dhclient of ifupdown for eth0, and its directory of leases. Returns the clients by device."""
    words = ["dhclient", "-4", "-pf", "/run/dhclient.eth0.pid", "-lf", f"{tmp_path}/dhclient.eth0.leases", "eth0"]
    clients = {"eth0": [DhcpClient(1, tuple(words))]}
    monkeypatch.setattr(dhcp_client, "dhcp_clients", lambda device: clients.get(device, []))
    monkeypatch.setattr(dhcp_client, "_LEASES", tmp_path)
    lease = 'default-duid "\\000\\001";\nlease {\n  interface "eth0";\n  fixed-address 192.0.2.5;\n}\n'
    (tmp_path / "dhclient.eth0.leases").write_text(lease)
    (tmp_path / "dhclient.eth01.leases").write_text(lease)
    return clients


def test_raw_commands_run_a_dhcp_client_for_the_nic_again(client: dict[str, list[DhcpClient]], tmp_path: Path) -> None:
    commands = dhcp_client.undo_client_commands("eth0", "br-ex")
    assert [command[1:] for command in commands] == [
        ["-KILL", "-F", "/run/dhclient.br-ex.pid", "dhclient"],
        ["-KILL", "-F", "/run/dhclient.eth0.pid", "dhclient"],
        ["-nw", "-4", "-pf", "/run/dhclient.eth0.pid", "-lf", f"{tmp_path}/dhclient.eth0.leases", "eth0"],
    ]
    assert all(command[0].startswith("/") for command in commands)
    client["br-ex"] = [DhcpClient(2, tuple(arguments_for(client.pop("eth0")[0].arguments, "eth0", "br-ex")))]
    assert dhcp_client.undo_client_commands("eth0", "br-ex") == commands
    client.clear()
    assert dhcp_client.undo_client_commands("eth0", "br-ex") == []


def test_a_device_without_a_client_keeps_its_identifier_and_no_lease(
    client: dict[str, list[DhcpClient]], tmp_path: Path
) -> None:
    before = (tmp_path / "dhclient.eth0.leases").read_text()
    dhcp_client.delete_leases("eth0")
    assert (tmp_path / "dhclient.eth0.leases").read_text() == before  # its client runs
    client.clear()
    dhcp_client.delete_leases("eth0")
    assert (tmp_path / "dhclient.eth0.leases").read_text() == 'default-duid "\\000\\001";\n'
    assert (tmp_path / "dhclient.eth01.leases").read_text() == before


def test_leases_are_copied_for_another_device(client: dict[str, list[DhcpClient]], tmp_path: Path) -> None:
    dhcp_client.copy_leases("eth0", "br-ex")
    assert 'interface "br-ex";' in (tmp_path / "dhclient.br-ex.leases").read_text()
    client.clear()
    dhcp_client.forget_device("br-ex")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dhclient.eth0.leases", "dhclient.eth01.leases"]


def test_a_dhcp_client_that_the_rollback_starts_outlasts_its_unit() -> None:
    undo = Undo(moves.Move("eth0", "br-ex"), ["/bin/unplug"], Path("/run/first"), Path("/run/finish"))
    assert "KillMode=process" in rollback_service(undo).splitlines()
