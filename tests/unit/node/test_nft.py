"""nft's language: listings read, transactions written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headworks.node.nft.conntrack import _translates
from headworks.node.nft.language import parse_table, same_hook, transaction
from headworks.node.nft.tables import NftSubsystem, _gone
from headworks.state.nft import NftChain, NftMap, NftTable
from headworks.system import nfnetlink as nfnl
from headworks.system.netlink import NLA_F_NESTED, attribute

LISTING = """table ip headworks {
\tmap floating_dnat {
\t\ttype ipv4_addr : ipv4_addr
\t\telements = { 172.16.0.1 : 10.0.0.1, 172.16.0.2 : 10.0.0.2,
\t\t\t     172.16.0.3 : 10.0.0.3 }
\t}

\tmap ports {
\t\ttype ipv4_addr . inet_service : ipv4_addr . inet_service
\t\tflags interval
\t\telements = { 172.16.0.1 . 80 : 10.0.0.1 . 8080 }
\t}

\tset inside {
\t\ttype ifname
\t\telements = { "qr-1", "qr,2" }
\t}

\tmap empty {
\t\ttype ipv4_addr : verdict
\t}

\tchain prerouting {
\t\ttype nat hook prerouting priority -100; policy accept;
\t\tdnat to ip daddr map @floating_dnat
\t\tip daddr { 10.0.0.1, 10.0.0.2 } counter accept comment "a } b"
\t}

\tchain other {
\t}
}
"""


def test_a_listing_is_read() -> None:
    maps, chains = parse_table(LISTING)
    assert [(one.name, one.type, one.flags) for one in maps] == [
        ("floating_dnat", "ipv4_addr : ipv4_addr", ""),
        ("ports", "ipv4_addr . inet_service : ipv4_addr . inet_service", "interval"),
        ("inside", "ifname", ""),
        ("empty", "ipv4_addr : verdict", ""),
    ]
    assert maps[0].elements == {f"172.16.0.{i}": f"10.0.0.{i}" for i in (1, 2, 3)}
    assert maps[1].elements == {"172.16.0.1 . 80": "10.0.0.1 . 8080"}
    assert maps[2].elements == {'"qr-1"': "", '"qr,2"': ""}
    assert chains[0].hook == "type nat hook prerouting priority -100; policy accept;"
    assert chains[0].rules[1] == 'ip daddr { 10.0.0.1, 10.0.0.2 } counter accept comment "a } b"'
    assert (chains[1].hook, chains[1].rules) == ("", ())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("type nat hook prerouting priority dstnat; policy accept;", "type nat hook prerouting priority -100;"),
        ("type nat hook postrouting priority srcnat + 5;", "type nat hook postrouting priority 105; policy accept;"),
        ("type filter hook forward priority filter - 1;", "type filter hook forward priority -1; policy accept;"),
        ("type filter hook input priority 0; policy drop;", "type filter hook input priority filter; policy drop;"),
    ],
)
def test_hooks_that_mean_the_same(one: str, other: str) -> None:
    assert same_hook(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("type nat hook prerouting priority dstnat;", "type nat hook prerouting priority srcnat;"),
        ("type filter hook input priority 0; policy drop;", "type filter hook input priority 0; policy accept;"),
        ("type filter hook input priority 0;", ""),
    ],
)
def test_hooks_that_differ(one: str, other: str) -> None:
    assert not same_hook(one, other)


def table(floating: dict[str, str], *rules: str) -> NftTable:
    return NftTable(
        "qrouter-1",
        "ip",
        (NftMap("floating_dnat", "ipv4_addr : ipv4_addr", floating),),
        (NftChain("prerouting", "type nat hook prerouting priority dstnat; policy accept;", rules or ("accept",)),),
        ("floating_dnat",),
    )


def test_a_repointed_element_is_deleted_and_added_in_one_transaction_and_nothing_else() -> None:
    text = transaction(
        table({"1.1.1.1": "10.0.0.1", "1.1.1.2": "10.0.0.2"}), table({"1.1.1.1": "10.0.0.9", "1.1.1.2": "10.0.0.2"})
    )
    assert text.splitlines() == [
        "delete element ip headworks floating_dnat { 1.1.1.1 }",
        "add element ip headworks floating_dnat { 1.1.1.1 : 10.0.0.9 }",
    ]


def test_a_changed_rule_refills_only_its_chain() -> None:
    before, after = table({}, "accept"), table({}, "drop")
    extra = NftChain("more", "", ("accept",))
    text = transaction(replace(before, chains=(*before.chains, extra)), replace(after, chains=(*after.chains, extra)))
    assert text.splitlines() == ["flush chain ip headworks prerouting", "add rule ip headworks prerouting drop"]


def test_a_new_table_is_written_whole_and_a_changed_structure_swapped() -> None:
    whole = transaction(None, table({"1.1.1.1": "10.0.0.1"}))
    assert whole.startswith("table ip headworks {\n")
    more = table({})
    more = replace(more, chains=(*more.chains, NftChain("gone", "", ())))
    assert transaction(more, table({})).startswith("delete table ip headworks\ntable ip headworks {\n")
    assert transaction(more, None) == "delete table ip headworks\n"


def test_what_was_written_whole_reads_back_equal() -> None:
    wanted = table({"1.1.1.1": "10.0.0.1"}, "dnat to ip daddr map @floating_dnat")
    maps, chains = parse_table(transaction(None, wanted).replace("    ", "\t\t").replace("  ", "\t"))
    assert (maps[0].name, maps[0].elements) == ("floating_dnat", {"1.1.1.1": "10.0.0.1"})
    assert chains[0].rules == wanted.chains[0].rules


def test_elements_that_ended_or_changed_are_the_connections_to_forget() -> None:
    before = table({"1.1.1.1": "10.0.0.1", "1.1.1.2": "10.0.0.2", "1.1.1.3": "10.0.0.3"})
    after = table({"1.1.1.1": "10.0.0.1", "1.1.1.2": "10.0.0.9"})
    assert _gone(before, after) == [("1.1.1.2", "10.0.0.2"), ("1.1.1.3", "10.0.0.3")]
    assert _gone(None, after) == []


def entry(source: str, destination: str, reply_source: str, reply_destination: str) -> dict[int, bytes]:
    def tuple_of(one: str, other: str) -> bytes:
        packed = [bytes(int(part) for part in address.split(".")) for address in (one, other)]
        return attribute(
            nfnl.CTA_TUPLE_IP | NLA_F_NESTED,
            attribute(nfnl.CTA_IP_V4_SRC, packed[0]) + attribute(nfnl.CTA_IP_V4_DST, packed[1]),
        )

    return {
        nfnl.CTA_TUPLE_ORIG: tuple_of(source, destination),
        nfnl.CTA_TUPLE_REPLY: tuple_of(reply_source, reply_destination),
    }


@pytest.mark.parametrize(
    ("connection", "forgotten"),
    [
        (entry("9.9.9.9", "1.1.1.1", "10.0.0.1", "9.9.9.9"), True),  # came in
        (entry("10.0.0.1", "9.9.9.9", "9.9.9.9", "1.1.1.1"), True),  # went out
        (entry("10.0.0.2", "9.9.9.9", "9.9.9.9", "1.1.1.254"), False),  # another guest's
        (entry("10.0.0.1", "10.1.0.2", "10.1.0.2", "10.0.0.1"), False),  # the guest's own, inside
        (entry("9.9.9.9", "1.1.1.1", "10.0.0.7", "9.9.9.9"), False),  # the address's new guest's
    ],
)
def test_only_connections_of_that_translation_are_forgotten(connection: dict[int, bytes], forgotten: bool) -> None:
    pair = frozenset((bytes([1, 1, 1, 1]), bytes([10, 0, 0, 1])))
    assert _translates(connection, {pair}) == forgotten


def test_tables_of_two_families_in_one_namespace_have_two_names() -> None:
    assert NftSubsystem.key(NftTable("r")) == "r"
    assert NftSubsystem.key(NftTable("r", "ip6")) == "r/ip6"
    with pytest.raises(ValueError, match="family"):
        NftTable("r", "ip; flush ruleset")
