"""GET /containers/{id}/attach/ws with a client that knows the protocol (Debian's python3-websocket)."""
import hashlib
import os
import socket
import struct

import pytest

from debian_module import debian_module
from engine import DEADLINE, wait_until

STREAMS = "stream=1&stdin=1&stdout=1&stderr=1"


@pytest.fixture(scope="module")
def websocket():
    return debian_module("python3-websocket", "websocket")


def connect(websocket, engine, container, query=STREAMS, version="v1.51", **options):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE)
    connection.connect(str(engine.socket))
    return websocket.create_connection(f"ws://localhost/{version}/containers/{container}/attach/ws?{query}", socket=connection,
                                       timeout=DEADLINE, suppress_origin=True, **options)


def read_until(client, wanted):
    """What came, up to and with `wanted`, and the kind of its last frame."""
    text, kind = b"", None
    while wanted not in text:
        kind, data = client.recv_data()
        assert kind in (1, 2), f"the connection ended without {wanted!r}: {text!r} {data!r}"
        text += data
    return text, kind


def close_code(client):
    """Of the close frame that comes next."""
    kind, data = client.recv_data()
    assert kind == 8, data
    return struct.unpack("!H", data[:2])[0]


@pytest.mark.parametrize("terminal", [True, False])
def test_types_and_reads(websocket, engine, terminal):
    engine.berth("run", "-di", *(["-t"] if terminal else []), "--name", "shell", "busybox", "sh")
    client = connect(websocket, engine, "shell")
    client.send("echo $((6 * 7)); echo error >&2\n")
    text, kind = read_until(client, b"42")
    assert b"\0" not in text and kind == 2  # bare bytes, never Docker's frames
    # A message of fragments, with a ping between them.
    client.send_frame(websocket.ABNF.create_frame("echo fir", websocket.ABNF.OPCODE_TEXT, 0))
    client.ping("are you there")
    client.send_frame(websocket.ABNF.create_frame("st\n", websocket.ABNF.OPCODE_CONT, 1))
    kind, data = client.recv_data(control_frame=True)
    while kind != 10:
        kind, data = client.recv_data(control_frame=True)
    assert data == b"are you there"
    read_until(client, b"first")
    client.send("exit 3\n")
    while (frame := client.recv_data())[0] != 8:
        pass
    assert struct.unpack("!H", frame[1][:2])[0] == 1000
    assert wait_until("end", lambda: engine.inspect("shell")["State"]["Status"] == "exited")
    assert engine.inspect("shell")["State"]["ExitCode"] == 3


def test_a_large_message(websocket, engine):
    engine.berth("run", "-di", "--name", "counts", "busybox", "sh", "-c", "head -c 200000 | sha256sum")
    client = connect(websocket, engine, "counts")
    data = os.urandom(200_000)
    client.send_binary(data)
    assert hashlib.sha256(data).hexdigest().encode() in read_until(client, b"-\n")[0]


@pytest.mark.parametrize("version, kind", [("v1.27", 1), ("v1.28", 2), ("v1.51", 2)])
def test_frames_are_text_for_old_clients(websocket, engine, version, kind):
    engine.berth("run", "--name", "said", "busybox", "echo", "words")
    client = connect(websocket, engine, "said", "logs=1&stdout=1", version)
    assert read_until(client, b"words") == (b"words\n", kind)
    assert close_code(client) == 1000


def test_before_1_42_all_streams_are_attached(websocket, engine):
    engine.berth("run", "-di", "--name", "shell", "busybox", "sh")
    client = connect(websocket, engine, "shell", "stream=1", "v1.41")
    client.send("echo out; echo err >&2\n")
    read_until(client, b"err")
    silent = connect(websocket, engine, "shell", "stream=1&stderr=1")
    silent.settimeout(1)
    heard = []

    def hears():  # from some moment after its handshake on
        client.send("echo out again; echo err again >&2\n")
        try:
            heard.append(read_until(silent, b"again\n")[0])
        except websocket.WebSocketTimeoutException:
            pass
        return heard

    wait_until("words", hears)
    assert set(heard[0].splitlines()) == {b"err again"}


