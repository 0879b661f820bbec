"""Metadata: trees on disk and their listings, the store's and the proxies' configuration, what is a difference."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from distributions import ACCOUNTS
from headworks.node.services.metadata import server as metadata_store
from headworks.node.services.metadata import trees as metadata_trees
from headworks.node.services.metadata.proxy import MetadataProxySubsystem, config_text
from headworks.node.services.metadata.served import STORE, MetadataSubsystem, Served
from headworks.node.services.metadata.trees import check, digest, layout
from headworks.state.codec import encode
from headworks.state.metadata import InstanceMetadata, MetadataProxy, ServedNetwork
from headworks.system import systemd
from headworks.system.systemd import UnitState

ONE = InstanceMetadata(
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
TWO = replace(ONE, address="10.18.0.4", files={"2009-04-04/meta-data/hostname": "vm2"})


class Node:
    """A node without nginx or systemd: the trees are real."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.root = tmp_path / "metadata"
        self.state = "inactive"
        self.calls: list[str] = []
        monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path / "system")
        monkeypatch.setattr(systemd, "UNIT_DIR", tmp_path / "etc")
        monkeypatch.setattr(systemd, "UNREAD", tmp_path / "unread")
        monkeypatch.setattr(systemd, "run", self.run)
        monkeypatch.setattr(systemd, "read_states", lambda pattern: {metadata_store.UNIT: UnitState(self.state)})
        monkeypatch.setattr(metadata_trees, "_group_id", lambda group: os.getegid())
        monkeypatch.setattr(os, "chown", lambda *args: None)

    def run(self, args: Sequence[str], **more: object) -> str:
        self.calls.append(args[1])
        self.state = {"start": "active", "stop": "inactive"}.get(args[1], self.state)
        return ""

    def go(self, *wanted: InstanceMetadata, owner: str | None = "lab") -> list[str]:
        desired = MetadataSubsystem.load([encode(one) for one in wanted])
        return self.go_for(desired, owner)

    def go_for(self, desired: dict[str, Served], owner: str | None) -> list[str]:
        subsystem = MetadataSubsystem(owner, self.root, accounts=ACCOUNTS)
        changes = subsystem.diff(desired, subsystem.read(desired))
        self.calls.clear()
        for part in ([one for one in changes if not one.after], [one for one in changes if one.after]):
            if part:
                subsystem.apply(part)
        assert subsystem.diff(desired, subsystem.read(desired)) == []
        return [change.label for change in changes]

    def text(self, path: str) -> str:
        return (self.root / "instances" / path).read_text()


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    return Node(monkeypatch, tmp_path)


