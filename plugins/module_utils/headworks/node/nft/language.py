"""nft's own language: a listing parsed into maps and chains, and the transaction that leads from one table to another.

Every rule is written with a short digest of its text as its comment (``comment "headworks 9f86d081884c"``). Rules are
compared by these digests, in order, so it does not matter how nft itself spells a rule. What does not belong here:
running nft, and namespaces (``tables.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from ...state.nft import TABLE, NftChain, NftMap, NftTable

_COMMENT = ' comment "headworks '  # what stands between a rule and its digest
_DIGITS = 12
_BLOCK = re.compile(r"\t(map|set|chain) (\S+) \{")
_ELEMENT = re.compile(r'(?:[^,"]|"[^"]*")+')
_HOOK = re.compile(r"priority ([a-z]+)?\s*([+-]?)\s*(\d+)?;")
_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}


def parse_table(listing: str) -> tuple[list[NftMap], list[NftChain]]:
    """Maps and chains of what ``nft -s list table`` prints; the digests of rules are taken out of their texts."""
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
    for line in lines:
        if line == "\t}":
            return
        yield line.strip()


def _parse_rule(line: str) -> tuple[str, str]:
    """A rule's text without its digest, and the digest: "" for a rule that does not carry one."""
    text, comment, rest = line.rpartition(_COMMENT)
    return (text, rest[:-1]) if comment and rest.endswith('"') else (line, "")


def _map(name: str, body: list[str]) -> NftMap:
    kind = flags = ""
    elements: dict[str, str] = {}
    for place, line in enumerate(body):
        if line.startswith("type "):
            kind = line.removeprefix("type ")
        elif line.startswith("flags "):
            flags = line.removeprefix("flags ")
        elif line.startswith("elements = {"):
            text = " ".join(body[place:]).removeprefix("elements = {")
            elements = dict(_element(one) for one in _ELEMENT.findall(text[: text.rindex("}")]) if one.strip())
            break
    return NftMap(name, kind, elements, flags)


def _element(text: str) -> tuple[str, str]:
    key, _, value = text.strip().partition(" : ")
    return key, value


def digest_of(rule: str) -> str:
    """The short digest of a desired rule's text."""
    return sha256(rule.encode()).hexdigest()[:_DIGITS]


def same_rules(one: NftChain, other: NftChain) -> bool:
    """Whether two chains have the same rules in the same order, by their digests.

    A rule on the node without a digest never equals a desired rule, whatever its text. It equals only itself, in a
    desired chain that was made from the actual one (``NftChain.digests`` is set).
    """
    return _identities(one) == _identities(other)


def _identities(chain: NftChain) -> list[str]:
    return [digest or f"no digest: {rule}" for rule, digest in _rules(chain)]


def _rules(chain: NftChain) -> Iterator[tuple[str, str]]:
    """Each rule with its digest: of a chain read from the node the one in the comment, of a desired chain the one of
    the rule's text."""
    return zip(chain.rules, chain.digests or map(digest_of, chain.rules), strict=True)


def _written(chain: NftChain) -> list[str]:
    """The rules as they are sent to nft, each with its digest as comment."""
    return [f'{rule}{_COMMENT}{digest}"' if digest else rule for rule, digest in _rules(chain)]


def same_hook(one: str, other: str) -> bool:
    """Whether two hook lines mean the same: ``priority dstnat`` is ``priority -100``."""
    return _hook(one) == _hook(other)


def _hook(text: str) -> tuple[str, ...]:
    def as_number(found: re.Match[str]) -> str:
        base = _PRIORITIES.get(found[1] or "", 0)
        offset = int(f"{found[2]}{found[3] or 0}")
        return f"priority {base + offset};"

    words = _HOOK.sub(as_number, text).replace(";", " ;").split()
    return tuple(words if "policy" in words or not words else [*words, "policy", "accept", ";"])


def transaction(before: NftTable | None, after: NftTable | None) -> str:
    """What to feed to ``nft -f``: it happens as a whole or not at all, and no packet sees anything between.

    A new table is written whole. Of a table that is there only what differs changes; if its structure differs (a chain
    or map that goes, a hook or type that changes), it is replaced in the same transaction.
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
    maps = {one.name: (one.type, one.flags) for one in after.maps}
    hooks = {one.name: one.hook for one in after.chains}
    return any(maps.get(one.name) != (one.type, one.flags) for one in before.maps) or any(
        one.name not in hooks or not same_hook(hooks[one.name], one.hook) for one in before.chains
    )


def _whole(table: NftTable) -> str:
    blocks = [_map_block(one) for one in table.maps] + [_chain_block(one) for one in table.chains]
    return f"table {table.family} {TABLE} {{\n{''.join(blocks)}}}\n"


def _map_block(one: NftMap) -> str:
    flags = f"    flags {one.flags}\n" if one.flags else ""
    elements = f"    elements = {{ {_elements(one.elements)} }}\n" if one.elements else ""
    return f"  {_keyword(one)} {one.name} {{\n    type {one.type}\n{flags}{elements}  }}\n"


def _chain_block(one: NftChain) -> str:
    lines = ([one.hook] if one.hook else []) + _written(one)
    return f"  chain {one.name} {{\n{''.join(f'    {line}{chr(10)}' for line in lines)}  }}\n"


def _keyword(one: NftMap) -> str:
    return "map" if ":" in one.type else "set"


def _elements(elements: Mapping[str, str]) -> str:
    return ", ".join(f"{key} : {value}" if value else key for key, value in elements.items())


def _map_changes(before: NftTable, after: NftTable) -> Iterable[str]:
    there = {one.name: one for one in before.maps}
    prefix = f"{after.family} {TABLE}"
    for one in after.maps:
        if one.name not in there:
            yield f"table {prefix} {{\n{_map_block(one)}}}"
            continue
        old = there[one.name].elements
        gone = {key: value for key, value in old.items() if one.elements.get(key) != value}
        new = {key: value for key, value in one.elements.items() if old.get(key) != value}
        if gone:
            yield f"delete element {prefix} {one.name} {{ {', '.join(gone)} }}"
        if new:
            yield f"add element {prefix} {one.name} {{ {_elements(new)} }}"


def _chain_changes(before: NftTable, after: NftTable) -> Iterable[str]:
    there = {one.name: one for one in before.chains}
    prefix = f"{after.family} {TABLE}"
    for one in after.chains:
        if one.name not in there:  # all before any rule, since rules may jump to them
            yield f"table {prefix} {{\n  chain {one.name} {{\n    {one.hook}\n  }}\n}}"
    for one in after.chains:
        old = there.get(one.name)
        if old is not None and same_rules(old, one):
            continue
        if old is not None:
            yield f"flush chain {prefix} {one.name}"
        for rule in _written(one):
            yield f"add rule {prefix} {one.name} {rule}"
