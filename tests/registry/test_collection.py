"""Garbage collection: by hand beside a serving process and without one, by itself, and while pushes go on."""
import json
import threading

from engine import Registry, wait_until
from registries import INDEX, MANIFEST, Client, describe, digest


def test_what_nothing_refers_to_goes(tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        client.push_image("a", "v1", b"kept")
        orphan = client.push_blob("a", b"orphan")
        client.push_blob("b", b"orphan")
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                            "manifests": [describe(MANIFEST, client.push_image("a", "v2", b"listed"))]}).encode()
        client.push_manifest("a", "index", index, INDEX)
        assert registry.collect("--gc-grace", "1h") == {"manifests": 0, "blobs": 0, "uploads": 0, "bytes": 0, "skipped": 0}
        wait_until("a second", lambda: registry.collect("--gc-grace", "0s")["blobs"] == 2 or not exists(client, "a", orphan))
        assert not exists(client, "a", orphan) and not exists(client, "b", orphan)
        assert not list((tmp_path / "data" / "blobs" / "sha256").glob(orphan[7:]))
        for tag in ("v1", "v2", "index"):
            assert client.get(f"/v2/a/manifests/{tag}").status == 200
        assert exists(client, "a", digest(b"kept")) and exists(client, "a", digest(b"listed"))


def exists(client, name, named):
    return client.ask("HEAD", f"/v2/{name}/blobs/{named}").status == 200


def age(folder):
    """Makes everything look as if nobody had used it for two days."""
    import os
    import time
    then = time.time() - 2 * 86400
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def test_without_a_serving_process(tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        client.push_image("a", "v1", b"kept")
        client.push_blob("a", b"orphan")
        location = client.begin("a")
        client.ask("PATCH", location, b"half")
    age(tmp_path / "data")
    assert registry.collect() == {"manifests": 0, "blobs": 1, "uploads": 0, "bytes": 6, "skipped": 0}
    with Registry(tmp_path) as registry:
        assert not exists(Client(registry.address), "a", digest(b"orphan"))
        assert Client(registry.address).get("/v2/a/manifests/v1").status == 200


def test_untagged_manifests(tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        old = client.push_image("a", "v", b"old")
        new = client.push_image("a", "v", b"new")
        client.push_blob("a", b"{}")

        def sign(subject):
            body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "artifactType": "a/sig", "manifests": [],
                               "subject": describe(MANIFEST, subject)}).encode()
            return client.push_manifest("a", digest(body), body, INDEX)

        signatures = {"old": sign(old), "new": sign(new)}
        age(tmp_path / "data")
        assert registry.collect()["manifests"] == 0
        age(tmp_path / "data")
        report = registry.collect("--gc-untagged")
        assert report["manifests"] == 2, report  # the old image and its signature
        for name, there in (("old", 404), ("new", 200)):
            assert client.get(f"/v2/a/manifests/{digest(signatures[name])}").status == there
        assert client.get(f"/v2/a/manifests/{digest(old)}").status == 404
        assert client.get("/v2/a/manifests/v").body == new
        assert not exists(client, "a", digest(b"old")) and exists(client, "a", digest(b"new"))


def test_what_is_asked_for_stays(tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        used, unused = client.push_blob("a", b"used"), client.push_blob("a", b"unused")
        source = client.push_blob("source", b"mounted")
        age(tmp_path / "data")
        assert exists(client, "a", used)  # a client that will skip it
        assert client.ask("POST", f"/v2/a/blobs/uploads/?mount={source}&from=source").status == 201
        registry.collect()
        assert exists(client, "a", used) and exists(client, "a", source) and not exists(client, "a", unused)


def test_abandoned_uploads_go(tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        location = client.begin("a")
        client.ask("PATCH", location, b"half")
        age(tmp_path / "data")
        assert registry.collect()["uploads"] == 0  # two days are not seven
        import os
        for path in (tmp_path / "data").rglob("_uploads/*"):
            os.utime(path, (0, 0))
        assert registry.collect()["uploads"] == 1
        assert client.get(location).status == 404


def test_by_itself(tmp_path):
    with Registry(tmp_path, "--gc-interval", "1s", "--gc-grace", "0s") as registry:
        client = Client(registry.address)
        orphan = client.push_blob("a", b"orphan")
        wait_until("collection", lambda: not (tmp_path / "data" / "blobs" / "sha256" / orphan[7:]).exists())
        assert not exists(client, "a", orphan)


def test_pushes_go_on_meanwhile(tmp_path):
    """Images that are pushed while everything that may be collected is, again and again, are whole afterwards."""
    with Registry(tmp_path, "--gc-grace", "2s") as registry:
        stop = threading.Event()
        failures = []

        def push(worker):
            client = Client(registry.address)
            number = 0
            while not stop.is_set():
                try:
                    name, layer = f"busy/{worker % 2}", b"layer %d" % (number % 7)
                    client.push_image(name, f"w{worker}-{number}", layer)
                    client.push_blob(name, b"orphan %d %d" % (worker, number))
                    client.ask("DELETE", f"/v2/{name}/manifests/w{worker}-{number - 3}")
                    number += 1
                except AssertionError as wrong:
                    failures.append(wrong)
                    return

        threads = [threading.Thread(target=push, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        taken = [0]

        def collected():
            taken[0] += registry.collect("--gc-grace", "2s", "--gc-untagged")["blobs"]
            return taken[0] > 20 or failures

        wait_until("garbage", collected)
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures, failures
        whole(Client(registry.address))


def whole(client):
    """Every tag's manifest and blobs are there."""
    for name in client.get("/v2/_catalog").json()["repositories"]:
        for tag in client.get(f"/v2/{name}/tags/list").json()["tags"]:
            answer = client.get(f"/v2/{name}/manifests/{tag}")
            assert answer.status == 200, (name, tag)
            document = answer.json()
            for entry in [document["config"], *document["layers"]]:
                blob = client.get(f"/v2/{name}/blobs/{entry['digest']}")
                assert blob.status == 200 and digest(blob.body) == entry["digest"], (name, tag, entry)
