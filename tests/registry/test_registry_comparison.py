"""The same requests to berth-registry and to Debian's docker-registry, in the same order; statuses, error codes, headers and
bodies are compared. Where we differ on purpose, DIFFERENCES says in what and why; what stands there must differ indeed.
"""
import json
import re

import pytest

from registries import (CONFIG, DOCKER_LIST, DOCKER_MANIFEST, INDEX, LAYER, MANIFEST, Client, describe, digest, image)

BLOB = b"0123456789" * 10
COMPARED = ("content-type", "docker-content-digest", "docker-distribution-api-version", "docker-upload-uuid", "etag", "link",
            "range", "content-range", "accept-ranges", "cache-control", "location", "content-length", "x-content-type-options",
            "oci-subject", "oci-filters-applied")
ACCEPT_ALL = {"Accept": ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST))}

SPEC = "the specification asks for it; docker-registry 2.8 does not know it"
ROUTE = "docker-registry answers what its routes do not match outside of the API; ours is the API's error"
# step -> aspects that differ, and why
DIFFERENCES = {
    "blob range outside": ("content-type accept-ranges code", "ours has the API's error as body"),
    "blob range backwards": ("content-type accept-ranges code content-range", "ours has the API's error as body, and the size"),
    "blob range of letters": ("content-type accept-ranges code content-range", "ours has the API's error as body, and the size"),
    "blob ranges": ("status content-type content-length body", "RFC 9110: several ranges may be ignored, and no client asks for them"),
    "put bad tag": ("status code content-type", ROUTE),
    "manifest any type": ("status code content-type docker-content-digest content-length etag body",
                          "*/* means anything (RFC 9110), also OCI's types"),
    "manifest none match": ("docker-content-digest etag", "RFC 9110: a 304 has the ETag"),
    "manifest none match bare": ("docker-content-digest etag", "RFC 9110: a 304 has the ETag"),
    "manifest malformed digest": ("status code", "a client's mistake is no internal error"),
    "manifest post": ("code content-type", ROUTE),
    "tags": ("body", SPEC + ": in lexical order"),
    "tags head": ("status content-type content-length", "HEAD is allowed where GET is"),
    "tags page": ("body link content-length", SPEC),
    "tags none": ("body content-length", SPEC),
    "delete tag": ("status code content-type content-length", SPEC),
    "delete unknown tag": ("status code", SPEC),
    "referrers": ("status content-type content-length body", SPEC),
    "base without slash": ("status content-type content-length body location x-content-type-options", "no detour"),
    "base post": ("status code content-length body", "nothing can be posted there"),
    "root": ("x-content-type-options", "ours is on every answer"),
    "bad name": ("status code content-type", SPEC + ": NAME_INVALID"),
    "long name": ("status code", "a client's mistake is no internal error"),
    "upload of nobody": ("code", "there the missing state parameter is found first"),
    "upload malformed": ("code", "there the missing state parameter is found first"),
    "put on uploads": ("status code", "a method that a resource does not have is 405"),
    "get on uploads": ("status code", "a method that a resource does not have is 405"),
}


def normal(value):
    """Without what is each registry's own: host, upload ids, state."""
    value = re.sub(r"^https?://[^/]*", "", value)
    value = re.sub(r"\?_state=.*", "", value)
    return re.sub(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9a-f])", "<id>", value)


def aspects(answer, method):
    seen = {"status": answer.status, "code": answer.code()}
    for name in COMPARED:
        seen[name] = normal(answer.headers[name]) if name in answer.headers else None
    failed = answer.status >= 400
    if failed:  # each has details of its own
        seen["content-length"] = None
    elif method != "HEAD" and answer.body:
        try:
            seen["body"] = json.loads(answer.body)
        except ValueError:
            seen["body"] = answer.body
    return seen


class Conversation:
    """Asks one registry; keeps what it saw by the step's name."""

    def __init__(self, address):
        self.client = Client(address)
        self.seen = {}

    def step(self, name, method, target, body=None, headers=None):
        answer = self.client.ask(method, target, body, headers)
        assert name not in self.seen
        self.seen[name] = aspects(answer, method)
        return answer


