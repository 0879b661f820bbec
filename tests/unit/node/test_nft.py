"""nft's language (parsing listings, writing transactions), and the comparison of tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from headworks.node.nft.conntrack import _translates
from headworks.node.nft.language import digest_of, parse_table, same_hook, transaction
from headworks.node.nft.tables import NftSubsystem, _removed_elements
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
\t\taccept comment "headworks 0123456789ab"
\t}

\tchain other {
\t}
}
"""


def test_a_set_with_the_type_of_an_expression_is_read_as_it_is_written() -> None:
    clients = NftMap("clients", "typeof ether saddr . @th,288,48", {"00:16:3e:00:00:0a . 0x163e00000a": ""})
    text = transaction(None, NftTable("", maps=(clients,)))
    assert "    typeof ether saddr . @th,288,48\n" in text
    assert "set clients" in text
    listing = text.replace("    ", "\t\t").replace("  set", "\tset").replace("  }", "\t}")
    assert parse_table(listing)[0] == [clients]


def test_a_listing_is_parsed_into_maps_and_chains() -> None:
    maps, chains = parse_table(LISTING)
    assert [(nft_map.name, nft_map.type, nft_map.flags) for nft_map in maps] == [
        ("floating_dnat", "ipv4_addr : ipv4_addr", ""),
        ("ports", "ipv4_addr . inet_service : ipv4_addr . inet_service", "interval"),
        ("inside", "ifname", ""),
        ("empty", "ipv4_addr : verdict", ""),
    ]
    assert maps[0].elements == {f"172.16.0.{i}": f"10.0.0.{i}" for i in (1, 2, 3)}
    assert maps[1].elements == {"172.16.0.1 . 80": "10.0.0.1 . 8080"}
    assert maps[2].elements == {'"qr-1"': "", '"qr,2"': ""}
    assert chains[0].hook == "type nat hook prerouting priority -100; policy accept;"
    assert chains[0].rules[1:] == ('ip daddr { 10.0.0.1, 10.0.0.2 } counter accept comment "a } b"', "accept")
    assert chains[0].digests == ("", "", "0123456789ab")
    assert (chains[1].hook, chains[1].rules) == ("", ())


@pytest.mark.parametrize(
    ("hook", "other"),
    [
        ("type nat hook prerouting priority dstnat; policy accept;", "type nat hook prerouting priority -100;"),
        ("type nat hook postrouting priority srcnat + 5;", "type nat hook postrouting priority 105; policy accept;"),
        ("type filter hook forward priority filter - 1;", "type filter hook forward priority -1; policy accept;"),
        ("type filter hook input priority 0; policy drop;", "type filter hook input priority filter; policy drop;"),
    ],
)
def test_two_spellings_of_a_hook_are_the_same(hook: str, other: str) -> None:
    assert same_hook(hook, other)


@pytest.mark.parametrize(
    ("hook", "other"),
    [
        ("type nat hook prerouting priority dstnat;", "type nat hook prerouting priority srcnat;"),
        ("type filter hook input priority 0; policy drop;", "type filter hook input priority 0; policy accept;"),
        ("type filter hook input priority 0;", ""),
    ],
)
def test_hooks_with_another_priority_or_policy_differ(hook: str, other: str) -> None:
    assert not same_hook(hook, other)


def table(floating: dict[str, str], *rules: str) -> NftTable:
    return NftTable(
        "qrouter-1",
        "ip",
        (NftMap("floating_dnat", "ipv4_addr : ipv4_addr", floating),),
        (NftChain("prerouting", "type nat hook prerouting priority dstnat; policy accept;", rules or ("accept",)),),
        ("floating_dnat",),
    )


def test_a_transaction_deletes_and_adds_only_the_changed_element() -> None:
    text = transaction(
        table({"1.1.1.1": "10.0.0.1", "1.1.1.2": "10.0.0.2"}), table({"1.1.1.1": "10.0.0.9", "1.1.1.2": "10.0.0.2"})
    )
    assert text.splitlines() == [
        "delete element ip headworks floating_dnat { 1.1.1.1 }",
        "add element ip headworks floating_dnat { 1.1.1.1 : 10.0.0.9 }",
    ]


