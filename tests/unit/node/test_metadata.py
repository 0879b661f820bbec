"""Metadata: the trees and their listings, the configuration of server and proxies, and which differences count."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from distributions import ACCOUNTS
from headworks.node.services.metadata import server as metadata_server
from headworks.node.services.metadata import trees as metadata_trees
from headworks.node.services.metadata.proxy import MetadataProxySubsystem, config_text
from headworks.node.services.metadata.served import SERVER, MetadataSubsystem
from headworks.node.services.metadata.trees import all_files, check_paths, digest
from headworks.state.codec import encode
from headworks.state.metadata import InstanceMetadata, MetadataProxy, ServedNetwork
from headworks.system import systemd
from headworks.system.systemd import UnitState

VM1 = InstanceMetadata(
    "net1",
    "10.18.0.3",
    "uuid1",
    {
        "2009-04-04/meta-data/hostname": "vm1",
        "2009-04-04/meta-data/placement/availability-zone": "nova",
        "2009-04-04/meta-data/public-keys/": "0=ops",
        "2009-04-04/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA",
        "2009-04-04/user-data": "the secret",
    },
    {"latest": "2009-04-04"},
)
VM2 = replace(VM1, address="10.18.0.4", files={"2009-04-04/meta-data/hostname": "vm2"})


class Node:
    """A node with real trees and a simulated systemd, without nginx."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.root = tmp_path / "metadata"
        self.state = "inactive"
        self.calls: list[str] = []
        monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path / "system")
        monkeypatch.setattr(systemd, "UNIT_DIR", tmp_path / "etc")
        monkeypatch.setattr(systemd, "UNREAD", tmp_path / "unread")
        monkeypatch.setattr(systemd, "run", self.run)
        monkeypatch.setattr(systemd, "read_states", lambda pattern: {metadata_server.UNIT: UnitState(self.state)})
        monkeypatch.setattr(metadata_trees, "_group_id", lambda group: os.getegid())
        monkeypatch.setattr(os, "chown", lambda *args: None)

    def run(self, args: Sequence[str], **more: object) -> str:
        self.calls.append(args[1])
        self.state = {"start": "active", "stop": "inactive"}.get(args[1], self.state)
        return ""

    def converge(self, *instances: InstanceMetadata, owner: str | None = "lab") -> list[str]:
        desired = MetadataSubsystem.load([encode(instance) for instance in instances])
        subsystem = MetadataSubsystem(owner, self.root, accounts=ACCOUNTS)
        changes = subsystem.diff(desired, subsystem.read(desired))
        self.calls.clear()
        removals = [change for change in changes if not change.after]
        for part in (removals, [change for change in changes if change.after]):
            if part and (failures := subsystem.apply(part).failures):
                raise ValueError("; ".join(failures.values()))
        assert subsystem.diff(desired, subsystem.read(desired)) == []
        return [change.label for change in changes]

    def text(self, path: str) -> str:
        return (self.root / "instances" / path).read_text()


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    return Node(monkeypatch, tmp_path)


def test_each_directory_has_a_listing_with_a_slash_after_directories() -> None:
    assert all_files(VM1.files, VM1.links) == {
        "2009-04-04/meta-data/hostname": "vm1",
        "2009-04-04/meta-data/placement/availability-zone": "nova",
        "2009-04-04/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA",
        "2009-04-04/user-data": "the secret",
        ".listing": "2009-04-04/\nlatest/",
        "2009-04-04/.listing": "meta-data/\nuser-data",
        "2009-04-04/meta-data/.listing": "hostname\nplacement/\npublic-keys/",
        "2009-04-04/meta-data/placement/.listing": "availability-zone",
        "2009-04-04/meta-data/public-keys/.listing": "0=ops",
        "2009-04-04/meta-data/public-keys/0/.listing": "openssh-key",
    }


def test_the_listing_of_the_top_directory_can_be_set() -> None:
    assert all_files({"/": "1.0\nlatest", "latest/x": ""}, {})[".listing"] == "1.0\nlatest"


@pytest.mark.parametrize(
    "files",
    [
        {"../evil": ""},
        {"a/../../evil": ""},
        {"/etc/passwd": ""},
        {"a//b": ""},
        {"": ""},
        {"a/.listing": ""},
        {".cloud": ""},
        {"a": "", "a/b": ""},
        {"a": "", "a/": "listing"},
        {"latest/x": ""},  # below a link
    ],
)
def test_a_path_that_leads_out_of_the_tree_is_refused_before_a_file_is_written(
    node: Node, files: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="path"):
        node.converge(replace(VM1, files=files), VM2)
    assert [path.name for path in (node.root / "instances").glob("*/*") if path.name != ".cloud"] == [VM2.address]
    assert len(list((node.root / "trees").iterdir())) == 1


