"""A node whose libvirt does not run is not taken for a node without guests."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from headworks.node.compute import libvirt_socket
from headworks.node.compute.libvirt_socket import LibvirtError, has_libvirt


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of libvirt's socket, on a node that has libvirt installed."""
    monkeypatch.setattr(libvirt_socket, "SOCKET", tmp_path / "socket")
    monkeypatch.setattr(libvirt_socket, "has_tool", lambda name: name == "libvirtd")
    monkeypatch.setitem(sys.modules, "libvirt", ModuleType("libvirt"))
    monkeypatch.setattr(libvirt_socket, "GUESTS", (tmp_path / "none", tmp_path))
    (tmp_path / "instance-00000001.xml").touch()
    return tmp_path / "socket"


def test_libvirt_that_runs_can_be_asked(socket: Path) -> None:
    socket.touch()
    assert has_libvirt(needed=True)
    assert has_libvirt(needed=False)


def test_libvirt_that_is_installed_but_does_not_run_is_an_error_where_it_is_needed(socket: Path) -> None:
    with pytest.raises(LibvirtError, match=r"is libvirtd running\?"):
        has_libvirt(needed=True)
    assert not has_libvirt(needed=False)


def test_libvirt_that_does_not_run_and_has_no_guest_has_nothing_to_tell(socket: Path) -> None:
    (socket.parent / "instance-00000001.xml").unlink()
    assert not has_libvirt(needed=True)


@pytest.mark.parametrize("missing", ["daemon", "module"])
def test_a_bare_node_has_no_libvirt(socket: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "daemon":
        monkeypatch.setattr(libvirt_socket, "has_tool", lambda name: False)
    else:
        monkeypatch.setitem(sys.modules, "libvirt", None)
    assert not has_libvirt(needed=True)