def test_a_changed_rule_rewrites_only_its_chain() -> None:
    before, after = table({}, "accept"), table({}, "drop")
    extra = NftChain("more", "", ("accept",))
    text = transaction(replace(before, chains=(*before.chains, extra)), replace(after, chains=(*after.chains, extra)))
    assert text.splitlines() == [
        "flush chain ip headworks prerouting",
        f'add rule ip headworks prerouting drop comment "headworks {digest_of("drop")}"',
    ]


def test_a_new_table_is_written_completely_and_a_table_with_another_structure_is_replaced() -> None:
    whole = transaction(None, table({"1.1.1.1": "10.0.0.1"}))
    assert whole.startswith("table ip headworks {\n")
    more = table({})
    more = replace(more, chains=(*more.chains, NftChain("gone", "", ())))
    assert transaction(more, table({})).startswith("delete table ip headworks\ntable ip headworks {\n")
    assert transaction(more, None) == "delete table ip headworks\n"


def read_back(wanted: NftTable, change: Callable[[str], str] = lambda text: text) -> NftTable:
    """Return the table as it is read from a node after ``wanted`` was written there and ``change`` changed the
    listing."""
    maps, chains = parse_table(change(transaction(None, wanted).replace("    ", "\t\t").replace("  ", "\t")))
    return replace(wanted, maps=tuple(maps), chains=tuple(chains))


RULES = ("dnat to ip daddr map @floating_dnat", "ct state invalid drop", "accept")


def test_a_written_table_is_read_back_as_equal() -> None:
    wanted = table({"1.1.1.1": "10.0.0.1"}, *RULES)
    found = read_back(wanted)
    assert (found.maps[0].name, found.maps[0].elements) == ("floating_dnat", {"1.1.1.1": "10.0.0.1"})
    assert found.chains[0].rules == wanted.chains[0].rules
    assert NftSubsystem().same(wanted, found)


def test_another_spelling_of_a_rule_by_nft_is_no_difference() -> None:
    wanted = table({}, "ip protocol tcp ct state new,established accept")
    assert NftSubsystem().same(
        wanted, read_back(wanted, lambda text: text.replace("ip protocol tcp ct state new,est", "ct state est,new"))
    )


def without(rule: str) -> Callable[[str], str]:
    """Return a function that deletes the lines with ``rule`` from a text."""
    return lambda text: "".join(line for line in text.splitlines(True) if rule not in line)


@pytest.mark.parametrize(
    "drift",
    [
        without("invalid"),
        lambda text: text.replace("\t\taccept", "\t\tdrop\n\t\taccept"),
        lambda text: text.replace("\t\taccept", '\t\tdrop comment "mine"\n\t\taccept'),
        lambda text: text.replace(f' comment "headworks {digest_of("accept")}"', ""),
        lambda text: text.replace(digest_of("accept"), digest_of("drop")),
        lambda text: text.replace(digest_of("accept"), "?").replace(digest_of(RULES[1]), digest_of("accept")),
        lambda text: without("invalid")(text).replace("\t}\n}", f"\t\t{marked(RULES[1])}\n\t}}\n}}"),
        lambda text: text.replace("\t\taccept", f"\t\t{marked('accept')}\n\t\taccept"),
    ],
    ids=["removed", "added", "added with a comment", "no digest", "another digest", "moved digest", "moved", "doubled"],
)
def test_other_rules_or_another_order_of_rules_are_a_difference(drift: Callable[[str], str]) -> None:
    wanted = table({}, *RULES)
    found = read_back(wanted, drift)
    assert found != read_back(wanted), "the drift must change the listing"
    assert not NftSubsystem().same(wanted, found)
    again = transaction(found, wanted).splitlines()
    assert again == [
        "flush chain ip headworks prerouting",
        *(f"add rule ip headworks prerouting {marked(rule)}" for rule in RULES),
    ]


def marked(rule: str) -> str:
    """Return the rule with its digest as comment."""
    return f'{rule} comment "headworks {digest_of(rule)}"'


