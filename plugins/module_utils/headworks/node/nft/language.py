"""nft's own language: a listing parsed into maps and chains, and the transaction that leads from one table to another.

Pure text; running nft and knowing namespaces is ``nft.py``'s part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ...state.nft import NftChain, NftMap, NftTable

_NAME = "headworks"
_BLOCK = re.compile(r"\t(map|set|chain) (\S+) \{")
_ELEMENT = re.compile(r'(?:[^,"]|"[^"]*")+')
_HOOK = re.compile(r"priority ([a-z]+)?\s*([+-]?)\s*(\d+)?;")
_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}


class ListedMap(NamedTuple):
    """A map (or set) of a listing."""

    name: str
    type: str
    elements: dict[str, str]
    flags: str


class ListedChain(NamedTuple):
    """A chain of a listing."""

    name: str
    hook: str
    rules: tuple[str, ...]


def parse_table(listing: str) -> tuple[list[ListedMap], list[ListedChain]]:
    """Maps and chains of what ``nft -n -s list table`` prints."""
    maps, chains = [], []
    lines = iter(listing.splitlines())
    for line in lines:
        block = _BLOCK.match(line)
        if block is None:
            continue
        body = list(_body(lines))
        if block[1] == "chain":
            hook = body.pop(0) if body and body[0].startswith("type ") else ""
            chains.append(ListedChain(block[2], hook, tuple(body)))
        else:
            maps.append(_map(block[2], body))
    return maps, chains


def _body(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == "\t}":
            return
        yield line.strip()


def _map(name: str, body: list[str]) -> ListedMap:
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
    return ListedMap(name, kind, elements, flags)


def _element(text: str) -> tuple[str, str]:
    key, _, value = text.strip().partition(" : ")
    return key, value


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
        return f"delete table {before.family} {_NAME}\n"
    if before is None:
        return _whole(after)
    if _structure_differs(before, after):
        return f"delete table {after.family} {_NAME}\n{_whole(after)}"
    return "\n".join([*_map_changes(before, after), *_chain_changes(before, after)]) + "\n"


def _structure_differs(before: NftTable, after: NftTable) -> bool:
    maps = {one.name: (one.type, one.flags) for one in after.maps}
    hooks = {one.name: one.hook for one in after.chains}
    return any(maps.get(one.name) != (one.type, one.flags) for one in before.maps) or any(
        one.name not in hooks or not same_hook(hooks[one.name], one.hook) for one in before.chains
    )


def _whole(table: NftTable) -> str:
    blocks = [_map_block(one) for one in table.maps] + [_chain_block(one) for one in table.chains]
    return f"table {table.family} {_NAME} {{\n{''.join(blocks)}}}\n"


def _map_block(one: NftMap) -> str:
    flags = f"    flags {one.flags}\n" if one.flags else ""
    elements = f"    elements = {{ {_elements(one.elements)} }}\n" if one.elements else ""
    return f"  {_keyword(one)} {one.name} {{\n    type {one.type}\n{flags}{elements}  }}\n"


def _chain_block(one: NftChain) -> str:
    lines = ([one.hook] if one.hook else []) + list(one.rules)
    return f"  chain {one.name} {{\n{''.join(f'    {line}{chr(10)}' for line in lines)}  }}\n"


def _keyword(one: NftMap) -> str:
    return "map" if ":" in one.type else "set"


def _elements(elements: Mapping[str, str]) -> str:
    return ", ".join(f"{key} : {value}" if value else key for key, value in elements.items())


def _map_changes(before: NftTable, after: NftTable) -> Iterable[str]:
    there = {one.name: one for one in before.maps}
    prefix = f"{after.family} {_NAME}"
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
    prefix = f"{after.family} {_NAME}"
    for one in after.chains:
        if one.name not in there:  # all before any rule, since rules may jump to them
            yield f"table {prefix} {{\n  chain {one.name} {{\n    {one.hook}\n  }}\n}}"
    for one in after.chains:
        old = there.get(one.name)
        if old is not None and old.rules == one.rules:
            continue
        if old is not None:
            yield f"flush chain {prefix} {one.name}"
        for rule in one.rules:
            yield f"add rule {prefix} {one.name} {rule}"
