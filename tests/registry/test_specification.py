"""The distribution specification where docker-registry 2.8 does not follow it yet: pieces, single POST, referrers, SHA-512."""
import hashlib
import json

import pytest

from engine import wait_until
from registries import CONFIG, INDEX, LAYER, MANIFEST, Client, describe, digest, image


@pytest.fixture
def client(registry):
    return Client(registry.address)


def test_a_blob_in_one_post(client):
    data = b"all at once"
    answer = client.ask("POST", f"/v2/spec/a/blobs/uploads/?digest={digest(data)}", data)
    assert (answer.status, answer.headers["docker-content-digest"]) == (201, digest(data))
    assert client.get(answer.headers["location"]).body == data
    wrong = client.ask("POST", f"/v2/spec/a/blobs/uploads/?digest={digest(b'else')}", data)
    assert (wrong.status, wrong.code()) == (400, "DIGEST_INVALID")


def test_pieces_must_follow_each_other(client):
    location = client.begin("spec/a")

    def piece(data, span):
        return client.ask("PATCH", location, data, {"Content-Range": span, "Content-Type": "application/octet-stream"})

    first = piece(b"hello", "0-4")
    assert (first.status, first.headers["range"], first.headers["location"]) == (202, "0-4", location)
    for span in ("7-9", "0-2", "4-6"):
        gap = piece(b"xyz", span)
        assert (gap.status, gap.code(), gap.headers["range"]) == (416, "RANGE_INVALID", "0-4"), span
    short = piece(b"xy", "5-9")
    assert (short.status, short.code()) == (400, "SIZE_INVALID")
    for span in ("nonsense", "5", "9-5", "5-18446744073709551615"):
        assert piece(b"xyz", span).status == 400, span
    assert client.get(location).headers["range"] == "0-4"
    assert piece(b" world", "5-10").status == 202
    outside = client.ask("PUT", f"{location}?digest={digest(b'hello world!')}", b"!", {"Content-Range": "0-0"})
    assert outside.status == 416
    done = client.ask("PUT", f"{location}?digest={digest(b'hello world!')}", b"!", {"Content-Range": "11-11"})
    assert done.status == 201
    assert client.get(done.headers["location"]).body == b"hello world!"


def test_a_streamed_blob(client):
    data = bytes(range(256)) * 4000
    location = client.begin("spec/a")
    pieces = (data[start:start + 50_000] for start in range(0, len(data), 50_000))
    streamed = client.ask("PATCH", location, pieces)  # chunked, by Python
    assert (streamed.status, streamed.headers["range"]) == (202, f"0-{len(data) - 1}")
    assert client.put_upload(location, b"", digest(data)).status == 201


def test_sha512(client):
    data = b"a longer hash"
    named = digest(data, "sha512")
    assert client.push_blob("spec/long", data, named) == named
    assert client.get(f"/v2/spec/long/blobs/{named}").body == data
    assert client.ask("POST", f"/v2/spec/long/blobs/uploads/?digest={named}", data).status == 201
    begun = client.ask("POST", "/v2/spec/long/blobs/uploads/?digest-algorithm=sha512")
    assert client.put_upload(begun.headers["location"], data, named).status == 201
    assert client.ask("POST", "/v2/spec/long/blobs/uploads/?digest-algorithm=md5").code() == "DIGEST_INVALID"
    config, _ = image(data)
    client.push_blob("spec/long", config, digest(config, "sha512"))
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                           "config": {**describe(CONFIG, config), "digest": digest(config, "sha512")},
                           "layers": [{**describe(LAYER, data), "digest": named}]}).encode()
    client.push_manifest("spec/long", digest(manifest, "sha512"), manifest)
    answer = client.get(f"/v2/spec/long/manifests/{digest(manifest, 'sha512')}")
    assert (answer.body, answer.headers["docker-content-digest"]) == (manifest, digest(manifest, "sha512"))
    assert client.get(f"/v2/spec/long/manifests/sha512:{hashlib.sha512(b'x').hexdigest()}").code() == "MANIFEST_UNKNOWN"
    assert client.ask("POST", f"/v2/spec/other/blobs/uploads/?mount={named}&from=spec/long").status == 201


