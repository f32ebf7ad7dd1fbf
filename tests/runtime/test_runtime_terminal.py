"""Terminals: over a console socket, and as this process's own."""
import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import termios

import pytest


def terminal(config):
    config["process"]["terminal"] = True
    config["process"]["consoleSize"] = {"height": 11, "width": 77}


class ConsoleSocket:
    """What conmon and containerd's shim do: listen, and take a descriptor."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(30)

    def descriptor(self):
        peer, _ = self.listener.accept()
        with peer:
            data, fds, _, _ = socket.recv_fds(peer, 4096, 4)
        assert len(fds) == 1 and data
        return fds[0]


@pytest.fixture
def console(tmp_path):
    made = ConsoleSocket(tmp_path / "console.sock")
    yield made
    made.listener.close()


def read_until(fd, words):
    seen = b""
    while words not in seen:
        assert select.select([fd], [], [], 30)[0], seen
        try:
            got = os.read(fd, 4096)
        except OSError:
            got = b""
        assert got, seen
        seen += got
    return seen


def test_create_sends_the_terminal(runtime, console):
    bundle = runtime.bundle(["/bin/sh", "-c", "tty; stty size; read x; echo got $x"], terminal)
    runtime.run("create", "--bundle", bundle, "--console-socket", console.path, "one")
    master = console.descriptor()
    assert os.isatty(master)
    runtime.run("start", "one")
    assert b"/dev/pts/0" in read_until(master, b"11 77")
    os.write(master, b"hello\n")
    read_until(master, b"got hello")
    os.close(master)


def test_exec_sends_the_terminal(runtime, console):
    runtime.start("one")
    runtime.run("exec", "--tty", "--detach", "--console-socket", console.path, "one", "sh", "-c", "tty; read x; echo got $x")
    master = console.descriptor()
    read_until(master, b"/dev/pts/")
    os.write(master, b"hello\n")
    read_until(master, b"got hello")
    os.close(master)


def test_exec_refuses_a_terminal_that_nobody_gets(runtime):
    runtime.start("one")
    done = runtime.run("exec", "--tty", "--detach", "one", "sh", check=False)
    assert done.returncode == 255 and "cannot allocate tty if" in done.stderr


def test_socket_that_nobody_listens_at(runtime, tmp_path):
    done = runtime.run("create", "--bundle", runtime.bundle(change=terminal), "--console-socket", tmp_path / "no", "one",
                       check=False)
    assert done.returncode == 1 and str(tmp_path / "no") in done.stderr
    assert runtime.remains() == []


@pytest.mark.parametrize("command", ["run", "exec"])
def test_foreground_terminal(runtime, command):
    """The runtime stands between our terminal and the container's: input, output, size, raw mode, status."""
    script = "stty size; stty -echo; echo ready; read x; echo got $x; exit 5"
    if command == "run":
        arguments = ["run", "--bundle", str(runtime.bundle(["/bin/sh", "-c", script], terminal)), "one"]
    else:
        runtime.start("one")
        arguments = ["exec", "--tty", "one", "sh", "-c", script]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 91, 0, 0))
    with subprocess.Popen(runtime.command(*arguments), stdin=slave, stdout=slave, stderr=slave,
                          start_new_session=True) as running:
        try:
            before = read_until(master, b"ready")
            assert b"21 91" in before
            assert not termios.tcgetattr(slave)[3] & termios.ECHO  # raw: the container's terminal echoes
            os.write(master, b"hello\n")
            assert b"got hello" in read_until(master, b"got hello")
            assert running.wait(30) == 5
        finally:
            running.kill()
    assert termios.tcgetattr(slave)[3] & termios.ECHO
    os.close(slave)
    os.close(master)


@pytest.mark.ours
def test_pidfd_socket(runtime, tmp_path):
    pidfds = ConsoleSocket(tmp_path / "pidfd.sock")
    runtime.run("create", "--bundle", runtime.bundle(), "--pidfd-socket", pidfds.path, "one")
    pidfd = pidfds.descriptor()
    assert not select.select([pidfd], [], [], 0)[0]
    runtime.run("delete", "--force", "one")
    assert select.select([pidfd], [], [], 30)[0]
    os.close(pidfd)
    pidfds.listener.close()
