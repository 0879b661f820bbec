"""nft's language: parse a listing into maps and chains, and write the transaction that turns one table into another.

Every rule is written with a short digest of its text as its comment (``comment "headworks 9f86d081884c"``). Rules are
compared by these digests, in order, so it does not matter how nft itself spells a rule. What does not belong here:
running nft, and namespaces (``tables.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from ...state.nft import TABLE, NftChain, NftMap, NftTable

_COMMENT = ' comment "headworks '  # the text between a rule and its digest
_DIGITS = 12
_BLOCK = re.compile(r"\t(map|set|chain) (\S+) \{")
_ELEMENT = re.compile(r'(?:[^,"]|"[^"]*")+')
_HOOK = re.compile(r"priority ([a-z]+)?\s*([+-]?)\s*(\d+)?;")
_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}


def parse_table(listing: str) -> tuple[list[NftMap], list[NftChain]]:
    """Return the maps and chains in the output of ``nft -s list table``. The texts of rules are without their
    digests."""
    maps, chains = [], []
    lines = iter(listing.splitlines())
    for line in lines:
        block = _BLOCK.match(line)
        if block is None:
            continue
        body = list(_body(lines))
        if block[1] == "chain":
            hook = body.pop(0) if body and body[0].startswith("type ") else ""
            rules = [_parse_rule(line) for line in body]
            texts, digests = tuple(text for text, _ in rules), tuple(digest for _, digest in rules)
            chains.append(NftChain(block[2], hook, texts, digests))
        else:
            maps.append(_map(block[2], body))
    return maps, chains


def _body(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines of a block up to its end."""
    for line in lines:
        if line == "\t}":
            return
        yield line.strip()


def _parse_rule(line: str) -> tuple[str, str]:
    """Return the text of a rule without its digest, and the digest ("" for a rule without one)."""
    text, comment, rest = line.rpartition(_COMMENT)
    return (text, rest[:-1]) if comment and rest.endswith('"') else (line, "")


def _map(name: str, body: list[str]) -> NftMap:
    kind = flags = ""
    elements: dict[str, str] = {}
    for place, line in enumerate(body):
        if line.startswith(("type ", "typeof ")):
            kind = line.removeprefix("type ")
        elif line.startswith("flags "):
            flags = line.removeprefix("flags ")
        elif line.startswith("elements = {"):
            text = " ".join(body[place:]).removeprefix("elements = {")
            elements = dict(_element(item) for item in _ELEMENT.findall(text[: text.rindex("}")]) if item.strip())
            break
    return NftMap(name, kind, elements, flags)


def _element(text: str) -> tuple[str, str]:
    key, _, value = text.strip().partition(" : ")
    return key, value


def digest_of(rule: str) -> str:
    """Return the short digest of a desired rule's text."""
    return sha256(rule.encode()).hexdigest()[:_DIGITS]


def same_rules(chain: NftChain, other: NftChain) -> bool:
    """Whether two chains have the same rules in the same order, by their digests.

    A rule on the node without a digest never equals a desired rule with the same text. It only equals itself in a
    desired chain that was made from the actual chain (``NftChain.digests`` is set).
    """
    return _identities(chain) == _identities(other)


def _identities(chain: NftChain) -> list[str]:
    return [digest or f"no digest: {rule}" for rule, digest in _rules(chain)]


def _rules(chain: NftChain) -> Iterator[tuple[str, str]]:
    """Yield each rule with its digest. In a chain read from the node, the digest is that in the rule's comment; in a
    desired chain, it is computed from the rule's text."""
    return zip(chain.rules, chain.digests or map(digest_of, chain.rules), strict=True)


def _written(chain: NftChain) -> list[str]:
    """Return the rules as they are sent to nft, each with its digest as comment."""
    return [f'{rule}{_COMMENT}{digest}"' if digest else rule for rule, digest in _rules(chain)]


def same_hook(hook: str, other: str) -> bool:
    """Whether two hook lines have the same meaning: ``priority dstnat`` is ``priority -100``, for example."""
    return _hook(hook) == _hook(other)


