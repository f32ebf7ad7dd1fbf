"""What pull, push, load and import tell while they work, as dockerd 28.5 tells it. The same checks run against berthd
(tests/system/test_transfers.py) and against dockerd itself (tests/conformance/test_transfers.py)."""
import json
import random
import re

from engine import UnixConnection
from tars import tar_of

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SHORT = re.compile(r"[0-9a-f]{12}")


class Transfers:
    """`docker` runs the client: words and options as subprocess.run has them, with bytes as input; `socket` is the engine's.
    `droppable`: steps that a busy engine leaves out."""

    def __init__(self, socket, docker, registry, droppable=()):
        self.socket, self.docker, self.registry, self.droppable = socket, docker, registry, droppable

    def post(self, target, body=b"", headers=None):
        connection = UnixConnection(self.socket)
        connection.request("POST", target, body, {"X-Registry-Auth": "e30=", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, text
        messages = [json.loads(line) for line in text.splitlines()]
        for message in messages:
            check_shape(message)
        return messages

    def build(self, tag, dockerfile, **files):
        """An image of busybox and layers of its own, under registry/app:tag."""
        data = tar_of({"Dockerfile": dockerfile.encode(), **files})
        self.docker("build", "-q", "-t", f"{self.registry}/app:{tag}", "-", input=data)

    def remove_all(self):
        names = self.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.decode().split()
        self.docker("rmi", "-f", *(name for name in names if "<none>" not in name))
        self.docker("image", "prune", "-af")
        connection = UnixConnection(self.socket)  # the layers of build steps stay in the cache
        connection.request("POST", "/build/prune?all=1")
        assert connection.getresponse().read()
        connection.close()

    def push(self, repository, tag=None):
        return self.post(f"/images/{self.registry}/{repository}/push" + (f"?tag={tag}" if tag else ""))

    def pull(self, repository, tag=None):
        return self.post(f"/images/create?fromImage={self.registry}/{repository}" + (f"&tag={tag}" if tag else ""))


def check_shape(message):
    """Which members a message has follows from what it is."""
    if "stream" in message:
        assert set(message) == {"stream"}, message
    elif "aux" in message:
        assert message["progressDetail"] == {} and set(message["aux"]) == {"Tag", "Digest", "Size"}, message
    elif message["status"].startswith("Pulling from "):
        assert set(message) == {"status", "id"}, message
    elif message["status"] in ("Downloading", "Extracting", "Pushing", "Loading layer"):
        assert set(message) == {"status", "progressDetail", "progress", "id"}, message
        assert set(message["progressDetail"]) == {"current", "total"} and SHORT.fullmatch(message["id"]), message
        assert re.match(r"\[=*>? *\] +[0-9.]+[kMG]?B", message["progress"]), message
    elif "id" in message:
        assert set(message) == {"status", "progressDetail", "id"} and message["progressDetail"] == {}, message
        assert SHORT.fullmatch(message["id"]), message
    else:
        assert set(message) == {"status"}, message


def by_layer(messages):
    """The statuses of each id, repetitions of one left out, in the order of their first."""
    layers = {}
    for message in messages:
        if SHORT.fullmatch(message.get("id", "")):
            seen = layers.setdefault(message["id"], [])
            if not seen or seen[-1] != message["status"]:
                seen.append(message["status"])
    return layers


def plain(messages):
    return [DIGEST.sub("DIGEST", message["status"]) for message in messages if "id" not in message and "status" in message]


def ids(messages, status):
    return [message["id"] for message in messages if message.get("status") == status]


PULLED = ["Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete", "Extracting", "Pull complete"]


def pulled_whole(transfers, steps):
    return [step for step in steps if step not in transfers.droppable] == [step for step in PULLED if step not in transfers.droppable]


def check_registry(transfers):
    """Pushes, then pulls, of three layers and two."""
    name = transfers.registry
    big = random.Random(1).randbytes(6_000_000)
    transfers.build("1", "FROM busybox\nCOPY big /big\nCOPY small /small\nENV a=b\n", big=big, small=b"s")
    transfers.build("2", "FROM busybox\nCOPY small /small2\n", small=b"s")
    transfers.docker("tag", f"{name}/app:1", f"{name}/app:one")

    first = transfers.push("app", "1")
    assert first[0] == {"status": f"The push refers to repository [{name}/app]"}
    order = ids(first, "Preparing")
    assert len(order) == 3 and [message.get("id") for message in first[1:4]] == order
    assert by_layer(first) == {layer: ["Preparing", "Pushing", "Pushed"] for layer in order}
    assert re.fullmatch(r"1: digest: DIGEST size: \d+", plain(first)[-1]) and list(first[-1]) != ["status"]
    assert first[-1]["aux"]["Tag"] == "1" and f"size: {first[-1]['aux']['Size']}" in first[-2]["status"]
    again = transfers.push("app", "1")
    assert by_layer(again) == {layer: ["Preparing", "Layer already exists"] for layer in order}
    assert plain(again) == plain(first) and again[-1] == first[-1]
    transfers.docker("tag", f"{name}/app:1", f"{name}/other:1")
    assert by_layer(transfers.push("other", "1")) == {layer: ["Preparing", "Mounted from app"] for layer in order}
    everything = transfers.push("app")
    assert [line.split(" size:")[0] for line in plain(everything)] == \
        [f"The push refers to repository [{name}/app]", "1: digest: DIGEST", "2: digest: DIGEST", "one: digest: DIGEST"]
    assert [message["aux"]["Tag"] for message in everything if "aux" in message] == ["1", "2", "one"]

    transfers.remove_all()
    pulled = transfers.pull("app", "1")
    assert pulled[0] == {"status": "Pulling from app", "id": "1"}
    layers = ids(pulled, "Pulling fs layer")
    assert len(layers) == 3 and [message["id"] for message in pulled[1:4]] == layers
    assert set(by_layer(pulled)) == set(layers)
    assert all(pulled_whole(transfers, steps) for steps in by_layer(pulled).values()), by_layer(pulled)
    assert ids(pulled, "Pull complete") == layers
    assert plain(pulled) == ["Digest: DIGEST", f"Status: Downloaded newer image for {name}/app:1"]
    assert [message["status"].split(":")[0] for message in pulled[-2:]] == ["Digest", "Status"]
    assert [dict(message, status=DIGEST.sub("DIGEST", message["status"])) for message in transfers.pull("app", "1")] == [
        {"status": "Pulling from app", "id": "1"}, {"status": "Digest: DIGEST"},
        {"status": f"Status: Image is up to date for {name}/app:1"}]
    # Another name for what is here is new, though nothing is downloaded.
    assert plain(transfers.pull("app", "one"))[-1] == f"Status: Downloaded newer image for {name}/app:one"
    second = by_layer(transfers.pull("app", "2"))
    kept, fetched = second.values()
    assert kept == ["Already exists"] and list(second)[0] == layers[0] and pulled_whole(transfers, fetched), second

    transfers.docker("rmi", f"{name}/app:2")
    alls = transfers.pull("app")
    assert [message["id"] for message in alls if message["status"].startswith("Pulling from ")] == ["1", "2", "one"]
    assert plain(alls) == ["Digest: DIGEST"] * 3 + [f"Status: Downloaded newer image for {name}/app"]
    assert plain(transfers.pull("app")) == ["Digest: DIGEST"] * 3 + [f"Status: Image is up to date for {name}/app"]


def check_load(transfers):
    transfers.build("saved", "FROM busybox\nCOPY big /big\nCOPY small /small\n", big=random.Random(2).randbytes(3_000_000), small=b"s")
    name = f"{transfers.registry}/app:saved"
    layers = [layer.split(":")[1][:12] for layer in json.loads(transfers.docker("inspect", name).stdout)[0]["RootFS"]["Layers"]]
    archive = transfers.docker("save", name).stdout
    transfers.remove_all()
    loaded = transfers.post("/images/load?quiet=0", archive)
    assert sorted(by_layer(loaded)) == sorted(layers) and set(map(tuple, by_layer(loaded).values())) == {("Loading layer",)}
    for layer in layers:
        last = [message["progressDetail"] for message in loaded if message.get("id") == layer][-1]
        assert last["current"] == last["total"]
    assert loaded[-1] == {"stream": f"Loaded image: {name}\n"}
    assert transfers.post("/images/load?quiet=0", archive) == [loaded[-1]]
    assert transfers.post("/images/load?quiet=1", archive) == [loaded[-1]]


def check_client(transfers):
    """What the docker command prints and how it ends."""
    name = transfers.registry
    transfers.docker("tag", "busybox", f"{name}/words:1")
    transfers.docker("tag", "busybox", f"{name}/words:2")
    short = json.loads(transfers.docker("inspect", "busybox").stdout)[0]["RootFS"]["Layers"][0].split(":")[1][:12]
    transfers.docker("push", "-a", f"{name}/words")
    pushed = f"{short}: Preparing\n{short}: Layer already exists\n"
    cases = [
        (["push", "-a", f"{name}/words"], 0,
         f"The push refers to repository [{name}/words]\n{pushed}1: digest: DIGEST size: N\n{pushed}2: digest: DIGEST size: N\n", ""),
        (["push", "-aq", f"{name}/words"], 0, f"{name}/words\n", ""),
        (["push", "-a", f"{name}/words:1"], 1, "", "tag can't be used with --all-tags/-a"),
        (["push", "-a", f"{name}/nope"], 1, f"The push refers to repository [{name}/nope]\n",
         f"An image does not exist locally with the tag: {name}/nope"),
        (["push", f"{name}/words"], 1, f"Using default tag: latest\nThe push refers to repository [{name}/words]\n",
         f"tag does not exist: {name}/words:latest"),
        (["pull", "-a", f"{name}/words"], 0,
         f"1: Pulling from words\nDigest: DIGEST\n2: Pulling from words\nDigest: DIGEST\nStatus: Image is up to date for {name}/words\n{name}/words\n", ""),
        (["pull", "-aq", f"{name}/words"], 0, f"{name}/words\n", ""),
        (["pull", "-a", f"{name}/words:1"], 1, "", "tag can't be used with --all-tags/-a"),
        (["pull", "-a", f"{name}/nope"], 1, "", f"repository {name}/nope not found: name unknown: repository name not known to registry"),
        (["pull", f"{name}/words:3"], 1, "", f"manifest for {name}/words:3 not found: manifest unknown: manifest unknown"),
    ]
    for words, code, out, error in cases:
        done = transfers.docker(*words, check=False)
        shown = re.sub(r"size: \d+", "size: N", DIGEST.sub("DIGEST", done.stdout.decode()))
        said = done.stderr.decode().strip().removeprefix("Error response from daemon: ").removeprefix("berth: ")
        assert (done.returncode, shown, said) == (code, out, error), words
    for platform, code in (("linux/s390x", 1), (None, 0)):
        if platform is None:
            image = json.loads(transfers.docker("inspect", "busybox").stdout)[0]
            platform = f"{image['Os']}/{image['Architecture']}"
        done = transfers.docker("push", "--platform", platform, f"{name}/words:1", check=False)
        assert done.returncode == code, done
        if code:
            assert f"image with reference {name}/words:1 was found but its platform" in done.stderr.decode()
