"""Requests whose end two readers could see in different places: refused, and the connection is not used again."""
import socket

import pytest

from registries import Client

SMUGGLED = b"DELETE /v2/victim/manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n"


def exchange(address, data):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize("headers", [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Content-Length: 0\r\nContent-Length: 60\r\n", b"Content-Length: +0\r\n", b"Content-Length: 0x3\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 0,60\r\n", b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding : chunked\r\n", b"Host: other\r\n", b"Content-Length : 60\r\n"])
def test_a_second_request_in_a_doubtful_body_is_not_served(registry, headers):
    Client(registry.address).push_image("victim", "v1")
    answer = exchange(registry.address, b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ", b"HTTP/1.1 431 ")), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    assert Client(registry.address).get("/v2/victim/manifests/v1").status == 200


@pytest.mark.parametrize("target", [
    "/v2/../../etc/passwd", "/v2/a/../../manifests/v1", "/v2/%2e%2e/blobs/uploads/", "/v2/a/blobs/uploads/..%2f..%2f_layout%2findex.json",
    "/v2/a%00b/tags/list", "/v2/a/blobs/sha256:../../../etc/passwd", "/v2/a/manifests/..%2findex.json", "/v2/_layout/tags/list",
    "/v2/a/_layout/tags/list", "/v2/a//b/tags/list", "/v2/a/referrers/..", "/v2/a/blobs/sha256%3a" + "A" * 64, "/v2/a/blobs/uploads/."])
@pytest.mark.parametrize("method", ("GET", "PUT", "PATCH", "DELETE", "POST"))
def test_no_name_leads_out_of_the_tree(registry, target, method):
    client = Client(registry.address)
    before = sorted(str(path) for path in registry.folder.rglob("*"))
    answer = client.ask(method, target, b"x" if method in ("PUT", "PATCH") else None)
    assert 400 <= answer.status < 500, (answer.status, answer.body)
    assert sorted(str(path) for path in registry.folder.rglob("*")) == before
