"""A small OVSDB client (RFC 7047): JSON-RPC on the server's socket, one transaction per call, waiting for ovs-vswitchd.

What does not belong here: the meaning of tables and rows (``node/ovs``, ``modules/ovs``).
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .process import ToolError, has_tool, run

DATABASE = "Open_vSwitch"
RUN_DIR = Path("/run/openvswitch")
ENDPOINT = f"unix:{RUN_DIR}/db.sock"
FILES = (Path("/etc/openvswitch/conf.db"), Path("/var/lib/openvswitch/conf.db"))
CONNECT_SECONDS = 10.0
# ovs-vswitchd takes about 17 ms to remove a port and 2 ms to add a port; on a busy node, many times that.
APPLY_SECONDS = 120.0
APPLY_SECONDS_PER_CHANGE = 0.2

Operation = dict[str, Any]


class OvsdbError(RuntimeError):
    """The database refused an operation, or a daemon did not answer in time. The message says which."""


def present(endpoint: str = ENDPOINT) -> bool:
    """Whether the database's socket exists: False on a node where Open vSwitch does not run or is not installed yet."""
    scheme, _, path = endpoint.partition(":")
    return scheme != "unix" or Path(path).exists()


def readable(needed: bool, endpoint: str = ENDPOINT) -> bool:
    """Whether the database can be read: False on a node without Open vSwitch, as ``present``, and on a node that has it
    but never had a bridge. Of a socket in another place it is unknown what serves it.

    :param needed: whether the answer "no Open vSwitch" would be taken for "no bridges".
    :raises OvsdbError: Open vSwitch does not run, and has bridges.
    """
    if present(endpoint):
        return True
    if needed and endpoint == ENDPOINT and has_tool("ovsdb-server") and any(map(_has_bridges, FILES)):
        raise OvsdbError(f"{endpoint} does not exist: is ovsdb-server running?")
    return False


def _has_bridges(file: Path) -> bool:
    """Whether the file of a database that is not served has bridges. A file that cannot be read may have some."""
    if not file.exists():
        return False
    query = json.dumps(["Open_vSwitch", select("Bridge", ["name"])])
    try:
        (found,) = json.loads(run(["ovsdb-tool", "query", str(file), query]))
    except (ToolError, ValueError):
        return True
    return bool(found.get("rows", True))