def test_who_asks_for_no_stream_is_done_at_once(websocket, engine):
    engine.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    for query, version in (("stream=1", "v1.51"), ("stream=1&logs=1", "v1.51"), ("", "v1.41")):
        assert close_code(connect(websocket, engine, "box", query, version)) == 1000
    for container in ("box", engine.berth("create", "busybox").stdout.strip()):
        # Its body ends with the connection.
        assert engine.request("POST", f"/containers/{container}/attach?stream=1") == (200, "")


def test_who_asks_for_no_stream_waits_for_a_program_that_reads_once(engine):
    engine.berth("create", "-i", "--name", "reads", "busybox", "cat")  # docker's StdinOnce
    engine.berth("start", "reads")
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE)
    connection.connect(str(engine.socket))
    connection.sendall(b"POST /containers/reads/attach?stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    engine.berth("kill", "reads")
    assert connection.recv(1) == b""


def test_a_client_that_closes_leaves_the_container(websocket, engine):
    engine.berth("run", "-dit", "--name", "shell", "busybox", "sh")
    client = connect(websocket, engine, "shell")
    client.send("echo one\n")
    read_until(client, b"one\r\n")
    client.close(timeout=DEADLINE)
    again = connect(websocket, engine, "shell")
    again.send("echo $((1 + 1)) more\n")
    read_until(again, b"2 more")
    again.sock.close()  # without a word
    third = connect(websocket, engine, "shell", STREAMS + "&detachKeys=ctrl-a,x")
    third.send("\x01x")
    while third.recv_data()[0] != 8:
        pass
    assert engine.inspect("shell")["State"]["Running"]


def test_input_ends_with_the_connection(websocket, engine):
    engine.berth("create", "-i", "--name", "counts", "busybox", "wc", "-c")  # docker's StdinOnce
    engine.berth("start", "counts")
    client = connect(websocket, engine, "counts")
    client.send("12345")
    client.close(timeout=DEADLINE)
    wait_until("end", lambda: not engine.inspect("counts")["State"]["Running"])
    assert engine.berth("logs", "counts").stdout == "5\n"


def test_errors_come_before_the_handshake(websocket, engine):
    engine.berth("run", "-d", "--name", "paused", "busybox", "sleep", "1000")
    engine.berth("pause", "paused")
    for container, status in (("absent", 404), ("paused", 409)):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            connect(websocket, engine, container)
        assert refused.value.status_code == status
    engine.berth("unpause", "paused")
    status, body = engine.request("GET", "/containers/paused/attach/ws?stream=1&stdout=1")
    assert status == 400 and "websocket" in body["message"]
    status, body = engine.request("GET", "/containers/paused/attach/ws", headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "eHh4eHh4eHh4eHh4eHh4eA=="})
    assert status == 400 and "Sec-WebSocket-Version must be 13" in body["message"]


def test_a_subprotocol_is_given_back(websocket, engine):
    engine.berth("run", "--name", "said", "busybox", "true")
    client = connect(websocket, engine, "said", "logs=1&stdout=1", subprotocols=["mine", "other"])
    assert client.subprotocol == "mine" and close_code(client) == 1000


def test_broken_frames_end_the_connection_alone(websocket, engine):
    engine.berth("run", "-di", "--name", "shell", "busybox", "sh")
    client = connect(websocket, engine, "shell")
    client.sock.sendall(b"\x82\x05plain")  # not masked
    assert close_code(client) == 1002
    assert connect(websocket, engine, "shell").connected


def test_a_reader_that_stops_is_waited_for(websocket, engine):
    """Nothing is lost and nothing grows: the output waits for its reader."""
    engine.berth("run", "-di", "--name", "shell", "busybox", "sh")
    client = connect(websocket, engine, "shell", "stream=1&stdin=1&stdout=1")
    client.send("dd if=/dev/zero bs=1000 count=20000 2>/dev/null; echo done\n")
    total = bytearray()
    while not total.endswith(b"done\n"):
        kind, data = client.recv_data()
        assert kind == 2
        total += data
    assert len(total) == 20_000_000 + len("done\n")
