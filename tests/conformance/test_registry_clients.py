"""berth-registry with other people's clients: docker, podman, buildah, skopeo, crane, oras."""
import json

import pytest

from engine import Registry
from engine_fixtures import registry  # noqa: F401
from registries import Client, digest
from test_docker import Docker

SECRET = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"  # of "secret"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "users").write_text(f"ann:{SECRET}\n")
    with Registry(folder, "--htpasswd", folder / "users") as running:
        yield running


@pytest.fixture(scope="module")
def docker(peers):
    running = Docker(peers)
    yield running
    running.close()


@pytest.fixture(scope="module")
def layout(peers):
    """An image in the view, as podman and buildah make one."""
    storage = ["--root", "/data-images", "--runroot", "/run/images", "--storage-driver", "vfs"]
    peers.run("podman", *storage, "import", "-", "localhost/base:latest", stdin=peers.rootfs_tar)
    return storage


def tags(registry, name):
    return Client(registry.address).get(f"/v2/{name}/tags/list").json()["tags"]


def test_docker(docker, peers, registry):
    name = f"{registry.address}/docker/app"
    peers.run("docker", "tag", "busybox:latest", f"{name}:v1")
    peers.run("docker", "push", f"{name}:v1")
    pushed = json.loads(peers.run("docker", "inspect", f"{name}:v1").stdout)[0]
    assert tags(registry, "docker/app") == ["v1"]
    peers.run("docker", "tag", "busybox:latest", f"{registry.address}/docker/other:v1")
    again = peers.run("docker", "push", f"{registry.address}/docker/other:v1").stdout
    assert "Mounted from docker/app" in again or "Layer already exists" in again, again
    peers.run("docker", "rmi", f"{name}:v1", f"{registry.address}/docker/other:v1", "busybox:latest")
    peers.run("docker", "pull", f"{name}:v1")
    pulled = json.loads(peers.run("docker", "inspect", f"{name}:v1").stdout)[0]
    assert pulled["RootFS"] == pushed["RootFS"]
    assert peers.run("docker", "pull", f"{name}:nope", check=False).returncode != 0
    peers.run("docker", "tag", f"{name}:v1", "busybox:latest")


def test_docker_logs_in(docker, peers, guarded):
    name = f"{guarded.address}/team/app:v1"
    peers.run("docker", "tag", "busybox:latest", name)
    assert peers.run("docker", "push", name, check=False).returncode != 0
    wrong = peers.run("docker", "login", "-u", "ann", "--password-stdin", guarded.address, input="wrong", check=False)
    assert wrong.returncode != 0
    peers.run("docker", "login", "-u", "ann", "--password-stdin", guarded.address, input="secret")
    peers.run("docker", "push", name)
    peers.run("docker", "pull", name)
    peers.run("docker", "logout", guarded.address)


def test_podman_and_buildah(peers, layout, registry):
    target = f"{registry.address}/podman/app"
    peers.run("podman", *layout, "push", "--tls-verify=false", "localhost/base:latest", f"docker://{target}:v1")
    peers.run("podman", *layout, "pull", "--tls-verify=false", f"{target}:v1")
    peers.run("buildah", *layout, "push", "--tls-verify=false", "--format", "v2s2", "localhost/base:latest", f"docker://{target}:v2")
    peers.run("buildah", *layout, "manifest", "create", "listed")
    peers.run("buildah", *layout, "manifest", "add", "--tls-verify=false", "listed", f"docker://{target}:v1")
    peers.run("buildah", *layout, "manifest", "push", "--tls-verify=false", "--all", "listed", f"docker://{target}:list")
    assert tags(registry, "podman/app") == ["list", "v1", "v2"]
    peers.run("podman", *layout, "pull", "--tls-verify=false", f"{target}:list")


