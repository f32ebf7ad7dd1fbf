"""SIGKILL at random moments, full disks, damaged files, clients that vanish, and what is too much."""
import json
import os
import random
import subprocess
import threading

import pytest

from engine import Registry, wait_until
from registries import MANIFEST, Client, digest, image
from test_collection import whole


def test_an_upload_goes_on_after_sigkill(tmp_path):
    data = os.urandom(1_000_000)
    registry = Registry(tmp_path)
    with registry:
        client = Client(registry.address)
        location = client.begin("team/app")
        assert client.ask("PATCH", location, data[:400_000], {"Content-Range": "0-399999"}).status == 202
        registry.kill()
        registry.start()
        client = Client(registry.address)
        status = client.get(location)
        assert (status.status, status.headers["range"]) == (204, "0-399999")
        assert client.ask("PATCH", location, data[400_000:], {"Content-Range": "400000-999999"}).status == 202
        assert client.put_upload(location, b"", digest(data)).status == 201
        assert client.get(f"/v2/team/app/blobs/{digest(data)}").body == data


def test_an_upload_goes_on_after_a_clean_stop(tmp_path):
    """A stop in the middle of a request: what was received stays."""
    registry = Registry(tmp_path)
    with registry:
        client = Client(registry.address)
        location = client.begin("a")
        connection = client.connect()
        connection.putrequest("PATCH", location)
        connection.putheader("Content-Length", "1000000")
        connection.endheaders()
        connection.send(b"x" * 300_000)  # written in pieces of 128 KiB
        path = next((tmp_path / "data").rglob("_uploads/*"))
        wait_until("bytes on disk", lambda: path.stat().st_size == 262_144)
        registry.process.terminate()
        wait_until("the end of listening", lambda: refuses(client))
        connection.send(b"y" * 700_000)  # within the time that running requests have
        assert connection.getresponse().status == 202
        connection.close()
        assert registry.process.wait(60) == 0
        registry.start()
        client = Client(registry.address)
        assert client.get(location).headers["range"] == "0-999999"
        assert client.put_upload(location, b"", digest(b"x" * 300_000 + b"y" * 700_000)).status == 201


def refuses(client):
    try:
        client.get("/v2/")
    except OSError:
        return True
    return False


@pytest.mark.parametrize("seed", range(6))
def test_sigkill_while_pushing_and_collecting(tmp_path, seed):
    """Killed at a random moment, with a collection running too: what was acknowledged is there, and the push succeeds again."""
    chance = random.Random(seed)
    registry = Registry(tmp_path, "--gc-grace", "0s", "--gc-interval", "1s", "--gc-untagged")
    acknowledged = {}
    with registry:
        stop = threading.Event()

        def push(worker):
            client = Client(registry.address)
            number = 0
            while not stop.is_set():
                try:
                    layer = os.urandom(2000)
                    acknowledged[worker, number] = client.push_image(f"w{worker}", f"v{number}", layer)
                    number += 1
                except Exception:  # noqa: BLE001: killed in the middle of anything; or collected in between: grace is 0
                    return

        threads = [threading.Thread(target=push, args=(worker,)) for worker in range(3)]
        for thread in threads:
            thread.start()
        wanted = chance.randint(3, 40)
        wait_until("pushes", lambda: len(acknowledged) >= wanted or not any(thread.is_alive() for thread in threads))
        registry.kill()
        stop.set()
        for thread in threads:
            thread.join()
        registry.start()
        client = Client(registry.address)
        for (worker, number), manifest in acknowledged.items():
            assert client.get(f"/v2/w{worker}/manifests/v{number}").body == manifest, (worker, number)
        whole(client)
        pool = tmp_path / "data" / "blobs" / "sha256"
        assert all(digest(path.read_bytes()) == "sha256:" + path.name for path in pool.iterdir())
        assert not list((tmp_path / "data" / "tmp").iterdir())
        client.push_image("w0", "again")


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(small_disk):
    with Registry(small_disk) as registry:
        client = Client(registry.address)
        kept = client.push_image("a", "v1")
        data = os.urandom(12_000_000)
        location = client.begin("a")
        full = client.ask("PUT", f"{location}?digest={digest(data)}", data)
        assert full.status == 507 and full.code() == "UNKNOWN"
        assert "no space left on device" in full.json()["errors"][0]["detail"]
        assert client.get("/v2/a/manifests/v1").body == kept
        reached = int(client.get(location).headers["range"].split("-")[1]) + 1
        assert 4_000_000 < reached < 8_388_608
        subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
        rest = client.ask("PUT", f"{location}?digest={digest(data)}", data[reached:],
                          {"Content-Range": f"{reached}-{len(data) - 1}"})
        assert rest.status == 201, rest.body
        assert client.get(f"/v2/a/blobs/{digest(data)}").body == data