def _hook(text: str) -> tuple[str, ...]:
    """Return the words of a hook line, with the priority as a number and the policy always present."""

    def as_number(priority: re.Match[str]) -> str:
        base = _PRIORITIES.get(priority[1] or "", 0)
        offset = int(f"{priority[2]}{priority[3] or 0}")
        return f"priority {base + offset};"

    words = _HOOK.sub(as_number, text).replace(";", " ;").split()
    return tuple(words if "policy" in words or not words else [*words, "policy", "accept", ";"])


def transaction(before: NftTable | None, after: NftTable | None) -> str:
    """Return the input of ``nft -f`` that turns ``before`` into ``after``. nft applies it atomically.

    A new table is written completely. In an existing table, only the differences are changed. If the structure of the
    table differs (a chain or map is removed, or a hook or type changes), the transaction replaces the table.
    """
    if after is None:
        assert before is not None
        return f"delete table {before.family} {TABLE}\n"
    if before is None:
        return _whole(after)
    if _structure_differs(before, after):
        return f"delete table {after.family} {TABLE}\n{_whole(after)}"
    return "\n".join([*_map_changes(before, after), *_chain_changes(before, after)]) + "\n"


def _structure_differs(before: NftTable, after: NftTable) -> bool:
    """Whether ``after`` lacks a map or chain of ``before``, or has it with another type or hook."""
    types = {nft_map.name: (nft_map.type, nft_map.flags) for nft_map in after.maps}
    hooks = {chain.name: chain.hook for chain in after.chains}
    return any(types.get(nft_map.name) != (nft_map.type, nft_map.flags) for nft_map in before.maps) or any(
        chain.name not in hooks or not same_hook(hooks[chain.name], chain.hook) for chain in before.chains
    )


def _whole(table: NftTable) -> str:
    blocks = [_map_block(nft_map) for nft_map in table.maps] + [_chain_block(chain) for chain in table.chains]
    return f"table {table.family} {TABLE} {{\n{''.join(blocks)}}}\n"


def _map_block(nft_map: NftMap) -> str:
    flags = f"    flags {nft_map.flags}\n" if nft_map.flags else ""
    elements = f"    elements = {{ {_elements(nft_map.elements)} }}\n" if nft_map.elements else ""
    kind = nft_map.type if nft_map.type.startswith("typeof ") else f"type {nft_map.type}"
    return f"  {_keyword(nft_map)} {nft_map.name} {{\n    {kind}\n{flags}{elements}  }}\n"


def _chain_block(chain: NftChain) -> str:
    lines = ([chain.hook] if chain.hook else []) + _written(chain)
    return f"  chain {chain.name} {{\n{''.join(f'    {line}{chr(10)}' for line in lines)}  }}\n"


def _keyword(nft_map: NftMap) -> str:
    return "map" if ":" in nft_map.type else "set"


def _elements(elements: Mapping[str, str]) -> str:
    return ", ".join(f"{key} : {value}" if value else key for key, value in elements.items())


def _map_changes(before: NftTable, after: NftTable) -> Iterable[str]:
    present = {nft_map.name: nft_map for nft_map in before.maps}
    prefix = f"{after.family} {TABLE}"
    for nft_map in after.maps:
        if nft_map.name not in present:
            yield f"table {prefix} {{\n{_map_block(nft_map)}}}"
            continue
        old = present[nft_map.name].elements
        gone = {key: value for key, value in old.items() if nft_map.elements.get(key) != value}
        new = {key: value for key, value in nft_map.elements.items() if old.get(key) != value}
        if gone:
            yield f"delete element {prefix} {nft_map.name} {{ {', '.join(gone)} }}"
        if new:
            yield f"add element {prefix} {nft_map.name} {{ {_elements(new)} }}"


def _chain_changes(before: NftTable, after: NftTable) -> Iterable[str]:
    present = {chain.name: chain for chain in before.chains}
    prefix = f"{after.family} {TABLE}"
    for chain in after.chains:
        if chain.name not in present:  # all chains before any rule, as rules may jump to them
            yield f"table {prefix} {{\n  chain {chain.name} {{\n    {chain.hook}\n  }}\n}}"
    for chain in after.chains:
        old = present.get(chain.name)
        if old is not None and same_rules(old, chain):
            continue
        if old is not None:
            yield f"flush chain {prefix} {chain.name}"
        for rule in _written(chain):
            yield f"add rule {prefix} {chain.name} {rule}"
