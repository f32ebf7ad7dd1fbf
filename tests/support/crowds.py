"""Many clients at once: what it takes to be them, and that others notice nothing of them."""
import pathlib
import resource
import time

import pytest


def resident(pid):
    """MiB"""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS line")


def assert_served(connect, count):
    """Quickly, too: the slowest answer of a few, each over a connection of its own from connect()."""
    slowest = 0
    for _ in range(count):
        start = time.monotonic()
        with connect() as client:
            client.sendall(b"GET /containers/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        slowest = max(slowest, time.monotonic() - start)
    assert slowest < 5, slowest


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 12_000:
        pytest.skip("too few descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