def test_a_mount_without_a_source(client):
    named = client.push_blob("spec/source", b"found anywhere")
    mounted = client.ask("POST", f"/v2/spec/target/blobs/uploads/?mount={named}")
    assert (mounted.status, mounted.headers["location"]) == (201, f"/v2/spec/target/blobs/{named}")
    assert client.ask("POST", f"/v2/spec/target/blobs/uploads/?mount={digest(b'nowhere')}").status == 202


def test_referrers(client):
    subject = client.push_image("spec/ref", "v1")
    empty = client.push_blob("spec/ref", b"{}")
    assert empty
    pushed = {}
    for number, kind in enumerate(("application/sbom", "application/signature", "application/sbom")):
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "annotations": {"n": str(number)},
                    "config": describe("application/vnd.oci.empty.v1+json", b"{}"),
                    "layers": [describe("application/vnd.oci.empty.v1+json", b"{}")], "subject": describe(MANIFEST, subject)}
        body = json.dumps(document).encode()
        answer = client.ask("PUT", f"/v2/spec/ref/manifests/{digest(body)}", body, {"Content-Type": MANIFEST})
        assert (answer.status, answer.headers["oci-subject"]) == (201, digest(subject))
        pushed[digest(body)] = (kind, str(number))
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "artifactType": "application/list", "manifests": [],
                        "subject": describe(MANIFEST, subject)}).encode()
    client.push_manifest("spec/ref", digest(index), index, INDEX)
    pushed[digest(index)] = ("application/list", None)
    target = f"/v2/spec/ref/referrers/{digest(subject)}"
    answer = client.get(target)
    assert answer.headers["content-type"] == INDEX and "oci-filters-applied" not in answer.headers
    found = {entry["digest"]: (entry["artifactType"], entry.get("annotations", {}).get("n")) for entry in answer.json()["manifests"]}
    assert found == pushed
    filtered = client.get(target + "?artifactType=application/sbom")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert {entry["artifactType"] for entry in filtered.json()["manifests"]} == {"application/sbom"}
    assert len(filtered.json()["manifests"]) == 2
    for other in (f"/v2/spec/ref/referrers/{digest(b'x')}", f"/v2/spec/nobody/referrers/{digest(b'x')}"):
        assert client.get(other).status == 200 and client.get(other).json()["manifests"] == []
    assert client.get("/v2/spec/ref/referrers/nonsense").code() == "DIGEST_INVALID"
    gone = next(iter(pushed))
    assert client.ask("DELETE", f"/v2/spec/ref/manifests/{gone}").status == 202
    assert gone not in {entry["digest"] for entry in client.get(target).json()["manifests"]}


def test_referrers_with_large_annotations_come_in_small_pages(client):
    """Each may have almost 4 MiB of them: an answer with a thousand would fill the memory."""
    subject = client.push_image("spec/large", "v1")
    pushed = set()
    for number in range(4):
        document = {"schemaVersion": 2, "mediaType": INDEX, "artifactType": "a/b", "manifests": [], "subject": describe(MANIFEST, subject),
                    "annotations": {"n": str(number), "long": "x" * 1_800_000}}
        body = json.dumps(document).encode()
        client.push_manifest("spec/large", digest(body), body, INDEX)
        pushed.add(digest(body))
    found, sizes, target = set(), [], f"/v2/spec/large/referrers/{digest(subject)}"
    while target:
        answer = client.get(target)
        assert answer.status == 200
        found |= {entry["digest"] for entry in answer.json()["manifests"]}
        sizes.append(len(answer.body))
        target = answer.headers["link"][1:].split(">")[0] if "link" in answer.headers else None
    assert found == pushed and max(sizes) <= 4 << 20 and len(sizes) == 2