@pytest.mark.parametrize("comment", [True, False], ids=["with digests", "without digests"])
def test_a_desired_table_made_from_the_actual_table_changes_only_its_maps(comment: bool) -> None:
    found = read_back(table({"1.1.1.1": "10.0.0.1"}, *RULES))
    if not comment:
        found = replace(found, chains=(replace(found.chains[0], digests=("",) * len(RULES)),))
    wanted = replace(found, maps=table({"1.1.1.2": "10.0.0.1"}).maps)
    assert transaction(found, wanted).splitlines() == [
        "delete element ip headworks floating_dnat { 1.1.1.1 }",
        "add element ip headworks floating_dnat { 1.1.1.2 : 10.0.0.1 }",
    ]


def test_a_table_that_was_read_is_written_with_the_same_comments() -> None:
    found = read_back(table({}, *RULES))
    assert transaction(None, found) == transaction(None, table({}, *RULES))


def test_a_description_has_no_digests_and_a_remark_at_a_rule_without_a_digest() -> None:
    subsystem, wanted = NftSubsystem(), table({}, *RULES)
    assert subsystem.describe(read_back(wanted)) == subsystem.describe(wanted)
    found = read_back(wanted, lambda text: text.replace("\t\taccept", "\t\tdrop\n\t\taccept"))
    (chain,) = subsystem.describe(found)["chains"]
    assert chain["rules"] == [*RULES[:2], "drop  # carries no digest of headworks", "accept"]


def test_removed_and_changed_elements_are_those_whose_connections_are_deleted() -> None:
    before = table({"1.1.1.1": "10.0.0.1", "1.1.1.2": "10.0.0.2", "1.1.1.3": "10.0.0.3"})
    after = table({"1.1.1.1": "10.0.0.1", "1.1.1.2": "10.0.0.9"})
    assert _removed_elements(before, after) == [("1.1.1.2", "10.0.0.2"), ("1.1.1.3", "10.0.0.3")]
    assert _removed_elements(None, after) == []


def entry(source: str, destination: str, reply_source: str, reply_destination: str) -> dict[int, bytes]:
    def tuple_of(from_address: str, to_address: str) -> bytes:
        packed = [bytes(int(part) for part in address.split(".")) for address in (from_address, to_address)]
        return attribute(
            nfnl.CTA_TUPLE_IP | NLA_F_NESTED,
            attribute(nfnl.CTA_IP_V4_SRC, packed[0]) + attribute(nfnl.CTA_IP_V4_DST, packed[1]),
        )

    return {
        nfnl.CTA_TUPLE_ORIG: tuple_of(source, destination),
        nfnl.CTA_TUPLE_REPLY: tuple_of(reply_source, reply_destination),
    }


@pytest.mark.parametrize(
    ("connection", "deleted"),
    [
        (entry("9.9.9.9", "1.1.1.1", "10.0.0.1", "9.9.9.9"), True),  # from outside to the guest
        (entry("10.0.0.1", "9.9.9.9", "9.9.9.9", "1.1.1.1"), True),  # from the guest to outside
        (entry("10.0.0.2", "9.9.9.9", "9.9.9.9", "1.1.1.254"), False),  # of another guest
        (entry("10.0.0.1", "10.1.0.2", "10.1.0.2", "10.0.0.1"), False),  # of the guest, not translated
        (entry("9.9.9.9", "1.1.1.1", "10.0.0.7", "9.9.9.9"), False),  # of the guest that has the floating IP now
    ],
)
def test_only_connections_of_a_removed_translation_are_deleted(connection: dict[int, bytes], deleted: bool) -> None:
    pair = frozenset((bytes([1, 1, 1, 1]), bytes([10, 0, 0, 1])))
    assert _translates(connection, {pair}) == deleted


def test_tables_of_two_families_in_one_namespace_have_two_names() -> None:
    assert NftSubsystem.key(NftTable("r")) == "r"
    assert NftSubsystem.key(NftTable("r", "ip6")) == "r/ip6"
    with pytest.raises(ValueError, match="family"):
        NftTable("r", "ip; flush ruleset")
