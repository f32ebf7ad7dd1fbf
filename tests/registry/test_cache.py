"""berth-registry as a cache of Debian's docker-registry."""
import json
import os
import threading
import time

import pytest

from engine import Registry
from registries import INDEX, MANIFEST, Client, DockerRegistry, describe, digest, image


@pytest.fixture
def pair(tmp_path):
    (tmp_path / "up").mkdir()
    (tmp_path / "cache").mkdir()
    with DockerRegistry(tmp_path / "up") as upstream, \
            Registry(tmp_path / "cache", "--upstream", upstream.address, "--access-log", tmp_path / "log") as cache:
        yield upstream, cache


def test_a_pull_passes_through_and_stays(pair):
    upstream, cache = pair
    source, client = Client(upstream.address), Client(cache.address)
    layer = os.urandom(3_000_000)
    manifest = source.push_image("team/app", "v1", layer)
    config, _ = image(layer)
    assert client.ask("HEAD", "/v2/team/app/manifests/v1").headers["docker-content-digest"] == digest(manifest)
    pulled = client.get("/v2/team/app/manifests/v1", {"Accept": MANIFEST})
    assert (pulled.body, pulled.headers["content-type"]) == (manifest, MANIFEST)
    head = client.ask("HEAD", f"/v2/team/app/blobs/{digest(layer)}")
    assert (head.status, head.headers["content-length"]) == (200, "3000000")
    for data in (config, layer):
        assert client.get(f"/v2/team/app/blobs/{digest(data)}").body == data
    upstream.process.kill()
    upstream.process.wait()
    for data in (config, layer):
        assert client.get(f"/v2/team/app/blobs/{digest(data)}").body == data
    by_digest = client.get(f"/v2/team/app/manifests/{digest(manifest)}")
    assert by_digest.body == manifest and "warning" not in by_digest.headers
    stale = client.get("/v2/team/app/manifests/v1")
    assert stale.body == manifest
    assert stale.headers["warning"] == f'299 - "{upstream.address} cannot be reached: this manifest may be outdated"'
    assert client.get("/v2/team/app/manifests/v2").status == 503


def test_a_moved_tag_is_noticed(pair):
    upstream, cache = pair
    source, client = Client(upstream.address), Client(cache.address)
    first = source.push_image("a", "v", b"one")
    assert client.get("/v2/a/manifests/v").body == first
    second = source.push_image("a", "v", b"two")
    assert client.get("/v2/a/manifests/v").body == second
    assert client.get("/v2/a/tags/list").json()["tags"] == ["v"]


def test_an_upstream_that_is_away_is_not_waited_for_each_time(pair):
    upstream, cache = pair
    source, client = Client(upstream.address), Client(cache.address)
    manifests = {tag: source.push_image("a", tag, tag.encode()) for tag in ("one", "two")}
    for tag, manifest in manifests.items():
        assert client.get(f"/v2/a/manifests/{tag}").body == manifest
    upstream.process.kill()
    upstream.process.wait()
    client.get("/v2/a/manifests/one")  # finds out
    begun = time.monotonic()
    for _ in range(20):
        answer = client.get("/v2/a/manifests/two")
        assert answer.body == manifests["two"] and "may be outdated" in answer.headers["warning"]
    listed = client.get("/v2/a/tags/list")
    assert listed.json()["tags"] == ["one", "two"] and "may be outdated" in listed.headers["warning"]
    assert time.monotonic() - begun < 1


def test_tags_and_referrers_are_the_upstreams(tmp_path):
    for name in ("up", "cache"):
        (tmp_path / name).mkdir()
    with Registry(tmp_path / "up") as upstream, Registry(tmp_path / "cache", "--upstream", upstream.address) as cache:
        source, client = Client(upstream.address), Client(cache.address)
        manifest = source.push_image("a", "v1")
        source.push_image("a", "v2", b"never pulled")
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "artifactType": "a/sig", "manifests": [],
                           "subject": describe(MANIFEST, manifest)}).encode()
        source.push_manifest("a", digest(body), body, INDEX)
        assert client.get("/v2/a/tags/list").json()["tags"] == ["v1", "v2"]
        assert client.get("/v2/a/tags/list?n=1").headers["link"] == '</v2/a/tags/list?last=v1&n=1>; rel="next"'
        assert client.get("/v2/a/tags/list?last=v1").json()["tags"] == ["v2"]
        assert client.get("/v2/nobody/tags/list").code() == "NAME_UNKNOWN"
        target = f"/v2/a/referrers/{digest(manifest)}"
        listed = client.get(target + "?artifactType=a/sig")
        assert [entry["digest"] for entry in listed.json()["manifests"]] == [digest(body)]
        assert client.get(target + "?artifactType=a/other").json()["manifests"] == []
        assert client.get(f"/v2/a/manifests/{digest(body)}").body == body
        upstream.kill()
        stale = client.get(target)  # the signature was asked for and is here
        assert [entry["digest"] for entry in stale.json()["manifests"]] == [digest(body)]
        assert "this list of referrers may be outdated" in stale.headers["warning"]
        upstream.start()


def test_a_tag_that_the_upstream_deleted_goes(tmp_path):
    for name in ("up", "cache"):
        (tmp_path / name).mkdir()
    with Registry(tmp_path / "up") as upstream, Registry(tmp_path / "cache", "--upstream", upstream.address) as cache:
        source, client = Client(upstream.address), Client(cache.address)
        manifest = source.push_image("a", "v1")
        assert client.get("/v2/a/manifests/v1").body == manifest
        assert source.ask("DELETE", "/v2/a/manifests/v1").status == 202
        assert client.get("/v2/a/manifests/v1").code() == "MANIFEST_UNKNOWN"
        upstream.kill()
        assert client.get("/v2/a/manifests/v1").status in (404, 503)  # not the old one
        assert client.get(f"/v2/a/manifests/{digest(manifest)}").body == manifest
        upstream.start()