def test_a_manifest_is_not_deleted_as_a_blob(client):
    manifest = client.push_image("spec/both", "v1")
    assert client.ask("DELETE", f"/v2/spec/both/blobs/{digest(manifest)}").code() == "BLOB_UNKNOWN"
    assert client.get("/v2/spec/both/manifests/v1").body == manifest


def test_referrers_come_in_pages(client):
    subject = client.push_image("spec/many", "v1")
    client.push_blob("spec/many", b"{}")
    for number in range(1001):
        document = {"schemaVersion": 2, "mediaType": INDEX, "artifactType": "a/b", "annotations": {"n": str(number)}, "manifests": [],
                    "subject": describe(MANIFEST, subject)}
        body = json.dumps(document).encode()
        client.push_manifest("spec/many", digest(body), body, INDEX)
    first = client.get(f"/v2/spec/many/referrers/{digest(subject)}?artifactType=a/b")
    assert len(first.json()["manifests"]) == 1000
    following = first.headers["link"]
    assert following.endswith('>; rel="next"') and "artifactType=a%2Fb" in following
    second = client.get(following[1:following.index(">")])
    assert len(second.json()["manifests"]) == 1 and "link" not in second.headers


def test_the_fallback_tag_schema(client):
    subject = client.push_image("spec/fallback", "v1")
    tag = digest(subject).replace(":", "-")
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    client.push_manifest("spec/fallback", tag, index, INDEX)
    assert client.get(f"/v2/spec/fallback/manifests/{tag}").body == index


def test_pages_of_tags(client):
    for tag in ("a", "b", "c", "d"):
        client.push_image("spec/tags", tag)
    first = client.get("/v2/spec/tags/tags/list?n=2")
    assert first.json()["tags"] == ["a", "b"]
    assert first.headers["link"] == '</v2/spec/tags/tags/list?last=b&n=2>; rel="next"'
    second = client.get(first.headers["link"][1:].split(">")[0])
    assert second.json()["tags"] == ["c", "d"] and "link" not in second.headers
    assert client.get("/v2/spec/tags/tags/list?last=bb").json()["tags"] == ["c", "d"]
    assert client.get("/v2/spec/tags/tags/list?n=0").json()["tags"] == []
    assert client.get("/v2/spec/tags/tags/list?n=x").code() == "PAGINATION_NUMBER_INVALID"


def test_a_moved_tag_leaves_its_manifest(client):
    first = client.push_image("spec/moved", "v", b"one")
    second = client.push_image("spec/moved", "v", b"two")
    assert client.get("/v2/spec/moved/manifests/v").body == second
    assert client.get(f"/v2/spec/moved/manifests/{digest(first)}").body == first
    assert client.ask("DELETE", "/v2/spec/moved/manifests/v").status == 202
    assert client.get("/v2/spec/moved/manifests/v").code() == "MANIFEST_UNKNOWN"
    assert client.get(f"/v2/spec/moved/manifests/{digest(second)}").status == 200


def test_accept_with_wildcards_and_quality(client):
    client.push_image("spec/accept", "v")

    def status(accept):
        return client.get("/v2/spec/accept/manifests/v", {"Accept": accept} if accept else None).status

    for accept in ("*/*", "application/*", f"text/html, {MANIFEST};q=0.5", MANIFEST.upper(), None):
        assert status(accept) == 200, accept
    for accept in ("text/html", f"{MANIFEST};q=0", INDEX):
        assert status(accept) == 404, accept


def test_every_upload_has_one_user_at_a_time(client):
    location = client.begin("spec/a")
    connection = client.connect()
    connection.putrequest("PATCH", location)
    connection.putheader("Content-Length", "200000")  # a short body is awaited before anything is done with it
    connection.endheaders()
    connection.send(b"x" * 100_000)
    wait_until("busy upload", lambda: client.get(location).status == 429)
    connection.send(b"x" * 100_000)
    assert connection.getresponse().status == 202
    connection.close()
    assert client.get(location).headers["range"] == "0-199999"