def blobs(talk):
    named = digest(BLOB)
    begun = talk.step("begin upload", "POST", "/v2/cmp/a/blobs/uploads/")
    location = begun.headers["location"]
    talk.step("upload status", "GET", location)
    patched = talk.step("patch", "PATCH", location, BLOB[:50], {"Content-Type": "application/octet-stream"})
    location = patched.headers["location"]
    talk.step("upload status later", "GET", location)
    mark = "&" if "?" in location else "?"
    talk.step("put rest", "PUT", f"{location}{mark}digest={named}", BLOB[50:], {"Content-Type": "application/octet-stream"})
    talk.step("upload is over", "GET", location)
    target = f"/v2/cmp/a/blobs/{named}"
    talk.step("blob", "GET", target)
    talk.step("blob head", "HEAD", target)
    talk.step("blob range", "GET", target, headers={"Range": "bytes=10-19"})
    talk.step("blob open range", "GET", target, headers={"Range": "bytes=90-"})
    talk.step("blob suffix range", "GET", target, headers={"Range": "bytes=-5"})
    talk.step("blob range too long", "GET", target, headers={"Range": "bytes=95-200"})
    talk.step("blob range outside", "GET", target, headers={"Range": "bytes=100-"})
    talk.step("blob range backwards", "GET", target, headers={"Range": "bytes=9-5"})
    talk.step("blob range of letters", "GET", target, headers={"Range": "bytes=a-b"})
    talk.step("blob ranges", "GET", target, headers={"Range": "bytes=0-1,5-6"})
    talk.step("blob range head", "HEAD", target, headers={"Range": "bytes=10-19"})
    talk.step("blob none match", "GET", target, headers={"If-None-Match": f'"{named}"'})
    talk.step("blob other match", "GET", target, headers={"If-None-Match": '"other"'})
    talk.step("blob if range", "GET", target, headers={"Range": "bytes=0-1", "If-Range": f'"{named}"'})
    talk.step("blob if range other", "GET", target, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    talk.step("blob unknown", "GET", f"/v2/cmp/a/blobs/{digest(b'nothing')}")
    talk.step("blob unknown head", "HEAD", f"/v2/cmp/a/blobs/{digest(b'nothing')}")
    talk.step("blob of nobody", "GET", f"/v2/cmp/nobody/blobs/{named}")
    talk.step("mount", "POST", f"/v2/cmp/b/blobs/uploads/?mount={named}&from=cmp/a")
    talk.step("mounted blob", "HEAD", f"/v2/cmp/b/blobs/{named}")
    talk.step("mount of nothing", "POST", f"/v2/cmp/b/blobs/uploads/?mount={digest(b'nothing')}&from=cmp/a")
    location = talk.client.begin("cmp/a")
    talk.step("cancel", "DELETE", location)
    talk.step("cancelled", "GET", location)
    location = talk.client.begin("cmp/a")
    mark = "&" if "?" in location else "?"
    talk.step("wrong digest", "PUT", f"{location}{mark}digest={digest(b'else')}", BLOB)
    location = talk.client.begin("cmp/a")
    talk.step("no digest", "PUT", location, BLOB)
    talk.step("malformed digest", "PUT", f"{location}{mark}digest=sha256:xyz", BLOB)
    talk.step("delete blob", "DELETE", f"/v2/cmp/b/blobs/{named}")
    talk.step("delete blob again", "DELETE", f"/v2/cmp/b/blobs/{named}")
    talk.step("empty blob", "PUT", *empty_upload(talk))


def empty_upload(talk):
    location = talk.client.begin("cmp/a")
    return [f"{location}{'&' if '?' in location else '?'}digest={digest(b'')}"]


def manifests(talk):
    layer = b"a layer"
    config, manifest = image(layer)
    target = "/v2/cmp/m/manifests/"
    typed = {"Content-Type": MANIFEST}
    talk.step("manifest of nobody", "GET", target + "v1", headers=ACCEPT_ALL)
    talk.client.push_blob("cmp/m", layer)
    talk.step("manifest before its config", "PUT", target + "v1", manifest, typed)
    talk.client.push_blob("cmp/m", config)
    talk.step("put manifest", "PUT", target + "v1", manifest, typed)
    talk.step("put manifest by digest", "PUT", target + digest(manifest), manifest, typed)
    talk.step("put manifest by other digest", "PUT", target + digest(b"x"), manifest, typed)
    talk.step("put no JSON", "PUT", target + "v2", b"{", typed)
    talk.step("put bad tag", "PUT", target + "-v", manifest, typed)
    talk.step("put unknown type", "PUT", target + "v2", manifest, {"Content-Type": "text/plain"})
    talk.step("manifest by tag", "GET", target + "v1", headers=ACCEPT_ALL)
    talk.step("manifest by digest", "GET", target + digest(manifest), headers=ACCEPT_ALL)
    talk.step("manifest head", "HEAD", target + "v1", headers=ACCEPT_ALL)
    talk.step("manifest not accepted", "GET", target + "v1", headers={"Accept": DOCKER_MANIFEST})
    talk.step("manifest by digest not accepted", "GET", target + digest(manifest), headers={"Accept": DOCKER_MANIFEST})
    talk.step("manifest any type", "GET", target + "v1", headers={"Accept": "*/*"})
    talk.step("manifest none match", "GET", target + "v1", headers={**ACCEPT_ALL, "If-None-Match": f'"{digest(manifest)}"'})
    talk.step("manifest none match bare", "GET", target + "v1", headers={**ACCEPT_ALL, "If-None-Match": digest(manifest)})
    talk.step("manifest unknown tag", "GET", target + "nope", headers=ACCEPT_ALL)
    talk.step("manifest unknown digest", "GET", target + digest(b"x"), headers=ACCEPT_ALL)
    talk.step("manifest malformed digest", "GET", target + "sha256:xyz", headers=ACCEPT_ALL)
    talk.step("manifest post", "POST", target + "v1", manifest, typed)

    docker = talk.client.push_image("cmp/m", "d1", layer, DOCKER_MANIFEST)
    entry = {"mediaType": DOCKER_MANIFEST, "digest": digest(docker), "size": len(docker),
             "platform": {"os": "linux", "architecture": "amd64"}}
    listed = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [entry]}).encode()
    talk.step("put list", "PUT", target + "list", listed, {"Content-Type": DOCKER_LIST})
    talk.step("list", "GET", target + "list", headers=ACCEPT_ALL)
    talk.step("list for old clients", "GET", target + "list", headers={"Accept": DOCKER_MANIFEST})
    talk.step("list by digest for old clients", "GET", target + digest(listed), headers={"Accept": DOCKER_MANIFEST})
    oci = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [describe(MANIFEST, manifest)]}).encode()
    talk.step("put index", "PUT", target + "index", oci, {"Content-Type": INDEX})
    talk.step("index", "GET", target + "index", headers=ACCEPT_ALL)
    talk.step("index not accepted", "GET", target + "index", headers={"Accept": MANIFEST})
    missing = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [describe(MANIFEST, b"nope")]}).encode()
    talk.step("index of nothing", "PUT", target + "index", missing, {"Content-Type": INDEX})

    talk.step("tags", "GET", "/v2/cmp/m/tags/list")
    talk.step("tags head", "HEAD", "/v2/cmp/m/tags/list")
    talk.step("tags of nobody", "GET", "/v2/cmp/nobody/tags/list")
    talk.step("tags page", "GET", "/v2/cmp/m/tags/list?n=2")
    talk.step("tags none", "GET", "/v2/cmp/m/tags/list?n=0")
    talk.step("delete manifest", "DELETE", target + digest(manifest))
    talk.step("deleted manifest", "GET", target + digest(manifest), headers=ACCEPT_ALL)
    talk.step("its tag", "GET", target + "v1", headers=ACCEPT_ALL)
    talk.step("delete manifest again", "DELETE", target + digest(manifest))
    talk.step("delete tag", "DELETE", target + "list")
    talk.step("delete unknown tag", "DELETE", target + "nope")
    talk.step("referrers", "GET", f"/v2/cmp/m/referrers/{digest(manifest)}")