def test_a_full_disk_and_a_manifest(small_disk):
    with Registry(small_disk) as registry:
        client = Client(registry.address)
        kept = client.push_image("a", "v1")
        filler = os.open(small_disk / "filler", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError, match="No space left"):
            while True:
                os.write(filler, b"x" * 4096)
        os.close(filler)
        config, manifest = image(b"layer", annotations={"n": "x" * 100_000})
        answer = client.ask("PUT", "/v2/a/manifests/v2", manifest, {"Content-Type": MANIFEST})
        assert answer.status == 507, answer.body
        assert client.get("/v2/a/tags/list").json()["tags"] == ["v1"]
        (small_disk / "filler").unlink()
        assert client.ask("PUT", "/v2/a/manifests/v2", manifest, {"Content-Type": MANIFEST}).status == 201
        assert client.get("/v2/a/manifests/v1").body == kept


def test_a_flipped_bit_in_a_manifest_is_not_passed_on(tmp_path):
    with Registry(tmp_path) as registry:
        manifest = Client(registry.address).push_image("a", "v1")
    path = tmp_path / "data" / "blobs" / "sha256" / digest(manifest)[7:]
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    with Registry(tmp_path) as registry:
        answer = Client(registry.address).get("/v2/a/manifests/v1")
        assert answer.status == 500 and "damaged" in answer.json()["errors"][0]["detail"]
        again = Client(registry.address).push_blob("b", b"others go on")
        assert again


def test_a_blob_that_was_cut_short_is_mended_by_a_push(tmp_path):
    data = b"whole content" * 1000
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        named = client.push_blob("a", data)
        with open(tmp_path / "data" / "blobs" / "sha256" / named[7:], "r+b") as file:
            file.truncate(100)
        assert client.get(f"/v2/a/blobs/{named}").body != data
        client.push_blob("a", data)
        assert client.get(f"/v2/a/blobs/{named}").body == data


def test_a_client_that_vanishes(tmp_path):
    with Registry(tmp_path) as registry:
        client = Client(registry.address)
        location = client.begin("a")
        connection = client.connect()
        connection.putrequest("PATCH", location)
        connection.putheader("Content-Length", "100000")  # a short body is awaited before anything is done with it
        connection.endheaders()
        connection.send(b"x" * 40_000)
        connection.close()
        wait_until("the rest", lambda: client.get(location).headers.get("range") == "0-39999")
        assert client.ask("PATCH", location, b"y" * 600, {"Content-Range": "40000-40599"}).status == 202
        assert client.put_upload(location, b"", digest(b"x" * 40_000 + b"y" * 600)).status == 201


def test_what_is_too_much(registry):
    client = Client(registry.address)
    large = client.ask("PUT", "/v2/a/manifests/v1", b" " * (5 << 20), {"Content-Type": MANIFEST})
    assert (large.status, large.code()) == (413, "MANIFEST_INVALID")
    connection = client.connect()  # refused by what it announces, before it comes
    connection.putrequest("PUT", "/v2/a/manifests/v1")
    connection.putheader("Content-Length", str(100_000_000))
    connection.putheader("Content-Type", MANIFEST)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    deep = client.ask("PUT", "/v2/a/manifests/v1", b"[" * 100_000, {"Content-Type": MANIFEST})
    assert (deep.status, deep.code()) == (400, "MANIFEST_INVALID")
    layers = [{"mediaType": "x", "digest": digest(b"x"), "size": 1}] * 10_000
    many = client.ask("PUT", "/v2/a/manifests/v1", json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": layers[0], "layers": layers}).encode(), {"Content-Type": MANIFEST})
    assert (many.status, many.code()) == (400, "MANIFEST_INVALID") and "limit of 1024" in many.json()["errors"][0]["detail"]
    assert client.get(f"/v2/{'a' * 256}/tags/list").code() == "NAME_INVALID"
    assert client.get("/v2/" + "a/" * 40_000 + "tags/list").status in (400, 414, 431)
    assert client.get("/v2/", {"X-Long": "x" * 70_000}).status == 431


def test_slow_and_silent_clients(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"limits": {"head-time": "1s", "transfer-time": "1s", "idle-time": "1s"}}))
    with Registry(tmp_path, "--config", config) as registry:
        client = Client(registry.address)
        location = client.begin("a")
        silent = client.connect()
        silent.connect()
        half = client.connect()
        half.connect()
        half.sock.send(b"GET /v2/ HT")
        slow = client.connect()
        slow.putrequest("PATCH", location)
        slow.putheader("Content-Length", "100000")
        slow.endheaders()
        slow.send(b"x" * 10)
        for connection in (silent, half, slow):
            connection.sock.settimeout(30)
            while connection.sock.recv(4096):  # an error at most, then the end
                pass
            connection.close()
        assert client.get(location).headers["range"] == "0-9"


def test_the_number_of_uploads_is_limited(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"limits": {"uploads": 20, "open-uploads": 4}}))
    with Registry(tmp_path, "--config", config) as registry:
        client = Client(registry.address)
        locations = [client.begin("a") for _ in range(20)]
        refused = client.ask("POST", "/v2/a/blobs/uploads/")
        assert (refused.status, refused.code()) == (429, "TOOMANYREQUESTS")
        for number, location in enumerate(locations):  # four have descriptors; all can be gone on with
            data = b"content %d" % number
            assert client.put_upload(location, data, digest(data)).status == 201
        assert client.begin("a")