class Ovsdb:
    """A connection to ovsdb-server; a context manager.

    :param endpoint: ``unix:PATH`` or ``tcp:ADDRESS:PORT``.
    :param timeout: seconds within which the server must answer an ordinary call.
    :raises OvsdbError: the connection to ``endpoint`` failed.
    """

    def __init__(self, endpoint: str = ENDPOINT, timeout: float = 60.0) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._buffer = b""
        self._serial = 0
        try:
            self._socket = _connect(endpoint)
        except OSError as error:
            raise OvsdbError(f"{endpoint}: {error.strerror or error}: is ovsdb-server running?") from error

    def __enter__(self) -> Ovsdb:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def transact(self, operations: Sequence[Operation], timeout: float | None = None) -> list[dict[str, Any]]:
        """Run ``operations`` in one transaction and return their results in order.

        :raises OvsdbError: an operation failed (then nothing is changed), or the server did not answer within
            ``timeout`` seconds.
        """
        reply: list[dict[str, Any]] = self._call("transact", [DATABASE, *operations], timeout or self.timeout)
        for number, result in enumerate(reply):
            if result and "error" in result:
                where = _name(operations[number]) if number < len(operations) else "commit"
                raise OvsdbError(f"{where}: {result['error']}: {result.get('details', '')}")
        return reply

    def select(self, queries: Sequence[Operation]) -> list[list[dict[str, Any]]]:
        """Return the rows of several ``select`` operations (see ``select``), read in one transaction."""
        return [result["rows"] for result in self.transact(queries)]

    def schema(self) -> dict[str, Any]:
        """Return the database's schema (RFC 7047, 3.2), for values whose type is not known beforehand."""
        return dict(self._call("get_schema", [DATABASE], self.timeout))

    def commit(
        self, operations: Sequence[Operation], seconds: float | None = None, changes: int = 0
    ) -> list[dict[str, Any]]:
        """Run ``operations`` in one transaction and wait until ovs-vswitchd has acted on it, as ovs-vsctl does.

        :param seconds: how long to wait for ovs-vswitchd. The default grows with the number of ``changes`` (bridges,
            ports) or of operations, whichever is larger.
        :raises OvsdbError: the transaction failed (then nothing is changed), or ovs-vswitchd did not act in time (then
            the database is changed).
        """
        bump = {"op": "mutate", "table": DATABASE, "where": [], "mutations": [["next_cfg", "+=", 1]]}
        results = self.transact([*operations, bump, select(DATABASE, ["next_cfg"])])
        number = results[-1]["rows"][0]["next_cfg"]
        seconds = seconds or APPLY_SECONDS + APPLY_SECONDS_PER_CHANGE * max(changes, len(operations))
        self._wait_applied(number, seconds)
        return results[: len(operations)]

    def _wait_applied(self, number: int, seconds: float) -> None:
        # Wait until no row has a lower cur_cfg: other clients may raise cur_cfg past our number meanwhile.
        wait = {
            "op": "wait",
            "table": DATABASE,
            "timeout": int(seconds * 1000),
            "where": [["cur_cfg", "<", number]],
            "columns": ["cur_cfg"],
            "until": "==",
            "rows": [],
        }
        try:
            self.transact([wait], timeout=seconds + CONNECT_SECONDS)
        except OvsdbError as error:
            raise OvsdbError(
                f"ovs-vswitchd did not act on the change within {seconds:.0f} s: is it running? ({error})"
            ) from error

    def _call(self, method: str, params: list[Any], timeout: float) -> Any:
        self._serial += 1
        deadline = time.monotonic() + timeout
        self._send({"method": method, "params": params, "id": self._serial}, deadline)
        while True:
            message = self._receive(deadline)
            if message.get("method") == "echo":  # a keepalive: without an answer the server disconnects
                self._send({"result": message["params"], "error": None, "id": message["id"]}, deadline)
            elif message.get("id") == self._serial:
                if message.get("error"):
                    raise OvsdbError(f"{self.endpoint}: {method}: {message['error']}")
                return message["result"]

    def _send(self, message: Mapping[str, Any], deadline: float) -> None:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            self._socket.sendall(json.dumps(message, separators=(",", ":")).encode())
        except OSError as error:
            raise OvsdbError(f"{self.endpoint}: sending: {error}") from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next message. Messages have no separators, so a message is complete when it can be parsed."""
        while True:
            if self._buffer.rstrip().endswith(b"}"):
                text = self._buffer.decode()
                try:
                    message, end = json.JSONDecoder().raw_decode(text)
                except json.JSONDecodeError:
                    pass
                else:
                    self._buffer = text[end:].lstrip().encode()
                    return dict(message)
            self._buffer += self._read_some(deadline)

    def _read_some(self, deadline: float) -> bytes:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self._socket.recv(1 << 20)
        except TimeoutError as error:
            raise OvsdbError(f"{self.endpoint}: no answer in time") from error
        except OSError as error:
            raise OvsdbError(f"{self.endpoint}: receiving: {error}") from error
        if not data:
            raise OvsdbError(f"{self.endpoint}: the server closed the connection")
        return data


def _connect(endpoint: str) -> socket.socket:
    scheme, _, rest = endpoint.partition(":")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_SECONDS)
        connection.connect(rest)
        return connection
    address, _, port = rest.rpartition(":")
    if scheme != "tcp" or not port.isdigit():
        raise OvsdbError(f"database {endpoint!r}: must be unix:PATH or tcp:ADDRESS:PORT")
    return socket.create_connection((address.strip("[]"), int(port)), CONNECT_SECONDS)


def _name(operation: Operation) -> str:
    row = operation.get("row", {})
    return " ".join(str(part) for part in (operation["op"], operation.get("table", ""), row.get("name", "")) if part)


# Operations and values


def select(table: str, columns: Sequence[str], where: Sequence[Sequence[Any]] = ()) -> Operation:
    """Return a ``select`` operation; all conditions of ``where`` (``[column, function, value]``) must hold."""
    return {"op": "select", "table": table, "where": list(where), "columns": list(columns)}


def select_named(table: str, columns: Sequence[str], names: Sequence[str]) -> list[Operation]:
    """Return a ``select`` operation for each name (OVSDB has no "in")."""
    return [select(table, columns, [["name", "==", name]]) for name in names]


def by_uuid(uuid: str) -> list[list[Any]]:
    """Return the condition that selects the row ``uuid``."""
    return [["_uuid", "==", ["uuid", uuid]]]


def to_map(value: Mapping[str, str]) -> list[Any]:
    """Convert a Python mapping to an OVSDB map."""
    return ["map", [[key, item] for key, item in value.items()]]


def to_set(values: Sequence[Any]) -> list[Any]:
    """Convert a Python sequence to an OVSDB set (empty: an optional column without a value)."""
    return ["set", list(values)]


def from_map(value: Any) -> dict[str, str]:
    """Convert an OVSDB map to a dict."""
    return dict(value[1])


def from_set(value: Any) -> list[Any]:
    """Convert an OVSDB set to a list; OVSDB sends a set of one value as the bare value. UUIDs become their text."""
    if isinstance(value, list) and value and value[0] == "set":
        return [_bare(item) for item in value[1]]
    return [_bare(value)]


def optional(value: Any, missing: Any) -> Any:
    """Return the value of an optional column, or ``missing`` if the column is empty."""
    values = from_set(value)
    return values[0] if values else missing


def _bare(value: Any) -> Any:
    return value[1] if isinstance(value, list) and len(value) == 2 and value[0] in ("uuid", "named-uuid") else value


def map_mutations(column: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[list[Any]]:
    """Return the mutations that replace the keys of ``before`` by those of ``after``. Other keys of the row stay."""
    gone = [key for key in before if after.get(key) != before[key]]
    fresh = {key: value for key, value in after.items() if before.get(key) != value}
    mutations: list[list[Any]] = []
    if gone or fresh:  # "insert" does not replace the value of an existing key
        mutations.append([column, "delete", to_set(list(dict.fromkeys([*gone, *fresh])))])
    if fresh:
        mutations.append([column, "insert", to_map(fresh)])
    return mutations