def the_rest(talk):
    talk.step("base", "GET", "/v2/")
    talk.step("base without slash", "GET", "/v2")
    talk.step("base head", "HEAD", "/v2/")
    talk.step("base post", "POST", "/v2/")
    talk.step("root", "GET", "/")
    talk.step("elsewhere", "GET", "/v3/")
    talk.step("bad name", "GET", "/v2/BAD/tags/list")
    talk.step("long name", "GET", f"/v2/{'a' * 256}/tags/list")
    talk.step("catalog", "GET", "/v2/_catalog")
    talk.step("catalog page", "GET", "/v2/_catalog?n=2")
    talk.step("catalog next", "GET", "/v2/_catalog?n=2&last=cmp/b")
    talk.step("catalog none", "GET", "/v2/_catalog?n=0")
    talk.step("catalog negative", "GET", "/v2/_catalog?n=-1")
    talk.step("catalog no number", "GET", "/v2/_catalog?n=x")
    talk.step("catalog too many", "GET", "/v2/_catalog?n=100000")
    talk.step("upload of nobody", "GET", "/v2/cmp/a/blobs/uploads/00000000-0000-4000-8000-000000000000")
    talk.step("upload malformed", "GET", "/v2/cmp/a/blobs/uploads/nope")
    talk.step("put on uploads", "PUT", "/v2/cmp/a/blobs/uploads/", b"")
    talk.step("get on uploads", "GET", "/v2/cmp/a/blobs/uploads/")


def converse(address):
    talk = Conversation(address)
    for part in (blobs, manifests, the_rest):
        part(talk)
    return talk.seen


@pytest.fixture(scope="module")
def both(registry, peer):
    return converse(registry.address), converse(peer.address)


def test_answers_are_docker_registrys(both):
    ours, theirs = both
    wrong = []
    for step, seen in ours.items():
        noted = DIFFERENCES.get(step, ("", ""))[0].split()
        for aspect in sorted(seen.keys() | theirs[step].keys()):
            mine, other = seen.get(aspect), theirs[step].get(aspect)
            if aspect in noted and mine == other:
                wrong.append(f'"{step}" {aspect}: {mine!r} on both sides, noted as a difference')
            elif aspect not in noted and mine != other:
                wrong.append(f'"{step}" {aspect}: {mine!r} where docker-registry has {other!r}')
    wrong += [f'"{step}" is noted as different and not asked' for step in DIFFERENCES.keys() - ours.keys()]
    assert not wrong, "\n".join(wrong)