def test_skopeo_copies_between_registries_and_repositories(peers, layout, registry, guarded):
    peers.run("podman", *layout, "push", "--tls-verify=false", "localhost/base:latest", f"docker://{registry.address}/sk/a:v1")
    source = f"docker://{registry.address}/sk/a:v1"
    peers.run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", source,
              f"docker://{registry.address}/sk/b:v1")
    peers.run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-creds",
              "ann:secret", source, f"docker://{guarded.address}/sk/c:v1")
    assert json.loads(peers.run("skopeo", "inspect", "--raw", "--tls-verify=false", source).stdout) == \
        json.loads(peers.run("skopeo", "inspect", "--raw", "--tls-verify=false", "--creds", "ann:secret",
                             f"docker://{guarded.address}/sk/c:v1").stdout)
    peers.run("skopeo", "delete", "--tls-verify=false", f"docker://{registry.address}/sk/b:v1")
    assert tags(registry, "sk/b") == []


def test_crane(peers, layout, registry):
    peers.run("podman", *layout, "push", "--tls-verify=false", "localhost/base:latest", f"docker://{registry.address}/crane/a:v1")
    name = f"{registry.address}/crane/a"
    named = peers.run("crane", "digest", "--insecure", f"{name}:v1").stdout.strip()
    peers.run("crane", "validate", "--insecure", "--remote", f"{name}:v1")
    peers.run("crane", "copy", "--insecure", f"{name}:v1", f"{registry.address}/crane/b:v1")
    peers.run("crane", "tag", "--insecure", f"{name}:v1", "v2")
    peers.run("crane", "append", "--insecure", "-b", f"{name}:v1", "-f", peers_tar(peers), "-t", f"{name}:v3")
    assert peers.run("crane", "ls", "--insecure", name).stdout.split() == ["v1", "v2", "v3"]
    assert "crane/b" in peers.run("crane", "catalog", "--insecure", registry.address).stdout.split()
    assert peers.run("crane", "digest", "--insecure", f"{registry.address}/crane/b:v1").stdout.strip() == named
    peers.run("crane", "delete", "--insecure", f"{name}@{named}")
    assert peers.run("crane", "ls", "--insecure", name).stdout.split() == ["v3"]


def peers_tar(peers):
    peers.run("sh", "-c", "cd /tmp && echo hello > hello && tar cf hello.tar hello")
    return "/tmp/hello.tar"


def test_oras_artifacts_and_referrers(peers, registry):
    name = f"{registry.address}/oras/a"
    peers.run("sh", "-c", "mkdir -p /tmp/oras && cd /tmp/oras && echo hello > file && echo sbom > sbom")
    inside = ["sh", "-c"]
    peers.run(*inside, f"cd /tmp/oras && oras push --plain-http --artifact-type application/x.thing {name}:v1 file:text/plain")
    peers.run(*inside, f"cd /tmp/oras && oras attach --plain-http --artifact-type application/x.sbom {name}:v1 sbom:text/plain")
    found = json.loads(peers.run("oras", "discover", "--plain-http", "--format", "json", "--artifact-type", "application/x.sbom",
                                 f"{name}:v1").stdout)
    entries = found.get("referrers") or found.get("manifests")
    assert [entry["artifactType"] for entry in entries] == ["application/x.sbom"]
    peers.run(*inside, f"mkdir -p /tmp/oras/back && cd /tmp/oras/back && oras pull --plain-http {name}:v1 && cmp file ../file")
    peers.run("oras", "copy", "-r", "--from-plain-http", "--to-plain-http", f"{name}:v1", f"{registry.address}/oras/b:v1")
    copied = peers.run("oras", "discover", "--plain-http", "--format", "json", f"{registry.address}/oras/b:v1").stdout
    assert "application/x.sbom" in copied
    assert peers.run("oras", "repo", "tags", "--plain-http", name).stdout.split() == ["v1"]
    pushed = peers.run(*inside, f"cd /tmp/oras && oras blob push --plain-http {name} file").stdout
    assert digest(b"hello\n") in pushed
    peers.run("oras", "blob", "delete", "--plain-http", "--force", f"{name}@{digest(b'hello' + bytes([10]))}")
    peers.run("oras", "manifest", "delete", "--plain-http", "--force", f"{name}:v1")
