"""NftSubsystem with real tables, traffic and connection tracking."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.l3.namespaces import L3Subsystem
from headworks.node.links.namespaces import NetnsSubsystem
from headworks.node.marks import MARKER_DIR
from headworks.node.nft.language import transaction
from headworks.node.nft.tables import NftSubsystem
from headworks.state.l3 import Device, NamespaceConfig
from headworks.state.namespaces import Namespace
from headworks.state.nft import NftChain, NftMap, NftTable
from headworks.system import nftables
from shell import sh
from wires import host, join, namespace, pings, steady_ping

TYPE = "ipv4_addr : ipv4_addr"
EARLIER = "type nat hook prerouting priority -110; policy accept;"


@pytest.fixture
def netns(unique: str) -> Iterator[str]:
    """A namespace of our cloud (named ``unique``)."""
    wanted = {f"{unique}-r": Namespace(f"{unique}-r")}
    converge([(NetnsSubsystem(unique), wanted)])
    yield f"{unique}-r"
    converge([(NetnsSubsystem(unique), {})])


def table(netns: str, floating: Mapping[str, str]) -> NftTable:
    return NftTable(
        netns,
        "ip",
        (
            NftMap("floating_dnat", TYPE, dict(floating)),
            NftMap("floating_snat", TYPE, {fixed: external for external, fixed in floating.items()}),
        ),
        (
            NftChain(
                "prerouting",
                "type nat hook prerouting priority dstnat; policy accept;",
                ("dnat to ip daddr map @floating_dnat",),
            ),
            NftChain(
                "postrouting",
                "type nat hook postrouting priority srcnat; policy accept;",
                ('oifname "qg-1" snat to ip saddr map @floating_snat', 'oifname "qg-1" masquerade fully-random'),
            ),
        ),
        ("floating_dnat",),
    )


def run(owner: str | None, *tables: NftTable, check: bool = False) -> Result:
    return converge([(NftSubsystem(owner), {NftSubsystem.key(table): table for table in tables})], check=check)


def listing(netns: str) -> str:
    return sh("nft", "-s", "list", "ruleset", netns=netns)


def handles(netns: str) -> str:
    return sh("nft", "-s", "-a", "list", "ruleset", netns=netns)


def test_a_table_is_loaded_and_a_second_run_changes_nothing(unique: str, netns: str) -> None:
    wanted = table(netns, {"172.16.0.5": "10.0.0.5"})
    assert [change["verb"] for change in run(unique, wanted).changes] == ["add"]
    assert "172.16.0.5 : 10.0.0.5" in listing(netns)
    assert not run(unique, wanted).changed


def test_without_the_library_the_nft_command_loads_the_same_table(
    unique: str, netns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = table(netns, {"172.16.0.5": "10.0.0.5"})
    run(unique, wanted)
    monkeypatch.setattr(nftables, "_library", lambda: None)
    assert not run(unique, wanted).changed
    changed = table(netns, {"172.16.0.6": "10.0.0.6"})
    run(unique, changed)
    monkeypatch.undo()
    assert not run(unique, changed).changed


@pytest.mark.parametrize("library", [True, False])
def test_a_refusal_of_nft_is_reported_and_changes_nothing(
    unique: str, netns: str, library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(unique, table(netns, {}))
    good = listing(netns)
    if not library:
        monkeypatch.setattr(nftables, "_library", lambda: None)
    with pytest.raises(ConvergeError, match=r"nft: applying: .*[Cc]ould not resolve|nft: applying: .*Error"):
        run(unique, table(netns, {"172.16.0.5": "10.0.0.300"}))
    assert listing(netns) == good


def test_a_namespace_whose_table_is_refused_gets_no_address_and_stops_no_other(unique: str) -> None:
    names = [f"{unique}-{letter}" for letter in "abc"]
    filters, configs = NftSubsystem(unique), L3Subsystem(unique)
    wanted: list[tuple[Any, dict[str, Any]]] = [
        (NetnsSubsystem(unique), {name: Namespace(name) for name in names}),
        (filters, {name: table(name, {"172.16.0.5": "10.0.0.5"}) for name in names}),
        (configs, {name: NamespaceConfig(name, (Device("lo", addresses=("10.9.9.9/32",)),)) for name in names}),
    ]
    good = wanted[1][1][names[1]]
    wanted[1][1][names[1]] = table(names[1], {"172.16.0.5": "10.0.0.300"})
    try:
        with pytest.raises(ConvergeError) as caught:
            converge(wanted)
        assert [(failure.kind, failure.name) for failure in caught.value.result.failures] == [
            ("nft", names[1]),
            ("l3", names[1]),
        ]
        assert f"{names[1]}: left as it is, because nft {names[1]} failed" in str(caught.value)
        assert ["10.9.9.9" in sh("ip", "address", netns=name) for name in names] == [True, False, True]
        assert ["172.16.0.5" in listing(name) for name in names] == [True, False, True]
        wanted[1][1][names[1]] = good
        assert [change["name"] for change in converge(wanted).changes] == [names[1]] * 2
    finally:
        converge([(NetnsSubsystem(unique), {})])


def test_check_mode_reports_but_loads_nothing(unique: str, netns: str) -> None:
    assert run(unique, table(netns, {}), check=True).changed
    assert listing(netns) == ""


def test_elements_change_without_touching_the_rules(unique: str, netns: str) -> None:
    run(unique, table(netns, {"172.16.0.5": "10.0.0.5", "172.16.0.6": "10.0.0.6"}))
    before = handles(netns)
    run(unique, table(netns, {"172.16.0.5": "10.0.0.7", "172.16.0.8": "10.0.0.8"}))
    after = handles(netns)
    assert "172.16.0.5 : 10.0.0.7" in after
    assert "172.16.0.6" not in after
    assert rules(after) == rules(before)


def rules(listed: str) -> list[str]:
    return [line for line in listed.splitlines() if "# handle" in line]


def test_a_changed_rule_does_not_touch_the_other_chains(unique: str, netns: str) -> None:
    wanted = table(netns, {"172.16.0.5": "10.0.0.5"})
    run(unique, wanted)
    before = handles(netns)
    post = replace(wanted.chains[1], rules=wanted.chains[1].rules[:1])
    changed = replace(wanted, chains=(wanted.chains[0], post))
    run(unique, changed)
    after = handles(netns)
    assert "masquerade" not in after
    assert [rule for rule in rules(after) if "dnat to" in rule] == [rule for rule in rules(before) if "dnat to" in rule]
    assert not run(unique, changed).changed


def test_a_new_chain_to_which_other_chains_jump_is_added(unique: str, netns: str) -> None:
    wanted = table(netns, {})
    run(unique, wanted)
    fore = NftChain("forward", "type filter hook forward priority filter; policy drop;", ("jump guard",))
    more = replace(wanted, chains=(fore, *wanted.chains, NftChain("guard", "", ("accept",))))
    run(unique, more)
    assert not run(unique, more).changed


@pytest.mark.parametrize("what", ["chain removed", "map removed", "hook", "type"])
def test_a_table_with_a_changed_structure_is_replaced(unique: str, netns: str, what: str) -> None:
    wanted = table(netns, {"172.16.0.5": "10.0.0.5"})
    before = {
        "chain removed": replace(wanted, chains=(*wanted.chains, NftChain("more", "", ("accept",)))),
        "map removed": replace(wanted, maps=(*wanted.maps, NftMap("more", "ifname"))),
        "hook": replace(wanted, chains=(replace(wanted.chains[0], hook=EARLIER),)),
        "type": replace(wanted, maps=(*wanted.maps[:1], NftMap("floating_snat", "ipv4_addr : mark")), chains=()),
    }[what]
    run(unique, before)
    run(unique, wanted)
    assert not run(unique, wanted).changed


@pytest.mark.parametrize(
    "drift",
    [
        "add rule ip headworks prerouting drop",
        "flush chain ip headworks postrouting",
        "add element ip headworks floating_dnat { 172.16.9.9 : 10.9.9.9 }",
        "delete element ip headworks floating_snat { 10.0.0.5 }",
        "add chain ip headworks intruder",
        "delete table ip headworks",
    ],
)
def test_drift_is_found_and_corrected(unique: str, netns: str, drift: str) -> None:
    wanted = table(netns, {"172.16.0.5": "10.0.0.5"})
    run(unique, wanted)
    good = listing(netns)
    sh("nft", drift, netns=netns)
    run(unique, wanted)
    assert listing(netns) == good


def rule(netns: str, chain: str, words: str) -> tuple[str, str]:
    """Return the text (with the comment) and the handle of the rule that contains ``words``."""
    listed = sh("nft", "-s", "-a", "list", "chain", "ip", "headworks", chain, netns=netns).splitlines()
    (line,) = [line.strip() for line in listed if words in line and "# handle" in line]
    text, _, handle = line.partition(" # handle ")
    return text, handle


@pytest.mark.parametrize(
    "drift",
    [
        "insert {chain} accept",
        "add {chain} accept",
        'insert {chain} accept comment "mine"',
        'insert {chain} accept comment "headworks 0123456789ab"',
        "add {chain} {first}",
        "delete {chain} handle {handle}",
        "delete {chain} handle {handle}; add {chain} {first}",
        "replace {chain} handle {handle} {bare}",
        'replace {chain} handle {handle} {bare} comment "headworks 0123456789ab"',
    ],
    ids=["added first", "added last", "added with a comment", "added with a digest", "doubled", "removed", "moved",
         "without its digest", "with another digest"],
)  # fmt: skip
def test_a_rule_that_differs_from_the_written_rule_is_found_and_corrected(unique: str, netns: str, drift: str) -> None:
    wanted = table(netns, {"172.16.0.5": "10.0.0.5"})
    run(unique, wanted)
    good = listing(netns)
    first, handle = rule(netns, "postrouting", "floating_snat")
    bare = first.partition(" comment ")[0]
    chain = "ip headworks postrouting"
    commands = [command.split() for command in drift.split("; ")]
    for verb, *rest in commands:
        text = f"{verb} rule {' '.join(rest)}".format(chain=chain, first=first, bare=bare, handle=handle)
        sh("nft", "-f", "-", stdin=text, netns=netns)
    assert listing(netns) != good
    assert [change["verb"] for change in run(unique, wanted, check=True).changes] == ["change"]
    run(unique, wanted)
    assert listing(netns) == good
    assert not run(unique, wanted).changed


def test_a_rule_changed_by_hand_with_its_comment_kept_is_not_noticed(unique: str, netns: str) -> None:
    wanted = table(netns, {})
    run(unique, wanted)
    text, handle = rule(netns, "postrouting", "masquerade")
    changed = text.replace("masquerade fully-random", "masquerade random")
    sh("nft", "-f", "-", stdin=f"replace rule ip headworks postrouting handle {handle} {changed}", netns=netns)
    assert "masquerade random" in listing(netns)
    assert not run(unique, wanted).changed


def test_rules_may_be_spelled_in_any_way_that_nft_understands(unique: str, netns: str) -> None:
    rules = ("ip protocol tcp  tcp dport {443,80} ct state established,new counter accept", "meta mark 0x2 drop")
    wanted = NftTable(netns, "ip", chains=(NftChain("x", "type filter hook input priority 0;", rules),))
    run(unique, wanted)
    listed = sh("nft", "list", "chain", "ip", "headworks", "x", netns=netns)
    assert not any(rule in listed for rule in rules)
    assert not run(unique, wanted).changed


def test_foreign_tables_stay(unique: str, netns: str) -> None:
    sh("nft", "add table ip mine; add chain ip mine c; add rule ip mine c counter accept", netns=netns)
    foreign = sh("nft", "list", "table", "ip", "mine", netns=netns)
    run(unique, table(netns, {"172.16.0.5": "10.0.0.5"}))
    run(unique, table(netns, {}))
    assert [change["verb"] for change in run(unique).changes] == ["remove"]
    assert listing(netns).startswith("table ip mine")
    assert sh("nft", "list", "table", "ip", "mine", netns=netns) == foreign


def test_a_namespace_can_have_tables_of_several_families(unique: str, netns: str) -> None:
    tables = [table(netns, {}), NftTable(netns, "inet", chains=(NftChain("x", "", ("accept",)),))]
    run(unique, *tables)
    assert not run(unique, *tables).changed
    assert [change["name"] for change in run(unique, tables[0]).changes] == [f"{netns}/inet"]


def test_a_missing_namespace_has_no_table(unique: str) -> None:
    assert [change["verb"] for change in run(unique, table(f"{unique}-none", {}), check=True).changes] == ["add"]


@pytest.mark.usefixtures("private_root")
def test_a_table_of_the_root_namespace_with_our_name_is_ours(unique: str) -> None:
    run(unique, table("", {"172.16.0.5": "10.0.0.5"}))
    assert "floating_dnat" in sh("nft", "list", "ruleset")
    assert [change["verb"] for change in run(unique).changes] == ["remove"]
    assert sh("nft", "list", "ruleset") == ""


def test_a_module_used_alone_does_not_remove_tables_of_other_namespaces(unique: str, netns: str) -> None:
    run(unique, table(netns, {}))
    assert not run(None).changed
    assert (MARKER_DIR / netns).exists()


@pytest.fixture
def world(unique: str, netns: str) -> Iterator[tuple[str, str]]:
    """The namespaces of a guest (10.0.0.5 and 10.0.0.6) behind the router and of an outside host (172.16.0.1)."""
    guest, world = f"{unique}-g", f"{unique}-w"
    namespace(guest)
    namespace(world)
    join(netns, "qr-1", guest, "eth0")
    join(netns, "qg-1", world, "eth0")
    host(guest, "eth0", "10.0.0.5/24", "10.0.0.1")
    host(guest, "eth0", "10.0.0.6/24")
    host(world, "eth0", "172.16.0.1/24")
    host(netns, "qr-1", "10.0.0.1/24")
    host(netns, "qg-1", "172.16.0.2/24")
    for address in ("172.16.0.5/32", "172.16.0.6/32"):
        host(netns, "qg-1", address)
    sh("sysctl", "-qw", "net.ipv4.ip_forward=1", netns=netns)
    yield guest, world
    for name in (guest, world):
        sh("ip", "netns", "delete", name)


def tracked(netns: str) -> list[str]:
    return [line for line in sh("conntrack", "-L", netns=netns).splitlines() if "icmp" in line]


def test_a_removed_floating_ip_takes_its_connections_along_in_both_directions(
    unique: str, netns: str, world: tuple[str, str]
) -> None:
    guest, outside = world
    run(unique, table(netns, {"172.16.0.5": "10.0.0.5", "172.16.0.6": "10.0.0.6"}))
    assert pings(outside, "172.16.0.5")
    assert pings(outside, "172.16.0.6")
    assert pings(guest, "172.16.0.1", source="10.0.0.5")
    assert len([line for line in tracked(netns) if "172.16.0.5" in line]) == 2  # inwards and outwards
    run(unique, table(netns, {"172.16.0.6": "10.0.0.6"}))
    left = tracked(netns)
    assert [line for line in left if "172.16.0.5" in line] == []
    assert [line for line in left if "172.16.0.6" in line]


def test_a_repointed_floating_ip_reaches_the_new_guest_at_once(unique: str, netns: str, world: tuple[str, str]) -> None:
    _, outside = world
    run(unique, table(netns, {"172.16.0.5": "10.0.0.5"}))
    assert pings(outside, "172.16.0.5")
    run(unique, table(netns, {"172.16.0.5": "10.0.0.6"}))
    assert pings(outside, "172.16.0.5")
    assert [line for line in tracked(netns) if "src=10.0.0.5" in line] == []


def in_old_form(wanted: NftTable) -> str:
    """Return the transaction of an older version, whose rules have no digests."""
    return re.sub(r' comment "headworks \w+"', "", transaction(None, wanted))


def test_a_table_without_digests_gets_them_once_and_no_connection_is_cut(
    unique: str, netns: str, world: tuple[str, str]
) -> None:
    guest, outside = world
    wanted = table(netns, {"172.16.0.5": "10.0.0.5"})
    sh("nft", "-f", "-", stdin=in_old_form(wanted), netns=netns)
    assert "comment" not in listing(netns)
    assert pings(guest, "172.16.0.1", source="10.0.0.5")
    connections = connection_ids(netns)
    assert connections
    with steady_ping(outside, "172.16.0.5") as counts:
        assert [change["verb"] for change in run(unique, wanted).changes] == ["change"]
    assert counts[0] == counts[1] > 20
    assert connections <= connection_ids(netns)
    assert listing(netns).count('comment "headworks ') == 3
    assert not run(unique, wanted).changed
    assert pings(outside, "172.16.0.5")


def connection_ids(netns: str) -> set[str]:
    return {line.rpartition(" id=")[2] for line in sh("conntrack", "-L", "-o", "id", netns=netns).splitlines()}


def test_nothing_is_lost_while_others_are_added_and_removed(unique: str, netns: str, world: tuple[str, str]) -> None:
    _, outside = world
    mine = {"172.16.0.5": "10.0.0.5"}
    run(unique, table(netns, mine))
    with steady_ping(outside, "172.16.0.5") as counts:
        run(unique, table(netns, {**mine, **{f"172.16.1.{i}": f"10.0.1.{i}" for i in range(1, 200)}}))
        run(unique, table(netns, mine))
        wanted = table(netns, mine)
        run(unique, replace(wanted, chains=(*wanted.chains, NftChain("more", "", ("accept",)))))
        run(unique, wanted)
    sent, received = counts
    assert sent > 20
    assert received == sent