def test_who_waits_for_a_download_that_fails_tries_again(pair):
    """Not "blob unknown": a client would take that for an answer."""
    upstream, cache = pair
    source, client = Client(upstream.address), Client(cache.address)
    layer = os.urandom(30_000_000)
    source.push_image("a", "v", layer)
    client.get("/v2/a/manifests/v")
    stored = next((upstream.folder / "data").rglob(f"{digest(layer)[7:]}/data"))
    damaged = bytearray(layer)
    damaged[-1] ^= 1
    stored.write_bytes(damaged)
    statuses = []

    def pull():
        try:
            statuses.append(Client(cache.address).get(f"/v2/a/blobs/{digest(layer)}").status)
        except OSError:
            statuses.append(0)

    threads = [threading.Thread(target=pull) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 404 not in statuses, statuses


def test_what_is_not_there(pair):
    _, cache = pair
    client = Client(cache.address)
    assert client.get("/v2/a/manifests/nope").code() == "MANIFEST_UNKNOWN"
    assert client.get(f"/v2/a/blobs/{digest(b'nope')}").code() == "BLOB_UNKNOWN"
    assert client.ask("POST", "/v2/a/blobs/uploads/").code() == "UNSUPPORTED"


def test_many_clients_cause_one_download(pair):
    upstream, cache = pair
    source, client = Client(upstream.address), Client(cache.address)
    layer = os.urandom(20_000_000)
    source.push_image("a", "v", layer)
    client.get("/v2/a/manifests/v")
    results = []

    def pull():
        results.append(Client(cache.address).get(f"/v2/a/blobs/{digest(layer)}").body == layer)

    threads = [threading.Thread(target=pull) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8
    assert len(list((cache.folder / "data" / "blobs" / "sha256").glob(digest(layer)[7:]))) == 1


def test_a_range_of_a_blob_that_is_not_there_yet(pair):
    upstream, cache = pair
    source, client = Client(upstream.address), Client(cache.address)
    layer = os.urandom(2_000_000)
    source.push_image("a", "v", layer)
    client.get("/v2/a/manifests/v")
    part = client.get(f"/v2/a/blobs/{digest(layer)}", {"Range": "bytes=1000000-1000009"})
    assert (part.status, part.body) == (206, layer[1_000_000:1_000_010])


def test_a_damaged_blob_reaches_nobody_as_a_whole_one(pair):
    upstream, cache = pair
    source, client = Client(upstream.address), Client(cache.address)
    layer = os.urandom(2_000_000)
    source.push_image("a", "v", layer)
    client.get("/v2/a/manifests/v")
    stored = next((upstream.folder / "data").rglob(f"{digest(layer)[7:]}/data"))
    damaged = bytearray(layer)
    damaged[-1] ^= 1
    stored.write_bytes(damaged)
    answer = client.get(f"/v2/a/blobs/{digest(layer)}")
    assert len(answer.body) < len(layer)
    assert client.ask("HEAD", f"/v2/a/blobs/{digest(layer)}").status == 200  # known by the manifest
    assert not list((cache.folder / "data" / "blobs" / "sha256").glob(digest(layer)[7:]))
    stored.write_bytes(layer)
    assert client.get(f"/v2/a/blobs/{digest(layer)}").body == layer


def test_what_nobody_asks_for_goes(pair):
    upstream, cache = pair
    source, client = Client(upstream.address), Client(cache.address)
    for name in ("old", "used"):
        source.push_image(name, "v", name.encode())
        client.get(f"/v2/{name}/manifests/v")
        assert client.get(f"/v2/{name}/blobs/{digest(name.encode())}").status == 200
    for path in (cache.folder / "data").rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))
    client.get("/v2/used/manifests/v")
    client.get(f"/v2/used/blobs/{digest(b'used')}")
    report = cache.collect()
    assert (report["manifests"], report["blobs"]) == (1, 2)  # a manifest and a layer; nobody pulled the configuration
    layouts = cache.folder / "data" / "repositories"
    assert json.loads((layouts / "old" / "_layout" / "index.json").read_text())["manifests"] == []
    assert len(json.loads((layouts / "used" / "_layout" / "index.json").read_text())["manifests"]) == 1
    assert client.get("/v2/old/manifests/v").status == 200  # from there again
    assert client.get(f"/v2/old/blobs/{digest(b'old')}").body == b"old"


def test_a_quota_makes_room(tmp_path):
    (tmp_path / "up").mkdir()
    (tmp_path / "cache").mkdir()
    with DockerRegistry(tmp_path / "up") as upstream, \
            Registry(tmp_path / "cache", "--upstream", upstream.address, "--quota", "3m") as cache:
        source, client = Client(upstream.address), Client(cache.address)
        for number in range(4):
            layer = os.urandom(1_200_000)
            source.push_image("a", f"v{number}", layer)
            client.get(f"/v2/a/manifests/v{number}")
            pulled = client.get(f"/v2/a/blobs/{digest(layer)}")
            assert (pulled.status, pulled.body) == (200, layer), number
            for path in (cache.folder / "data").rglob("*"):
                if path.is_file():
                    os.utime(path, (path.stat().st_mtime - 86400,) * 2)  # a day passes
