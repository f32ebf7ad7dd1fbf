"""What tests of registries share: requests as they are, documents, and Debian's docker-registry."""
import hashlib
import http.client
import json
import pathlib
import socket
import ssl
import subprocess

from engine import DEADLINE, wait_until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def digest(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def describe(media_type, data, **more):
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    def json(self):
        return json.loads(self.body)

    def code(self):
        """Of the first error, or None."""
        try:
            return self.json()["errors"][0]["code"]
        except (ValueError, KeyError, IndexError, TypeError):
            return None


class Client:
    """HTTP without anything done behind one's back. Redirects are not followed; a Location may be absolute."""

    def __init__(self, address, context=None, headers=None):
        self.address, self.context, self.headers = address, context, headers or {}

    def connect(self):
        if self.context is not None:
            return http.client.HTTPSConnection(self.address, timeout=DEADLINE, context=self.context)
        return http.client.HTTPConnection(self.address, timeout=DEADLINE)

    def ask(self, method, target, body=None, headers=None):
        connection = self.connect()
        try:
            if target.startswith("http"):
                target = "/" + target.split("/", 3)[3]
            connection.request(method, target, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            try:
                data = answer.read()
            except http.client.IncompleteRead as less:  # docker-registry's 416 announces the whole blob
                data = less.partial
            return Answer(answer.status, answer.getheaders(), data)
        finally:
            connection.close()

    def get(self, target, headers=None):
        return self.ask("GET", target, headers=headers)

    def begin(self, name):
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert answer.status == 202, answer.body
        return answer.headers["location"]

    def put_upload(self, location, data, named):
        mark = "&" if "?" in location else "?"
        return self.ask("PUT", f"{location}{mark}digest={named}", data, {"Content-Type": "application/octet-stream"})

    def push_blob(self, name, data, named=None):
        named = named or digest(data)
        answer = self.put_upload(self.begin(name), data, named)
        assert answer.status == 201, answer.body
        return named

    def push_manifest(self, name, reference, document, media_type=MANIFEST):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        answer = self.ask("PUT", f"/v2/{name}/manifests/{reference}", body, {"Content-Type": media_type})
        assert answer.status == 201, answer.body
        return body

    def push_image(self, name, tag, layer=b"layer", media_type=MANIFEST, **more):
        """The manifest's bytes."""
        document = image(layer, media_type, **more)
        for data in (layer, document[0]):
            self.push_blob(name, data)
        return self.push_manifest(name, tag, document[1], media_type)


def image(layer=b"layer", media_type=MANIFEST, **more):
    """(config, manifest) of an image with one layer."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}).encode()
    docker = media_type == DOCKER_MANIFEST
    kinds = ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip") if docker \
        else (CONFIG, LAYER)
    document = {"schemaVersion": 2, "mediaType": media_type, "config": describe(kinds[0], config),
                "layers": [describe(kinds[1], layer)], **more}
    return config, json.dumps(document).encode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class DockerRegistry:
    """Debian's docker-registry on a port that was free; in a testbed nobody else takes it."""

    def __init__(self, folder, program="docker-registry"):
        self.folder = pathlib.Path(folder)
        self.program = program
        self.address = f"127.0.0.1:{free_port()}"
        self.process = None

    def __enter__(self):
        config = {"version": "0.1", "log": {"level": "error", "accesslog": {"disabled": True}},
                  "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True},
                              "cache": {"blobdescriptor": "inmemory"}},
                  "http": {"addr": self.address, "headers": {"X-Content-Type-Options": ["nosniff"]}}}
        path = self.folder / "config.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        log = open(self.folder / "peer.log", "wb")
        self.process = subprocess.Popen([self.program, "serve", str(path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_until("docker-registry", self.answers)
        return self

    def answers(self):
        assert self.process.poll() is None, (self.folder / "peer.log").read_text()
        try:
            return Client(self.address).get("/v2/").status == 200
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(DEADLINE)


def make_certificate(folder, name="server"):
    """(certificate, key) for localhost, signed by itself."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
                   check=True, capture_output=True)
    return certificate, key


def trust(certificate):
    return ssl.create_default_context(cafile=str(certificate))
