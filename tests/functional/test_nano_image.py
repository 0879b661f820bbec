"""The guest image nano, booted under QEMU's emulation in 64 MB: what a cloud and its users rely on in it.

The image is the file in HEADWORKS_NANO_IMAGE, else nano.qcow2 in the cache; build it with images/nano/build.
How the wire and the guest are made is in nano_bench.py; what can be tested without booting is in tests/unit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nano_bench import ADDRESS, GATEWAY, MACS, Guest, Wire, run, wait_until

CACHE = Path(os.environ.get("HEADWORKS_CACHE", Path.home() / ".cache/headworks"))
IMAGE = Path(os.environ.get("HEADWORKS_NANO_IMAGE", CACHE / "nano.qcow2"))
MISSING = [tool for tool in ("qemu-system-x86_64", "qemu-img", "dnsmasq", "ssh", "ip") if not shutil.which(tool)]

pytestmark = [
    pytest.mark.skipif(not IMAGE.exists(), reason=f"no image at {IMAGE}: images/nano/build {IMAGE}"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed here: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: root only"),
]
Make = Callable[..., Guest]


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    made: list[Guest] = []

    def make(**options: object) -> Guest:
        made.append(Guest(Wire(tmp_path_factory.mktemp("nano")), IMAGE, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for guest in made:
        guest.wire.close()


@pytest.fixture(scope="module")
def vm1(guests: Make) -> Guest:
    """A guest as the lab has it, booted once; tests that share it leave it running."""
    guest = guests()
    guest.wire.start_dhcp(
        f"--dhcp-option=option:router,{GATEWAY}", f"--dhcp-option=option:dns-server,{GATEWAY}", "--dhcp-option=26,1376",
        "--domain=novalocal",
    )  # fmt: skip
    guest.wire.start_metadata()
    guest.boot()
    return guest


def test_boots_in_seconds_in_64_mb(vm1: Guest) -> None:
    vm1.wait_for(r"boot finished, up [0-9.]+s, host vm1$")
    assert (
        vm1.cpu_seconds_of_boot < 20
    )  # of the emulator: 7 s; unlike elapsed time this hardly depends on what else runs
    available = int(vm1.ssh("awk '/MemAvailable/ {print $2}' /proc/meminfo"))
    assert available > 20_000


def test_takes_address_routes_dns_and_mtu_from_dhcp(vm1: Guest) -> None:
    assert f"inet {ADDRESS}/24 brd 10.18.0.255" in vm1.ssh("ip -4 addr show eth0")
    assert "mtu 1376" in vm1.ssh("ip link show eth0")
    assert f"default via {GATEWAY} dev eth0" in vm1.ssh("ip route")
    assert vm1.ssh("cat /etc/resolv.conf").split() == ["search", "novalocal", "nameserver", GATEWAY]
    vm1.wait_for(rf"^headworks-nano: eth0: address {ADDRESS}/24, gateway {GATEWAY}, dns {GATEWAY}, lease 120s")
    vm1.wait_for(rf"^headworks-nano: eth0: route default via {GATEWAY}$")


def test_console_shows_each_metadata_request_with_its_answer(vm1: Guest) -> None:
    base = "http://169.254.169.254/2009-04-04"
    for path in (
        "meta-data/instance-id",
        "meta-data/local-hostname",
        "meta-data/public-keys/0/openssh-key",
        "user-data",
    ):
        vm1.wait_for(rf"^headworks-nano: GET {base}/{path}: 200, \d+ bytes$")


def test_host_name_is_the_instance_name(vm1: Guest) -> None:
    assert vm1.ssh("hostname").strip() == "vm1"
    assert "127.0.1.1" in vm1.ssh("ping -c 1 vm1.novalocal")
    vm1.wait_for(r"^vm1 login: ")


@pytest.mark.parametrize("user", ["root", "nano"])
def test_key_from_metadata_logs_in(vm1: Guest, user: str) -> None:
    assert vm1.ssh("id -un; pwd", user).split() == [user, "/root" if user == "root" else "/home/nano"]


def test_neither_another_key_nor_a_password_logs_in(vm1: Guest) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(vm1.directory / "other"))
    assert "Permission denied (publickey)" in vm1.ssh("true", check=False, key="other")
    command = vm1.ssh_command("true")
    command[command.index("ssh") + 1 : command.index("ssh") + 3] = ["-o", "PubkeyAuthentication=no"]
    command[command.index("BatchMode=yes")] = "BatchMode=no"
    asked = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert asked.returncode == 255
    assert "Permission denied (publickey)" in asked.stderr


def test_user_data_script_runs_once_with_its_output_on_the_console(vm1: Guest) -> None:
    vm1.wait_for(r"^user data says 42 on vm1$")
    vm1.wait_for(r"^headworks-nano: user data: ended with status 0$")
    assert vm1.text().count("user data says 42") == 1


def test_console_shows_the_fingerprint_ssh_clients_see(vm1: Guest) -> None:
    vm1.ssh("true")
    known = run("ssh-keygen", "-l", "-f", str(vm1.directory / "known_hosts")).stdout
    fingerprint = vm1.wait_for(r"^headworks-nano: ssh host key (SHA256:\S+) \(ed25519\)$").group(1)
    assert fingerprint in known


def test_tcp_works_in_both_directions_without_any_offload(vm1: Guest) -> None:
    big = "0123456789abcdef" * 60_000
    assert vm1.ssh("wc -c", stdin=big).strip() == str(len(big))
    assert len(vm1.ssh("head -c 3000000 /dev/zero | tr '\\0' x")) == 3_000_000


def test_can_serve_tcp(vm1: Guest) -> None:
    vm1.ssh("setsid nc -ll -p 7777 -e /bin/hostname </dev/null >/dev/null 2>&1 &")
    ask = vm1.wire.command(
        "python3", "-c", f"import socket; print(socket.create_connection(('{ADDRESS}', 7777), 10).recv(99))"
    )
    assert "vm1" in run(*ask).stdout


def test_has_the_tools_to_look_at_networks(vm1: Guest) -> None:
    assert "1 packets received" in vm1.ssh(f"ping -c 1 -W 5 {GATEWAY}")
    assert "Received 1 response" in vm1.ssh(f"arping -c 1 {GATEWAY}")
    assert GATEWAY in vm1.ssh(f"traceroute -n {GATEWAY}")
    assert vm1.ssh("wget -q -O - http://169.254.169.254/2009-04-04/meta-data/instance-id") == "i-00000001"


def test_root_logs_in_on_the_serial_console_without_a_password(vm1: Guest) -> None:
    with vm1.serial() as say:
        say("", r"login: ")
        say("root", r"root@vm1:~# ")
        assert "uid=0(root)" in say("id", r"uid=.*\n.*# ")
        say("exit", r"login: ")


def test_takes_an_ipv6_address_from_router_advertisements(vm1: Guest) -> None:
    vm1.wire.ip("addr", "add", "2001:db8::1/64", "dev", "tap0", "nodad")
    radvd = vm1.wire.start(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0", "--pid-file=",
        "--interface=tap0", "--dhcp-range=2001:db8::,ra-only,64", "--enable-ra", "--ra-param=tap0,4,600",
    )  # fmt: skip
    try:
        wait_until(lambda: "2001:db8:" in vm1.ssh("ip -6 addr show dev eth0"), 20, "an address of 2001:db8::/64")
    finally:
        radvd.terminate()


def test_renewed_lease_changes_what_is_different_and_drops_nothing(vm1: Guest) -> None:
    before = vm1.ssh("ip -4 addr show eth0")
    vm1.wire.start_dhcp(
        "--dhcp-option=option:dns-server,10.18.0.9", "--dhcp-option=26,1400",
        "--dhcp-option=121,0.0.0.0/0,10.18.0.254,192.0.2.0/24,10.18.0.253",
    )  # fmt: skip
    # A connection that is open across the change.
    session = subprocess.Popen(
        vm1.ssh_command("kill -USR1 $(cat /run/nano/net/eth0/pid); sleep 6; echo still here"),
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = session.communicate(timeout=60)
    assert output == "still here\n"
    routes = vm1.ssh("ip route")
    assert "default via 10.18.0.254" in routes
    assert "192.0.2.0/24 via 10.18.0.253" in routes
    assert f"default via {GATEWAY}" not in routes
    assert "nameserver 10.18.0.9" in vm1.ssh("cat /etc/resolv.conf")
    assert vm1.ssh("ip -4 addr show eth0").replace("mtu 1400", "mtu 1376") == before


def test_nic_plugged_in_later_is_configured_and_forgotten_when_pulled(vm1: Guest) -> None:
    vm1.wire.start_dhcp(
        f"--dhcp-option=option:router,{GATEWAY}",
        "--dhcp-range=10.22.22.0,static,120s",
        f"--dhcp-host={MACS[1]},10.22.22.9",
    )
    vm1.qmp("netdev_add", type="tap", id="n1", ifname="tap1", script="no", downscript="no")
    vm1.qmp("device_add", driver="virtio-net-pci", id="late", netdev="n1", mac=MACS[1], csum=False, guest_csum=False)
    vm1.wait_for(r"^headworks-nano: eth1: address 10\.22\.22\.9/24", 90)
    vm1.qmp("device_del", id="late")
    wait_until(lambda: "eth1" not in vm1.ssh("ls /sys/class/net /run/nano/net"), 20, "eth1 gone")
    assert "eth1" not in vm1.ssh("ps")


def test_reboot_keeps_the_host_key_and_does_not_run_user_data_again(vm1: Guest) -> None:
    vm1.ssh("echo kept >/root/note")
    before = len(vm1.text())
    vm1.ssh("reboot", check=False)
    wait_until(lambda: "boot finished" in vm1.text()[before:], 180, "second boot")
    second = vm1.text()[before:]
    assert "user data says" not in second
    assert "user data has run in an earlier boot" in second
    assert vm1.ssh("cat /root/note; hostname").split() == ["kept", "vm1"]  # fails if the host key has changed


def test_plug_pulled_is_survived(vm1: Guest) -> None:
    vm1.ssh("echo kept >/root/note2; sync")
    vm1.kill()
    vm1.boot()
    assert vm1.ssh("cat /root/note2").strip() == "kept"


def test_acpi_power_button_turns_it_off_within_seconds_and_the_disk_is_clean(vm1: Guest) -> None:
    vm1.qmp("system_powerdown")
    vm1.ended_within(15)  # 3 s on an idle machine
    vm1.wait_for(r"^headworks-nano: going down")
    vm1.boot()
    assert "recovery" not in vm1.ssh("dmesg | grep -i ext4")
    vm1.qmp("system_powerdown")
    vm1.ended_within(15)


def test_disk_that_becomes_another_instance_gets_a_new_host_key_and_runs_its_user_data(vm1: Guest) -> None:
    """As when an image is made from an instance: the copies must not share a key. (vm1 is off when this starts.)"""
    vm1.wire.write_metadata(**{"meta-data/instance-id": "i-00000002", "meta-data/local-hostname": "copy1"})
    vm1.boot()
    vm1.wait_for(r"user data says 42 on copy1$")
    changed = vm1.ssh("true", check=False)
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in changed or "Host key verification failed" in changed
    (vm1.directory / "known_hosts").unlink()
    assert vm1.ssh("hostname").strip() == "copy1"
    vm1.kill()


def test_q35_with_two_nics_static_routes_and_nothing_but_an_instance_id(guests: Make) -> None:
    """Option 121 is there, so option 3 does not count (RFC 3442); the second NIC's default route ranks lower; a network
    without keys and user data is nothing to fail at."""
    guest = guests(machine="q35", nics=2)
    guest.wire.start_dhcp(
        "--dhcp-range=10.22.22.0,static,120s", f"--dhcp-host={MACS[1]},10.22.22.9", "--dhcp-option=26,1376",
        "--dhcp-option=tag:tap0,option:router,10.18.0.1",
        "--dhcp-option=tag:tap0,121,169.254.169.254/32,10.18.0.1,198.51.100.0/24,10.18.0.7",
        "--dhcp-option=tag:tap1,option:router,10.22.22.1",
    )  # fmt: skip
    guest.wire.start_metadata(**dict.fromkeys(("meta-data/public-keys/", "user-data")))
    guest.boot()
    table = re.findall(r"^headworks-nano: route table: (.*?) *$", guest.text(), re.MULTILINE)
    assert "default via 10.22.22.1 dev eth1  metric 201" in table
    assert not any(route.startswith("default via 10.18.0.1") for route in table)
    assert "169.254.169.254 via 10.18.0.1 dev eth0" in table
    assert "198.51.100.0/24 via 10.18.0.7 dev eth0" in table
    for path in ("meta-data/public-keys/", "user-data"):
        guest.wait_for(rf"^headworks-nano: GET \S+/{path}: .*404 Not Found$")
    guest.wait_for(r"^headworks-nano: ssh keys: 0$")
    guest.kill()


def test_no_dhcp_does_not_hold_up_the_boot_and_is_made_good_later(guests: Make) -> None:
    guest = guests()
    guest.wire.start_metadata()
    assert guest.boot() < 60  # 20 s of waiting and the boot itself, on a busy machine
    guest.wait_for(r"^headworks-nano: no address on any NIC yet")
    guest.wait_for(r"^headworks-nano: eth0: no answer to DHCP; trying on$")
    guest.wire.start_dhcp(f"--dhcp-option=option:router,{GATEWAY}")
    guest.wait_for(r"^user data says 42 on vm1$")
    assert guest.ssh("hostname").strip() == "vm1"
    guest.kill()


def test_second_nic_without_dhcp_and_cloud_config_user_data_do_not_hold_up_the_boot(guests: Make) -> None:
    guest = guests(nics=2)
    guest.wire.start_dhcp()
    guest.wire.start_metadata(**{"user-data": "#cloud-config\npackages: [vim]\n"})
    assert guest.boot() < 60
    guest.wait_for(r"^headworks-nano: user data is #cloud-config, which is not supported here")
    guest.kill()


def test_metadata_that_fails_at_first_is_asked_again(guests: Make) -> None:
    guest = guests()
    guest.wire.start_dhcp()
    guest.wire.start_metadata(**{"meta-data/instance-id": 503})
    guest.start()
    guest.wait_for(r"GET \S+/instance-id: .*503")
    guest.wire.write_metadata()
    guest.wait_for(r"^user data says 42 on vm1$")
    guest.kill()


@pytest.mark.skipif(not shutil.which("mkfs.vfat") or not shutil.which("mcopy"), reason="no mkfs.vfat or mcopy here")
@pytest.mark.parametrize("interface", ["virtio", "ide"])
def test_config_drive_serves_where_there_is_no_network(guests: Make, interface: str) -> None:
    guest = guests(nics=0)
    drive = guest.directory / "config.img"
    files = guest.directory / "openstack/latest"
    files.mkdir(parents=True)
    (files / "meta_data.json").write_text(
        '{"uuid": "83679162-1378-4288-a2d4-70e13ec132aa", "hostname": "vm7.novalocal", "name": "vm7",\n'
        f' "public_keys": {{"ops": "{guest.wire.public_key}\\n"}}}}'
    )
    (files / "user_data").write_text("#!/bin/sh\necho drive says hello to $(hostname)\n")
    run("truncate", "-s", "2M", str(drive))
    run("mkfs.vfat", "-n", "config-2", str(drive))
    run("mcopy", "-s", "-i", str(drive), str(guest.directory / "openstack"), "::")
    guest.boot("-drive", f"file={drive},if={interface},format=raw")
    guest.wait_for(r"^drive says hello to vm7$")
    guest.wait_for(r"^headworks-nano: ssh keys: 1$")
    guest.kill()