@pytest.mark.parametrize(("network", "address"), [("..", "10.0.0.1"), ("net1", ".."), ("a/b", "10.0.0.1"), ("n", "")])
def test_a_network_id_or_an_address_that_is_not_valid_is_refused(network: str, address: str) -> None:
    with pytest.raises(ValueError, match="network id and an address"):
        check_paths(replace(VM1, network_id=network, address=address))


def test_the_digest_depends_on_each_path_byte_and_link_but_not_on_their_order() -> None:
    others = [
        replace(VM1, files={**VM1.files, "2009-04-04/user-data": "the Secret"}),
        replace(VM1, files={**VM1.files, "x": ""}),
        replace(VM1, links={}),
        replace(VM1, links={"latest": "2009"}),
    ]
    assert len({digest(instance) for instance in [VM1, *others]}) == 5
    assert digest(replace(VM1, files=dict(reversed(VM1.files.items())))) == digest(VM1)
    assert digest(replace(VM1, address="10.18.0.9")) == digest(VM1)  # all addresses of an instance share a tree


def test_a_tree_is_written_below_network_and_address_with_its_links(node: Node) -> None:
    assert node.converge(VM1) == ["+ metadata net1/10.18.0.3", "+ metadata server"]
    assert node.text("net1/10.18.0.3/2009-04-04/user-data") == "the secret"
    assert node.text("net1/10.18.0.3/latest/meta-data/hostname") == "vm1"
    assert node.calls == ["start"]
    assert node.converge(VM1) == []


def test_other_users_of_the_node_cannot_read_a_tree(node: Node) -> None:
    node.converge(VM1)
    paths = [node.root / "trees", node.root / "instances", *(node.root / "trees").rglob("*")]
    modes = {path.stat().st_mode & 0o777 for path in paths if not path.is_symlink()}
    assert modes == {0o750, 0o640}


def test_a_changed_tree_is_replaced_without_a_change_of_the_server_or_other_trees(node: Node) -> None:
    node.converge(VM1, VM2)
    kept = (node.root / "instances/net1/10.18.0.4").lstat().st_ino
    assert node.converge(replace(VM1, files={"a": "b"}, links={}), VM2) == ["~ metadata net1/10.18.0.3"]
    assert node.calls == []
    assert node.text("net1/10.18.0.3/a") == "b"
    assert (node.root / "instances/net1/10.18.0.4").lstat().st_ino == kept
    assert len(list((node.root / "trees").iterdir())) == 2


def test_two_addresses_of_an_instance_share_a_tree_until_both_are_removed(node: Node) -> None:
    other = replace(VM1, network_id="net2", address="10.22.0.3")
    node.converge(VM1, other)
    assert len(list((node.root / "trees").iterdir())) == 1
    node.converge(other)
    assert node.text("net2/10.22.0.3/latest/user-data") == "the secret"
    assert not (node.root / "instances/net1").exists()


def test_the_server_and_all_files_are_removed_with_the_last_tree(node: Node) -> None:
    node.converge(VM1)
    assert node.converge() == ["- metadata net1/10.18.0.3", "- metadata server"]
    assert not node.root.exists()
    assert not list(systemd.RUNTIME_DIR.iterdir())
    assert node.converge() == []


def test_trees_of_another_cloud_and_the_server_stay(node: Node) -> None:
    node.converge(VM1, owner="other")
    node.converge(replace(VM2, network_id="net2"))
    assert node.converge() == ["- metadata net2/10.18.0.4"]
    assert node.text("net1/10.18.0.3/latest/user-data") == "the secret"
    assert node.state == "active"


def test_a_cloud_marks_a_desired_tree_that_a_module_made(node: Node) -> None:
    node.converge(VM1, owner=None)
    assert node.converge() == []
    assert node.converge(VM1) == ["~ metadata net1/10.18.0.3"]
    assert node.converge(VM1) == []
    assert node.converge() == ["- metadata net1/10.18.0.3", "- metadata server"]


def test_the_remains_of_a_killed_run_are_a_difference_and_are_deleted(node: Node) -> None:
    node.converge(VM1)
    (node.root / metadata_server.PENDING).touch()
    (node.root / "trees/.incomplete").mkdir()
    (node.root / "trees/unused").mkdir()
    assert node.converge(VM1) == ["~ metadata server"]
    assert [tree.name for tree in (node.root / "trees").iterdir()] == [digest(VM1)]
    assert not (node.root / metadata_server.PENDING).exists()


