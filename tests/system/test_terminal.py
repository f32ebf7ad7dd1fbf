"""Terminals: sizes and the keys that detach, through a pseudo terminal as a person has it."""
import pytest

from engine import BIN, Terminal, docker_client, wait_until

SHOW_SIZES = "trap 'echo size $(stty size)' WINCH; echo ready; while :; do sleep 0.02; done"


@pytest.fixture(params=["berth", "docker"])
def terminal(request, engine):
    program = BIN / "berth" if request.param == "berth" else docker_client()

    def start(*words):
        opened = Terminal([program, *words], engine.environment)
        opened.client = request.param
        return opened

    return start


def check_resizes(seen):
    """Of the first sizes docker may lose some: it asks for the signal a moment after the program runs."""
    rows = 70

    def is_watching():
        nonlocal rows
        rows += 1
        seen.resize(rows, 70)
        try:
            seen.expect(f"size {rows} 70\r\n", deadline=1)
            return True
        except AssertionError:
            return False

    if seen.client == "docker":
        wait_until("docker to watch the window", is_watching)
    for rows, columns in ((50, 100), (24, 80), (61, 203)):
        seen.resize(rows, columns)
        seen.expect(f"size {rows} {columns}\r\n")


def test_resizes_reach_a_container(engine, terminal):
    seen = terminal("run", "-it", "--name", "sized", "busybox", "sh", "-c", SHOW_SIZES)
    seen.expect("ready")
    check_resizes(seen)
    engine.berth("kill", "sized")
    assert seen.wait() == 137


def test_resizes_reach_an_exec(engine, terminal):
    engine.berth("run", "-d", "--name", "sized", "busybox", "sleep", "1000")
    seen = terminal("exec", "-it", "sized", "sh", "-c", SHOW_SIZES)
    seen.expect("ready")
    check_resizes(seen)
    engine.berth("kill", "sized")
    assert seen.wait() == 137


def test_a_terminal_begins_with_the_clients_size(engine, terminal):
    seen = terminal("run", "--rm", "-it", "busybox", "sh", "-c", "until [ \"$(stty size)\" = '40 132' ]; do sleep 0.02; done; echo fits")
    seen.expect("fits")
    assert seen.wait() == 0


def test_an_exec_begins_with_the_clients_size(engine, terminal):
    """Its first program sees it, however soon it asks."""
    engine.berth("run", "-d", "--name", "sized", "busybox", "sleep", "1000")
    for _ in range(10):
        seen = terminal("exec", "-it", "sized", "stty", "size")
        assert seen.wait() == 0 and seen.text == "40 132\r\n"


def test_attach_takes_the_size_along(engine, terminal):
    engine.berth("run", "-dit", "--name", "sized", "busybox", "sh", "-c", SHOW_SIZES)
    wait_until("trap", lambda: "ready" in engine.berth("logs", "sized").stdout)
    seen = terminal("attach", "sized")
    seen.expect("size 40 132\r\n")
    seen.resize(30, 90)
    seen.expect("size 30 90\r\n")
    engine.berth("kill", "sized")
    assert seen.wait() == 137


def test_detach_keys_of_run_and_attach(engine, terminal):
    seen = terminal("run", "-it", "--detach-keys", "ctrl-x,q", "--name", "kept", "busybox", "sh")
    seen.expect("# ")
    seen.send("\x10\x11echo still$((1+1))\n")  # ctrl-p ctrl-q is nothing special now
    seen.expect("still2")
    seen.send("\x18q")
    assert seen.wait() == 0
    assert engine.inspect("kept")["State"]["Running"]
    seen = terminal("attach", "--detach-keys", "a,b,c", "kept")
    seen.send("echo ab$((3+4))\n")  # the first keys alone are typed
    seen.expect("ab7")
    seen.send("abc")
    assert seen.wait() == 1 and seen.text.endswith("read escape sequence\r\n")
    assert engine.inspect("kept")["State"]["Running"]


def test_detach_keys_of_exec(engine, terminal):
    engine.berth("run", "-d", "--name", "kept", "busybox", "sleep", "1000")
    seen = terminal("exec", "-it", "--detach-keys", "ctrl-x", "kept", "sh")
    seen.expect("# ")
    seen.send("echo inside$((1+1))\n")
    seen.expect("inside2")
    seen.send("\x18")
    assert seen.wait() == 1 and seen.text.endswith("read escape sequence\r\n")
    assert "sh" in engine.berth("top", "kept").stdout.split()


def test_detach_keys_of_start(engine, terminal):
    """What this command made runs on: it ends well, as run does."""
    engine.berth("create", "-it", "--name", "kept", "busybox", "sh")
    seen = terminal("start", "-ai", "--detach-keys", "ctrl-x", "kept")
    seen.expect("# ")
    seen.send("\x18")
    assert seen.wait() == 0
    assert engine.inspect("kept")["State"]["Running"]


def test_a_command_that_cannot_run_says_so_on_a_terminal(engine, terminal):
    engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    for words, code, sentence in (
            (("run", "--rm", "-it", "busybox", "absent"), 127, 'exec: "absent": executable file not found in $PATH'),
            (("run", "--rm", "-it", "--pid", "host", "busybox", "absent"), 127, 'exec: "absent": executable file not found in $PATH'),
            (("exec", "-it", "host", "absent"), 127, 'exec: "absent": executable file not found in $PATH'),
            (("exec", "-it", "host", "/etc/passwd"), 126, 'exec: "/etc/passwd": permission denied'),
            (("exec", "-it", "-w", "/absent", "host", "sh"), 127, 'chdir to cwd ("/absent") set in config.json failed: no such file or directory')):
        seen = terminal(*words)
        assert seen.wait() == code and sentence + "\r\n" in seen.text, seen.text


def test_wrong_detach_keys(engine, terminal):
    engine.berth("run", "-dit", "--name", "kept", "busybox", "sh")
    for words in (("run", "--rm", "-it", "--detach-keys", "ctrl-nothing", "busybox", "true"),
                  ("attach", "--detach-keys", "ctrl-nothing", "kept"),
                  ("exec", "-it", "--detach-keys", "ctrl-nothing", "kept", "true")):
        seen = terminal(*words)
        assert seen.wait() in (1, 125) and ("(ctrl-nothing) provided" in seen.text or "received 400" in seen.text), seen.text
    status, answer = engine.request("POST", "/containers/kept/attach?stream=1&stdin=1&detachKeys=ctrl-nothing")
    assert (status, answer["message"]) == (400, "Invalid detach keys (ctrl-nothing) provided")
