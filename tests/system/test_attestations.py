"""Statements that stand beside an image in its index, as BuildKit writes them, through GET /images/{name}/attestations."""
import json
import platform
import urllib.parse

import pytest

from engine import UnixConnection
from registries import INDEX, MANIFEST, describe
from tars import tar_of

HOST = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OTHER = "s390x"
PROVENANCE, BILL = "https://slsa.dev/provenance/v0.2", "https://spdx.dev/Document"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"
# Its spaces and the order of its members are part of it.
STATEMENT = '{"_type": "https://in-toto.io/Statement/v0.1",  "predicate": {"z": 1, "a": 1.50}, "predicateType": "%s"}'


class Layout:
    def __init__(self):
        self.files = {"oci-layout": '{"imageLayoutVersion": "1.0.0"}'}

    def add(self, media_type, data, **more):
        data = json.dumps(data) if isinstance(data, dict) else data
        data = data.encode() if isinstance(data, str) else data
        descriptor = describe(media_type, data, **more)
        self.files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")] = data
        return descriptor

    def manifest(self, config, layers, **more):
        return self.add(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}, **more)

    def image(self, architecture):
        content = tar_of({"arch": architecture})
        layer = self.add(LAYER, content)
        config = self.add(CONFIG, {"architecture": architecture, "os": "linux", "config": {"Cmd": ["/x"]},
                                   "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}})
        return self.manifest(config, [layer], platform={"os": "linux", "architecture": architecture})

    def attestation(self, subject, *types):
        layers = [self.add("application/vnd.in-toto+json", STATEMENT % kind, annotations={"in-toto.io/predicate-type": kind})
                  for kind in types]
        layers.append(self.add("application/vnd.in-toto+json", "{}"))  # of no type: not for this list
        config = self.add(CONFIG, {"architecture": "unknown", "os": "unknown", "config": {},
                                   "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}})
        return self.manifest(config, layers, platform={"os": "unknown", "architecture": "unknown"}, annotations={
            "vnd.docker.reference.digest": subject["digest"], "vnd.docker.reference.type": "attestation-manifest"})

    def archive(self, name, entries):
        index = self.add(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries},
                         annotations={"io.containerd.image.name": name})
        return tar_of({**self.files, "index.json": json.dumps({"schemaVersion": 2, "manifests": [index]})})


@pytest.fixture(scope="module")
def attested(engine, tmp_path_factory):
    layout = Layout()
    images = [layout.image(architecture) for architecture in (HOST, OTHER)]
    entries = [*images, layout.attestation(images[0], PROVENANCE, BILL), layout.attestation(images[1], BILL)]
    archive = tmp_path_factory.mktemp("layout") / "attested.tar"
    archive.write_bytes(layout.archive("docker.io/library/attested:1", entries))
    engine.berth("load", "-i", archive)
    yield "attested:1"
    engine.berth("rmi", "-f", "attested:1")


def ask(engine, name, **query):
    return engine.request("GET", f"/images/{name}/attestations?" + urllib.parse.urlencode(query, doseq=True))


def of(architecture):
    return json.dumps({"os": "linux", "architecture": architecture})


def test_statements_are_listed(engine, attested):
    status, found = ask(engine, attested)
    assert status == 200, found
    assert [statement["PredicateType"] for statement in found] == [PROVENANCE, BILL]
    assert all(set(statement) == {"Descriptor", "PredicateType"} for statement in found)
    assert found[0]["Descriptor"]["annotations"] == {"in-toto.io/predicate-type": PROVENANCE}
    assert [statement["PredicateType"] for statement in ask(engine, attested, platform=of(OTHER))[1]] == [BILL]


def test_types_choose_among_them(engine, attested):
    assert [statement["PredicateType"] for statement in ask(engine, attested, type=BILL)[1]] == [BILL]
    assert len(ask(engine, attested, type=[BILL, PROVENANCE])[1]) == 2
    assert ask(engine, attested, type="https://nobody.example") == (200, [])


def test_statements_are_given_as_they_are_stored(engine, attested):
    connection = UnixConnection(engine.socket)
    connection.request("GET", f"/images/{attested}/attestations?statement=1&type=" + urllib.parse.quote(BILL))
    text = connection.getresponse().read().decode()
    connection.close()
    assert STATEMENT % BILL in text
    assert json.loads(text)[0]["Statement"]["predicate"] == {"z": 1, "a": 1.5}


def test_images_without_any_have_an_empty_list(engine):
    assert ask(engine, "busybox") == (200, [])


def test_what_is_not_there_or_wrong_is_told(engine, attested):
    assert ask(engine, "nosuch")[0] == 404
    status, document = ask(engine, attested, platform=of("riscv64"))
    assert status == 404 and "linux/riscv64" in document["message"]
    assert ask(engine, attested, platform="linux")[0] == 400
    status, document = ask(engine, attested, platform=[of(HOST), of(OTHER)])
    assert (status, document["message"]) == (400, "only one platform value is currently supported")