def test_the_next_run_completes_a_removal_that_was_killed(node: Node) -> None:
    node.converge(VM1)
    (node.root / metadata_server.PENDING).touch()
    (node.root / "instances/net1/10.18.0.3").unlink()
    assert node.converge() == ["- metadata server"]
    assert not node.root.exists()


def test_a_link_whose_tree_does_not_exist_is_a_difference(node: Node) -> None:
    node.converge(VM1)
    link = node.root / "instances/net1/10.18.0.3"
    link.unlink()
    link.symlink_to("../../trees/missing")
    assert node.converge(VM1) == ["~ metadata net1/10.18.0.3"]


def test_a_failed_server_is_started_and_a_server_with_another_configuration_is_reloaded(node: Node) -> None:
    node.converge(VM1)
    node.state = "failed"
    assert node.converge(VM1) == ["~ metadata server"]
    assert node.calls == ["start"]
    (node.root / metadata_server.LOADED).write_text("older")
    assert node.converge(VM1) == ["~ metadata server"]
    assert node.calls == ["reload"]


def test_the_reading_of_a_bare_node_is_empty_and_asks_no_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path)
    monkeypatch.setattr(systemd, "read_states", lambda pattern: pytest.fail("systemd was asked"))
    desired = MetadataSubsystem.load([encode(VM1)])
    assert set(desired) == {VM1.name, SERVER.name}
    assert MetadataSubsystem("lab", tmp_path / "none", accounts=ACCOUNTS).read(desired).objects == {}


def test_a_diff_shows_which_file_changed_but_not_its_content(node: Node) -> None:
    node.converge(VM1)
    subsystem = MetadataSubsystem("lab", node.root, accounts=ACCOUNTS)
    changed = replace(VM1, files={**VM1.files, "2009-04-04/user-data": "hunter2"})
    change = subsystem.diff({changed.name: changed}, subsystem.read({changed.name: changed}))[0]
    before, after = subsystem.describe(change.before)["files"], subsystem.describe(change.after)["files"]
    assert set(before) == set(after)
    assert [path for path in after if before[path] != after[path]] == ["2009-04-04/user-data"]
    assert "hunter2" not in json.dumps([before, after])
    assert "the secret" not in json.dumps([before, after])


def test_the_server_accepts_only_a_network_and_an_address_in_its_header() -> None:
    pattern = re.search(r'"~(\^.*\$)" \$http', metadata_server.config_text(Path("/x"), ACCOUNTS))
    assert pattern is not None
    usable = re.compile(pattern[1])
    assert usable.match("2d1b6f1e-0f0e-5f3e-9c1c-0123456789ab/10.18.0.3")
    assert usable.match("net1/fe80::1")
    for header in (
        "",
        "/",
        "net1",
        "net1/",
        "net1/..",
        "../net1",
        "net1/10.0.0.1/..",
        "a/b/c",
        ".cloud/1",
        "net1/.cloud",
    ):
        assert not usable.match(header), header


PROXY = MetadataProxy("qrouter-1", (ServedNetwork("net1", "10.18.0.0/24"), ServedNetwork("net2", "10.22.22.0/24")))


def test_the_proxy_selects_the_tree_by_the_source_address_alone() -> None:
    rules = [line.strip() for line in config_text(PROXY, "haproxy", "haproxy").splitlines() if "http-request" in line]
    removed = rules.index("http-request del-header X-Headworks- -m beg")
    first = rules.index("http-request set-header X-Headworks-Instance net1/%[src] if { src 10.18.0.0/24 }")
    second = rules.index("http-request set-header X-Headworks-Instance net2/%[src] if { src 10.22.22.0/24 }")
    refused = rules.index("http-request deny deny_status 404 unless { req.hdr(X-Headworks-Instance) -m found }")
    assert removed < first < second < refused


@pytest.mark.parametrize(
    ("network", "cidr"), [("a b", "10.0.0.0/8"), ("a\n", "10.0.0.0/8"), ("a", "10.0.0.1/8"), ("a", "x")]
)
def test_a_proxy_with_a_bad_network_is_refused(network: str, cidr: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        config_text(MetadataProxy("qrouter-1", (ServedNetwork(network, cidr),)), "haproxy", "haproxy")


def test_the_proxy_called_host_runs_in_the_root_namespace(tmp_path: Path) -> None:
    subsystem = MetadataProxySubsystem("lab", tmp_path, user="haproxy", group="haproxy")
    assert subsystem.netns(PROXY) == "qrouter-1"
    assert subsystem.netns(replace(PROXY, name="host")) == ""
