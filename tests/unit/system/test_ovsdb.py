"""The OVSDB client with a fake server, which sends the answers that a test sets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from headworks.system.ovsdb import (
    Ovsdb,
    OvsdbError,
    from_map,
    from_set,
    optional,
    present,
    select,
    select_named,
    to_map,
    to_set,
)

Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a server and returns its endpoint. The server answers each request by the next of
    ``replies`` (functions: request → raw bytes)."""
    threads = []

    def start(*replies: Callable[[dict[str, Any]], list[bytes]]) -> str:
        path = tmp_path / "db.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)

        def talk() -> None:
            connection, _ = listener.accept()
            with connection, listener:
                for reply in replies:
                    request = json.loads(connection.recv(1 << 20) or b"{}")
                    for piece in reply(request):
                        connection.sendall(piece)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        threads.append(thread)
        return f"unix:{path}"

    yield start
    for thread in threads:
        thread.join(5)


def result(value: Any, request: dict[str, Any]) -> bytes:
    return json.dumps({"id": request["id"], "result": value, "error": None}).encode()


def test_a_reply_that_comes_in_pieces_is_put_together(serve: Serve) -> None:
    def pieces(request: dict[str, Any]) -> list[bytes]:
        whole = result([{"rows": [{"name": "a}"}]}], request)
        return [whole[:20], whole[20 : whole.index(b"a}") + 2], whole[whole.index(b"a}") + 2 :]]

    with Ovsdb(serve(pieces)) as database:
        assert database.select([select("Bridge", ["name"])]) == [[{"name": "a}"}]]


def test_an_echo_of_the_server_is_answered_while_waiting(serve: Serve) -> None:
    seen = []

    def ask(request: dict[str, Any]) -> list[bytes]:
        seen.append(request)
        return [json.dumps({"id": "echo", "method": "echo", "params": ["hello"]}).encode()]

    def answer(request: dict[str, Any]) -> list[bytes]:
        seen.append(request)
        return [result([{"rows": []}], seen[0])]

    with Ovsdb(serve(ask, answer)) as database:
        assert database.select([select("Bridge", ["name"])]) == [[]]
    assert seen[1] == {"result": ["hello"], "error": None, "id": "echo"}


def test_an_error_names_the_refused_operation(serve: Serve) -> None:
    def refuse(request: dict[str, Any]) -> list[bytes]:
        return [result([{}, {"error": "constraint violation", "details": "no such VLAN"}, None], request)]

    operations = [select("Bridge", ["name"]), {"op": "insert", "table": "Port", "row": {"name": "p1"}}]
    with (
        Ovsdb(serve(refuse)) as database,
        pytest.raises(OvsdbError, match=r"^insert Port p1: constraint violation: no such VLAN"),
    ):
        database.transact(operations)


def test_an_error_at_commit_is_reported_as_a_commit_error(serve: Serve) -> None:
    def refuse(request: dict[str, Any]) -> list[bytes]:
        return [result([{}, {"error": "referential integrity violation", "details": "row x"}], request)]

    with Ovsdb(serve(refuse)) as database, pytest.raises(OvsdbError, match=r"^commit: referential"):
        database.transact([select("Bridge", ["name"])])


def test_a_server_that_does_not_answer_is_an_error_after_the_timeout(serve: Serve) -> None:
    with (
        Ovsdb(serve(lambda request: [], lambda request: []), timeout=0.1) as database,
        pytest.raises(OvsdbError, match="no answer in time"),
    ):
        database.select([select("Bridge", ["name"])])


def test_a_server_that_closes_the_connection_is_an_error(serve: Serve) -> None:
    with Ovsdb(serve(lambda request: [])) as database, pytest.raises(OvsdbError, match="closed the connection"):
        database.select([select("Bridge", ["name"])])


def test_commit_waits_for_vswitchd_and_returns_the_results_of_its_own_operations(serve: Serve) -> None:
    requests = []

    def commit(request: dict[str, Any]) -> list[bytes]:
        requests.append(request)
        return [result([{"count": 1}, {"count": 1}, {"rows": [{"next_cfg": 7}]}], request)]

    def wait(request: dict[str, Any]) -> list[bytes]:
        requests.append(request)
        return [result([{}], request)]

    operation = {"op": "mutate", "table": "Bridge", "where": [], "mutations": []}
    with Ovsdb(serve(commit, wait)) as database:
        assert database.commit([operation]) == [{"count": 1}]
    assert requests[1]["params"][1]["where"] == [["cur_cfg", "<", 7]]


def test_an_error_names_ovs_vswitchd_and_the_time_if_it_does_not_act(serve: Serve) -> None:
    replies = (
        lambda request: [result([{}, {"rows": [{"next_cfg": 7}]}], request)],
        lambda request: [result([{"error": "timed out", "details": "wait timed out"}], request)],
    )
    with (
        Ovsdb(serve(*replies)) as database,
        pytest.raises(OvsdbError, match=r"ovs-vswitchd did not act on the change within 3 s: is it running\?"),
    ):
        database.commit([], seconds=3)


def test_a_missing_server_is_an_error_that_names_the_socket(tmp_path: Path) -> None:
    endpoint = f"unix:{tmp_path}/none.sock"
    assert not present(endpoint)
    with pytest.raises(OvsdbError, match=r"none\.sock: .*is ovsdb-server running"):
        Ovsdb(endpoint)


@pytest.mark.parametrize("endpoint", ["/run/db.sock", "ssl:127.0.0.1:1", "tcp:127.0.0.1", "tcp:host:port"])
def test_an_endpoint_of_another_form_is_refused(endpoint: str) -> None:
    with pytest.raises(OvsdbError, match="must be unix:PATH or tcp:ADDRESS:PORT"):
        Ovsdb(endpoint)


def test_values_are_converted_to_ovsdbs_form_and_back() -> None:
    assert from_map(to_map({"a": "b c", "d": "e,f"})) == {"a": "b c", "d": "e,f"}
    assert from_set(to_set([1, 2])) == [1, 2]
    assert from_set(5) == [5]
    assert from_set(["uuid", "x"]) == ["x"]
    assert from_set(["set", [["uuid", "x"], ["uuid", "y"]]]) == ["x", "y"]
    assert optional(["set", []], "none") == "none"
    assert optional("secure", "") == "secure"


def test_each_name_gets_a_select_operation() -> None:
    queries = select_named("Port", ["tag"], ["a", "b"])
    assert [query["where"] for query in queries] == [[["name", "==", "a"]], [["name", "==", "b"]]]