def test_every_directory_has_a_listing_with_slashes_behind_directories() -> None:
    assert layout(ONE.files, ONE.links) == {
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


def test_the_listing_of_the_top_can_be_given_too() -> None:
    assert layout({"/": "1.0\nlatest", "latest/x": ""}, {})[".listing"] == "1.0\nlatest"


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
def test_a_path_that_leads_elsewhere_is_refused_before_anything_is_written(node: Node, files: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="path"):
        node.go(replace(ONE, files=files))
    assert not node.root.exists()


@pytest.mark.parametrize(("network", "address"), [("..", "10.0.0.1"), ("net1", ".."), ("a/b", "10.0.0.1"), ("n", "")])
def test_a_name_that_is_no_network_and_address_is_refused(network: str, address: str) -> None:
    with pytest.raises(ValueError, match="network id and an address"):
        check(replace(ONE, network_id=network, address=address))


def test_the_digest_depends_on_every_path_byte_and_link_but_not_on_their_order() -> None:
    others = [
        replace(ONE, files={**ONE.files, "2009-04-04/user-data": "the Secret"}),
        replace(ONE, files={**ONE.files, "x": ""}),
        replace(ONE, links={}),
        replace(ONE, links={"latest": "2009"}),
    ]
    assert len({digest(one) for one in [ONE, *others]}) == 5
    assert digest(replace(ONE, files=dict(reversed(ONE.files.items())))) == digest(ONE)
    assert digest(replace(ONE, address="10.18.0.9")) == digest(ONE)  # one tree for all addresses of an instance


def test_a_tree_is_served_under_network_and_address_and_through_its_links(node: Node) -> None:
    assert node.go(ONE) == ["+ metadata net1/10.18.0.3", "+ metadata store"]
    assert node.text("net1/10.18.0.3/2009-04-04/user-data") == "the secret"
    assert node.text("net1/10.18.0.3/latest/meta-data/hostname") == "vm1"
    assert node.calls == ["start"]
    assert node.go(ONE) == []


def test_nobody_else_on_the_node_can_read_a_tree(node: Node) -> None:
    node.go(ONE)
    paths = [node.root / "trees", node.root / "instances", *(node.root / "trees").rglob("*")]
    modes = {path.stat().st_mode & 0o777 for path in paths if not path.is_symlink()}
    assert modes == {0o750, 0o640}


def test_a_changed_tree_is_swapped_without_touching_the_server_or_other_trees(node: Node) -> None:
    node.go(ONE, TWO)
    kept = (node.root / "instances/net1/10.18.0.4").lstat().st_ino
    assert node.go(replace(ONE, files={"a": "b"}, links={}), TWO) == ["~ metadata net1/10.18.0.3"]
    assert node.calls == []
    assert node.text("net1/10.18.0.3/a") == "b"
    assert (node.root / "instances/net1/10.18.0.4").lstat().st_ino == kept
    assert len(list((node.root / "trees").iterdir())) == 2


def test_two_addresses_of_an_instance_share_a_tree_until_both_are_gone(node: Node) -> None:
    other = replace(ONE, network_id="net2", address="10.22.0.3")
    node.go(ONE, other)
    assert len(list((node.root / "trees").iterdir())) == 1
    node.go(other)
    assert node.text("net2/10.22.0.3/latest/user-data") == "the secret"
    assert not (node.root / "instances/net1").exists()


def test_with_the_last_tree_everything_goes(node: Node) -> None:
    node.go(ONE)
    assert node.go() == ["- metadata net1/10.18.0.3", "- metadata store"]
    assert not node.root.exists()
    assert not list(systemd.RUNTIME_DIR.iterdir())
    assert node.go() == []


def test_other_clouds_trees_and_so_the_server_stay(node: Node) -> None:
    node.go(ONE, owner="other")
    node.go(replace(TWO, network_id="net2"))
    assert node.go() == ["- metadata net2/10.18.0.4"]
    assert node.text("net1/10.18.0.3/latest/user-data") == "the secret"
    assert node.state == "active"


def test_a_tree_that_a_module_made_alone_is_taken_over_when_the_cloud_wants_it(node: Node) -> None:
    node.go(ONE, owner=None)
    assert node.go() == []
    assert node.go(ONE) == ["~ metadata net1/10.18.0.3"]
    assert node.go(ONE) == []
    assert node.go() == ["- metadata net1/10.18.0.3", "- metadata store"]


def test_what_a_killed_run_left_is_a_difference_and_is_cleaned(node: Node) -> None:
    node.go(ONE)
    (node.root / metadata_store.PENDING).touch()
    (node.root / "trees/.half").mkdir()
    (node.root / "trees/unused").mkdir()
    assert node.go(ONE) == ["~ metadata store"]
    assert [one.name for one in (node.root / "trees").iterdir()] == [digest(ONE)]
    assert not (node.root / metadata_store.PENDING).exists()


def test_a_removal_that_was_cut_off_is_finished(node: Node) -> None:
    node.go(ONE)
    (node.root / metadata_store.PENDING).touch()
    (node.root / "instances/net1/10.18.0.3").unlink()
    assert node.go() == ["- metadata store"]
    assert not node.root.exists()


def test_a_link_to_nothing_is_a_difference(node: Node) -> None:
    node.go(ONE)
    link = node.root / "instances/net1/10.18.0.3"
    link.unlink()
    link.symlink_to("../../trees/gone")
    assert node.go(ONE) == ["~ metadata net1/10.18.0.3"]


def test_a_server_that_is_down_is_started_and_one_with_an_old_configuration_reloads(node: Node) -> None:
    node.go(ONE)
    node.state = "failed"
    assert node.go(ONE) == ["~ metadata store"]
    assert node.calls == ["start"]
    (node.root / metadata_store.LOADED).write_text("older")
    assert node.go(ONE) == ["~ metadata store"]
    assert node.calls == ["reload"]


def test_a_bare_node_reads_as_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path)
    monkeypatch.setattr(systemd, "read_states", lambda pattern: pytest.fail("nothing to ask systemd for"))
    desired = MetadataSubsystem.load([encode(ONE)])
    assert set(desired) == {ONE.name, STORE.name}
    assert MetadataSubsystem("lab", tmp_path / "none", accounts=ACCOUNTS).read(desired).objects == {}


def test_a_diff_shows_which_file_changed_but_never_what_is_in_it(node: Node) -> None:
    node.go(ONE)
    subsystem = MetadataSubsystem("lab", node.root, accounts=ACCOUNTS)
    changed = replace(ONE, files={**ONE.files, "2009-04-04/user-data": "hunter2"})
    change = subsystem.diff({changed.name: changed}, subsystem.read({changed.name: changed}))[0]
    before, after = subsystem.describe(change.before)["files"], subsystem.describe(change.after)["files"]
    assert set(before) == set(after)
    assert [path for path in after if before[path] != after[path]] == ["2009-04-04/user-data"]
    assert "hunter2" not in json.dumps([before, after])
    assert "the secret" not in json.dumps([before, after])


def test_the_stores_header_is_a_network_and_an_address_or_nothing() -> None:
    pattern = re.search(r'"~(\^.*\$)" \$http', metadata_store.config_text(Path("/x"), ACCOUNTS))
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


def test_the_proxy_names_the_tree_by_source_address_alone() -> None:
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
