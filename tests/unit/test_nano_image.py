"""What of the guest image nano can be tested without building or booting it: its scripts, run by the machine's own
shell with `ip`, `wget` and the like replaced, the kernel repacking, and that nothing secret or shared is in it.

The booted image is tested in tests/functional/test_nano_image.py.
"""

from __future__ import annotations

import http.server
import json
import lzma
import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

NANO = Path(__file__).parents[2] / "images/nano"
SCRIPTS = NANO / "rootfs/usr/lib/nano"

# Says what busybox's wget says; the scripts read it.
WGET = f"""#!{sys.executable}
import sys, urllib.error, urllib.request
url, out = sys.argv[-1], sys.argv[sys.argv.index("-O") + 1]
try:
    body = urllib.request.urlopen(url, timeout=5).read()
except urllib.error.HTTPError as error:
    sys.exit(f"wget: server returned error: HTTP/1.1 {{error.code}} {{error.reason}}")
except OSError as error:
    sys.exit(f"wget: can't connect to remote host: {{error}}")
open(out, "wb").write(body)
"""


class Machine:
    """A directory that stands for the guest's root, and a PATH whose tools only note how they were called."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.calls = directory / "calls"
        self.tools = directory / "tools"
        self.tools.mkdir()
        for name in ("ip", "modprobe", "usleep", "sleep"):
            self.tool(name, f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n')
        self.tool("findfs", "#!/bin/sh\nexit 1\n")
        for path in (
            "run/nano/net",
            "var/lib/nano",
            "etc",
            "root",
            "home/nano",
            "sys/class/net/eth0",
            "sys/class/net/eth1",
        ):
            (self.root / path).mkdir(parents=True)
        for nic in ("eth0", "eth1"):
            (self.root / f"sys/class/net/{nic}/mtu").write_text("1500\n")

    def tool(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def run(self, script: str, *arguments: str, **environment: str) -> list[str]:
        """Runs a script; the calls of the tools it made."""
        self.calls.write_text("")
        path = f"{self.tools}:{os.environ['PATH']}"
        self.output = subprocess.run(
            [SCRIPTS / script, *arguments],
            env={"PATH": path, "NANO_ROOT": str(self.root), **environment},
            text=True, capture_output=True, timeout=60,
        ).stdout  # fmt: skip
        return self.calls.read_text().splitlines()

    def lease(self, event: str = "bound", **changes: str) -> list[str]:
        given = {
            "interface": "eth0", "ip": "10.18.0.3", "mask": "24", "broadcast": "10.18.0.255", "router": "10.18.0.1",
            "dns": "10.18.0.2", "domain": "novalocal", "lease": "120", "serverid": "10.18.0.2", **changes,
        }  # fmt: skip
        return self.run("dhcp-event", event, **{name: value for name, value in given.items() if value})

    def text(self, path: str) -> str:
        return (self.root / path).read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def routes(calls: list[str]) -> list[str]:
    return [call.removeprefix("ip route ").strip() for call in calls if call.startswith("ip route")]


# --- DHCP ---


def test_lease_sets_address_default_route_and_resolver(machine: Machine) -> None:
    calls = machine.lease()
    assert "ip addr add 10.18.0.3/24 broadcast 10.18.0.255 dev eth0" in calls
    assert routes(calls) == ["replace default via 10.18.0.1 dev eth0"]
    assert machine.text("run/resolv.conf") == "search novalocal\nnameserver 10.18.0.2\n"
    assert (
        "eth0: address 10.18.0.3/24, gateway 10.18.0.1, dns 10.18.0.2, lease 120s, server 10.18.0.2" in machine.output
    )


def test_classless_routes_make_the_router_option_void(machine: Machine) -> None:
    calls = machine.lease(staticroutes="169.254.169.254/32 10.18.0.100 192.0.2.0/24 0.0.0.0")
    assert routes(calls) == ["replace 169.254.169.254/32 via 10.18.0.100 dev eth0", "replace 192.0.2.0/24 dev eth0"]


def test_classless_routes_may_hold_the_default_route(machine: Machine) -> None:
    calls = machine.lease(staticroutes="0.0.0.0/0 10.18.0.254", router="10.18.0.1")
    assert routes(calls) == ["replace default via 10.18.0.254 dev eth0"]


def test_second_nic_routes_rank_below_the_first(machine: Machine) -> None:
    machine.lease()
    calls = machine.lease(interface="eth1", ip="10.22.22.9", router="10.22.22.1", dns="10.22.22.2", domain="")
    assert routes(calls) == ["replace default via 10.22.22.1 dev eth1 metric 201"]
    assert machine.text("run/resolv.conf").splitlines()[-2:] == ["nameserver 10.18.0.2", "nameserver 10.22.22.2"]


def test_mtu_option_is_set_and_only_when_it_differs(machine: Machine) -> None:
    assert "ip link set dev eth0 mtu 1376" in machine.lease(mtu="1376")
    assert not any("mtu" in call for call in machine.lease("renew", mtu="1500"))


def test_network_without_a_router_gets_no_default_route(machine: Machine) -> None:
    assert routes(machine.lease(router="")) == []


def test_renewal_of_the_same_lease_touches_nothing(machine: Machine) -> None:
    machine.lease()
    assert machine.lease("renew") == []
    assert machine.output == ""


def test_renewal_changes_only_what_is_different(machine: Machine) -> None:
    machine.lease(staticroutes="0.0.0.0/0 10.18.0.1 192.0.2.0/24 10.18.0.7 198.51.100.0/24 10.18.0.7")
    calls = machine.lease("renew", staticroutes="0.0.0.0/0 10.18.0.254 192.0.2.0/24 10.18.0.7")
    assert calls == [
        "ip route del 198.51.100.0/24 dev eth0",
        "ip route replace default via 10.18.0.254 dev eth0",  # replaced in one step, never absent
    ]


def test_lost_lease_takes_the_address_away(machine: Machine) -> None:
    machine.lease()
    assert "ip -4 addr flush dev eth0" in machine.run("dhcp-event", "deconfig", interface="eth0")
    assert not (machine.root / "run/nano/net/eth0/address").exists()


def test_silent_server_is_mentioned_once(machine: Machine) -> None:
    machine.run("dhcp-event", "leasefail", interface="eth0")
    assert "no answer to DHCP" in machine.output
    machine.run("dhcp-event", "leasefail", interface="eth0")
    assert machine.output == ""


# --- metadata ---


@pytest.fixture
def service(machine: Machine) -> Iterator[dict[str, str]]:
    """Answers by path; the machine's wget finds them."""
    machine.tool("wget", WGET)
    answers = {"/meta-data/instance-id": "i-00000001"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write((found or "").encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answers["base"] = f"http://127.0.0.1:{server.server_port}"
    yield answers
    server.shutdown()
    server.server_close()


def test_metadata_sets_host_name_and_keys_of_both_users(machine: Machine, service: dict[str, str]) -> None:
    service.update({
        "/meta-data/local-hostname": "vm1.novalocal",
        "/meta-data/public-keys/": "0=ops\n1=dev",  # the last line without its end, as OpenStack sends it
        "/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA ops",
        "/meta-data/public-keys/1/openssh-key": "ssh-rsa BBBB dev\n",
    })  # fmt: skip
    machine.run("metadata", "boot", NANO_METADATA=service["base"])
    assert machine.text("etc/hostname") == "vm1\n"
    assert "127.0.1.1\tvm1.novalocal vm1\n" in machine.text("etc/hosts")
    for home in ("root", "home/nano"):
        assert machine.text(f"{home}/.ssh/authorized_keys") == "ssh-ed25519 AAAA ops\nssh-rsa BBBB dev\n"
        assert (machine.root / home / ".ssh/authorized_keys").stat().st_mode & 0o777 == 0o600
    assert machine.text("run/nano/metadata") == "i-00000001\n"


def test_missing_keys_and_user_data_are_no_failure(machine: Machine, service: dict[str, str]) -> None:
    machine.run("metadata", "boot", NANO_METADATA=service["base"])
    assert f"GET {service['base']}/meta-data/public-keys/: wget: server returned error: HTTP/1.1 404" in machine.output
    assert machine.text("run/nano/metadata") == "i-00000001\n"
    assert machine.text("root/.ssh/authorized_keys") == ""
    assert not (machine.root / "var/lib/nano/user-data").exists()


def test_key_taken_out_of_metadata_goes_and_one_the_user_added_stays(machine: Machine, service: dict[str, str]) -> None:
    service.update({"/meta-data/public-keys/": "0=ops", "/meta-data/public-keys/0/openssh-key": "ssh-ed25519 OLD ops"})
    machine.run("metadata", "boot", NANO_METADATA=service["base"])
    with (machine.root / "root/.ssh/authorized_keys").open("a") as file:
        file.write("ssh-ed25519 OWN me\n")
    service["/meta-data/public-keys/0/openssh-key"] = "ssh-ed25519 NEW ops"
    machine.run("metadata", "boot", NANO_METADATA=service["base"])
    assert machine.text("root/.ssh/authorized_keys") == "ssh-ed25519 NEW ops\nssh-ed25519 OWN me\n"


def test_host_name_cannot_carry_anything_but_a_name(machine: Machine, service: dict[str, str]) -> None:
    service["/meta-data/local-hostname"] = "vm1;$(reboot)/../x.example"
    machine.run("metadata", "boot", NANO_METADATA=service["base"])
    assert re.fullmatch(r"[A-Za-z0-9-]+\n", machine.text("etc/hostname"))


def test_config_drive_gives_the_same_things(machine: Machine) -> None:
    machine.tool("findfs", "#!/bin/sh\necho /dev/vdb\n")
    machine.tool("mount", "#!/bin/sh\nexit 0\n")
    machine.tool("umount", "#!/bin/sh\nexit 0\n")
    drive = machine.root / "run/nano/drive/openstack/latest"
    drive.mkdir(parents=True)
    uuid = "83679162-1378-4288-a2d4-70e13ec132aa"
    facts = {
        "uuid": uuid, "hostname": "vm7.novalocal", "name": "vm7",
        "public_keys": {"ops": "ssh-ed25519 AAAA ops\n"},
        "keys": [{"name": "ops", "type": "ssh", "data": "ssh-ed25519 AAAA ops\n"}],
    }  # fmt: skip
    for text in (json.dumps(facts), json.dumps(facts, indent=2)):
        (drive / "meta_data.json").write_text(text)
        machine.run("metadata", "drive")
        assert machine.text("etc/hostname") == "vm7\n"
        assert machine.text("root/.ssh/authorized_keys") == "ssh-ed25519 AAAA ops\n"
        assert machine.text("run/nano/metadata") == uuid + "\n"


def test_user_data_runs_once_in_the_life_of_an_instance(machine: Machine, service: dict[str, str]) -> None:
    service["/user-data"] = "#!/bin/sh\necho it ran\n"
    ran = []
    for instance in ("i-1", "i-1", "i-2"):
        service["/meta-data/instance-id"] = instance
        machine.run("metadata", "boot", NANO_METADATA=service["base"])
        machine.run("userdata")
        ran.append("it ran\n" in machine.output)
    assert ran == [True, False, True]


@pytest.mark.parametrize(
    ("text", "said"), [("#cloud-config\n", "not supported"), ("hello\n", "does not begin with #!"), ("", "")]
)
def test_user_data_that_is_no_script_is_left_alone(machine: Machine, text: str, said: str) -> None:
    (machine.root / "var/lib/nano/user-data").write_text(text)
    machine.run("userdata")
    assert said in machine.output
    assert not (machine.root / "var/lib/nano/user-data-ran").exists()


# --- the kernel ---


def load(program: str) -> ModuleType:
    """A builder program, which has no .py ending, as a module."""
    loader = SourceFileLoader(program.replace("-", "_"), str(NANO / program))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def flat_kernel() -> ModuleType:
    return load("flat-kernel")


def bzimage(tmp_path: Path, entry: int = 0x1000000, elf_class: bytes = b"\x01") -> Path:
    """A kernel of two segments, 0x40 bytes of A at its start and 0x20 of B 0x100 further on, packed as Debian's are."""
    head = b"\x7fELF" + elf_class + bytes(0x13) + struct.pack("<IIIIHHHHHH", entry, 0x34, 0, 0, 0x34, 0x20, 2, 0, 0, 0)
    segments = [(1, 0x74, 0, 0x1000000, 0x40, 0x40, 5, 0), (1, 0xB4, 0, 0x1000100, 0x20, 0x80, 6, 0)]
    elf = head + b"".join(struct.pack("<8I", *segment) for segment in segments) + b"A" * 0x40 + b"B" * 0x20
    packed = lzma.compress(elf) + struct.pack("<I", len(elf))
    setup = bytearray(1024)
    setup[0x1F1] = 1
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", setup, 0x248, 16, len(packed))
    path = tmp_path / "bzImage"
    path.write_bytes(bytes(setup) + bytes(16) + packed)
    return path


def flatten(module: ModuleType, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(sys, "argv", ["flat-kernel", str(source), str(target)])
    module.main()
    return target.read_bytes()


def test_flat_kernel_holds_the_segments_where_memory_has_them(
    flat_kernel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = flatten(flat_kernel, bzimage(tmp_path), tmp_path / "flat", monkeypatch)
    code, memory = image[1024:], b"A" * 0x40 + bytes(0xC0) + b"B" * 0x20
    assert struct.unpack_from("<I", image, 0x1F4)[0] * 16 == len(code)
    # The mover: where it copies from (relative to the instruction after its call), to, and how much.
    (distance,) = struct.unpack_from("<I", code, code.index(b"\x8d\xb3") + 2)
    assert code[code.index(b"\x5b") + distance :] == memory
    assert struct.unpack_from("<I", code, code.index(b"\xbf") + 1) == (0x1000000,)
    assert struct.unpack_from("<I", code, code.index(b"\xb9") + 1)[0] * 4 == 0x120


@pytest.mark.parametrize(
    ("change", "complaint"), [({"entry": 0x1000010}, "entered at"), ({"elf_class": b"\x02"}, "not a 32-bit ELF")]
)
def test_kernel_that_cannot_be_entered_this_way_is_refused(
    flat_kernel: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, int | bytes],
    complaint: str,
) -> None:
    source = bzimage(tmp_path, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=complaint):
        flatten(flat_kernel, source, tmp_path / "flat", monkeypatch)
    assert not (tmp_path / "flat").exists()


def test_signatures_come_off_modules_and_nothing_else() -> None:
    strip = load("strip-signatures").strip
    signature = b"s" * 300
    signed = b"the module" + signature + bytes(8) + struct.pack(">I", len(signature)) + b"~Module signature appended~\n"
    assert strip(signed) == b"the module"
    assert strip(b"the module") == b"the module"


# --- what is in the image ---


def test_nothing_in_the_image_is_a_secret_or_shared_identity() -> None:
    files = [path.relative_to(NANO / "rootfs") for path in (NANO / "rootfs").rglob("*") if path.is_file()]
    assert not [path for path in files if re.search(r"dropbear|authorized_keys|seed|instance-id|machine-id", str(path))]
    for line in (NANO / "rootfs/etc/shadow").read_text().splitlines():
        assert line.split(":")[1] in ("", "*")


@pytest.mark.parametrize("script", sorted(SCRIPTS.iterdir()), ids=lambda path: path.name)
def test_guest_scripts_are_plain_sh(script: Path) -> None:
    assert subprocess.run(["dash", "-n", script], capture_output=True, text=True).stderr == ""
    assert os.access(script, os.X_OK) == (script.name != "common")


def test_serial_console_is_the_one_init_writes_to() -> None:
    (append,) = re.findall(r"^\s*APPEND (.*)$", (NANO / "syslinux.cfg").read_text(), re.MULTILINE)
    assert re.findall(r"console=(\w+)", append)[-1] == "ttyS0"


def test_build_without_a_target_says_how_it_is_used() -> None:
    result = subprocess.run([NANO / "build"], capture_output=True, text=True)
    assert result.returncode == 1
    assert "usage: images/nano/build [--amd64] OUT.qcow2 | --print-key" in result.stderr
