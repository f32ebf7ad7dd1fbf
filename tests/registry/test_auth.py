"""Passwords, tokens and TLS."""
import base64
import gzip
import json
import os
import subprocess
import threading
import time

import pytest

from engine import Registry, wait_until
from registries import Client, digest, make_certificate, trust

# "secret" and "other" with 2^5 rounds.
SECRET = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_signature(der):
    """r and s of an ECDSA signature, side by side."""
    parts, position = [], 2
    for _ in range(2):
        size = der[position + 1]
        parts.append(der[position + 2:position + 2 + size].lstrip(b"\0").rjust(32, b"\0"))
        position += 2 + size
    return b"".join(parts)


def sign(key, claims, algorithm="RS256", header=None):
    text = b64(json.dumps({"typ": "JWT", "alg": algorithm, **(header or {})}).encode()) + "." + b64(json.dumps(claims).encode())
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], input=text.encode(), capture_output=True,
                               check=True).stdout
    return f"{text}.{b64(raw_signature(signature) if algorithm == 'ES256' else signature)}"


def claims(*access, **more):
    now = int(time.time())
    return {"iss": "auth.example", "aud": "registry.example", "sub": "ann", "exp": now + 300, "nbf": now - 10,
            "access": [dict(zip(("type", "name", "actions"), entry)) for entry in access], **more}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    make_certificate(folder, "signer")
    make_certificate(folder, "stranger")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=curve", "-keyout", f"{folder}/curve.key", "-out", f"{folder}/curve.pem"],
                   check=True, capture_output=True)
    (folder / "roots.pem").write_text((folder / "signer.pem").read_text() + (folder / "curve.pem").read_text())
    return folder


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, keys):
    with Registry(tmp_path_factory.mktemp("tokens"), "--token-realm", "https://auth.example/token", "--token-service",
                  "registry.example", "--token-issuer", "auth.example", "--token-certificates", keys / "roots.pem") as running:
        yield Client(running.address)


def test_passwords(tmp_path):
    file = tmp_path / "users"
    file.write_text(f"# people\nann:{SECRET}\n")
    with Registry(tmp_path, "--htpasswd", file) as registry:
        client = Client(registry.address)
        asked = client.get("/v2/")
        assert (asked.status, asked.code()) == (401, "UNAUTHORIZED")
        assert asked.headers["www-authenticate"] == 'Basic realm="Registry"'
        assert asked.headers["docker-distribution-api-version"] == "registry/2.0"
        for wrong in (basic("ann", "Secret"), basic("ann", ""), basic("bob", "secret"), basic("", ""), basic("ann", "secret\0"),
                      {"Authorization": "Basic !!"}, {"Authorization": "Bearer x"}, basic("ann", "x" * 100)):
            assert client.get("/v2/", wrong).status == 401, wrong
        for _ in range(2):  # the second time from memory
            assert client.get("/v2/", basic("ann", "secret")).status == 200
        known = Client(registry.address, headers=basic("ann", "secret"))
        known.push_image("a/b", "v1")
        assert client.get("/v2/a/b/manifests/v1").status == 401
        file.write_text(f"bob:{SECRET}\n")  # noticed without a restart
        os.utime(file, ns=(1, 1))
        assert client.get("/v2/", basic("ann", "secret")).status == 401
        assert client.get("/v2/", basic("bob", "secret")).status == 200
        file.unlink()
        assert client.get("/v2/", basic("bob", "secret")).status == 200


@pytest.mark.parametrize("line,words", [("ann", "not of the form user:hash"), ("ann:$apr1$x$y", "not a bcrypt hash")])
def test_a_malformed_password_file_is_refused(tmp_path, line, words):
    (tmp_path / "users").write_text(line + "\n")
    with pytest.raises(AssertionError, match=words):
        Registry(tmp_path, "--htpasswd", tmp_path / "users").start()


def test_guessing_passwords_does_not_stop_the_others(tmp_path):
    """Each guess costs tens of milliseconds of a processor. No more than 32 at once; who is known goes on."""
    slow = subprocess.run(["perl", "-e", "print crypt('secret', '$2y$10$abcdefghijklmnopqrstuu')"], capture_output=True, text=True,
                          check=True).stdout
    (tmp_path / "users").write_text(f"ann:{slow}\n")
    with Registry(tmp_path, "--htpasswd", tmp_path / "users") as registry:
        client = Client(registry.address)
        assert client.get("/v2/", basic("ann", "secret")).status == 200
        statuses = []

        def guess(number):
            statuses.append(client.get("/v2/", basic("nobody" if number % 2 else "ann", f"guess {number}")).status)

        threads = [threading.Thread(target=guess, args=(number,)) for number in range(80)]
        for thread in threads:
            thread.start()
        wait_until("busy registry", lambda: 429 in statuses)
        assert client.get("/v2/", basic("ann", "secret")).status == 200
        for thread in threads:
            thread.join()
        assert set(statuses) == {401, 429} and statuses.count(401) >= 32


def test_the_challenge_names_the_scope(guarded):
    for method, target, scope in (("GET", "/v2/", None), ("GET", "/v2/a/b/manifests/v1", "repository:a/b:pull"),
                                  ("POST", "/v2/a/b/blobs/uploads/", "repository:a/b:pull,push"),
                                  ("DELETE", "/v2/a/b/manifests/v1", "repository:a/b:delete"),
                                  ("GET", "/v2/_catalog", "registry:catalog:*"),
                                  ("POST", f"/v2/a/b/blobs/uploads/?mount={digest(b'x')}&from=c/d",
                                   "repository:a/b:pull,push repository:c/d:pull")):
        answer = guarded.ask(method, target)
        wanted = 'Bearer realm="https://auth.example/token",service="registry.example"' + (f',scope="{scope}"' if scope else "")
        assert (answer.status, answer.code(), answer.headers["www-authenticate"]) == (401, "UNAUTHORIZED", wanted), target


@pytest.mark.parametrize("key,algorithm", [("signer", "RS256"), ("curve", "ES256")])
def test_tokens_let_do_what_they_say(guarded, keys, key, algorithm):
    def as_holder(*access):
        return Client(guarded.address, headers=bearer(sign(keys / f"{key}.key", claims(*access), algorithm)))

    name = f"team/{key}"
    as_holder(("repository", name, ["pull", "push"])).push_image(name, "v1")
    puller = as_holder(("repository", name, ["pull"]))
    assert puller.get(f"/v2/{name}/manifests/v1").status == 200
    refused = puller.ask("POST", f"/v2/{name}/blobs/uploads/")
    assert refused.status == 401 and refused.headers["www-authenticate"].endswith(',error="insufficient_scope"')
    assert puller.get("/v2/team/other/manifests/v1").status == 401
    assert puller.get("/v2/").status == 200
    assert puller.get("/v2/_catalog").status == 401
    assert as_holder(("registry", "catalog", ["*"])).get("/v2/_catalog").status == 200
    assert puller.ask("DELETE", f"/v2/{name}/manifests/v1").status == 401
    assert as_holder(("repository", name, ["delete"])).ask("DELETE", f"/v2/{name}/manifests/v1").status == 202


def test_a_mount_needs_to_read_the_source(guarded, keys):
    def as_holder(*access):
        return Client(guarded.address, headers=bearer(sign(keys / "signer.key", claims(*access))))

    named = as_holder(("repository", "secret/source", ["pull", "push"])).push_blob("secret/source", b"secret content")
    thief = as_holder(("repository", "mine", ["pull", "push"]))
    assert thief.ask("POST", f"/v2/mine/blobs/uploads/?mount={named}&from=secret/source").status == 401
    assert thief.ask("POST", f"/v2/mine/blobs/uploads/?mount={named}").status == 202  # not found anywhere for it
    assert thief.get(f"/v2/mine/blobs/{named}").status == 404


def test_tokens_that_are_wrong(guarded, keys):
    now = int(time.time())
    good = claims(("repository", "a", ["pull"]))
    right = sign(keys / "signer.key", good)
    head, body, signature = right.split(".")
    none = b64(b'{"alg":"none"}') + "." + body + "."
    forged = sign(keys / "signer.key", good, "HS256")
    own_chain = [base64.b64encode(subprocess.run(["openssl", "x509", "-in", f"{keys}/stranger.pem", "-outform", "der"],
                                                 capture_output=True, check=True).stdout).decode()]
    wrong = {"expired": sign(keys / "signer.key", {**good, "exp": now - 100}),
             "not yet": sign(keys / "signer.key", {**good, "nbf": now + 100}),
             "no end": sign(keys / "signer.key", {key: value for key, value in good.items() if key != "exp"}),
             "issuer": sign(keys / "signer.key", {**good, "iss": "else"}),
             "audience": sign(keys / "signer.key", {**good, "aud": ["else"]}),
             "stranger": sign(keys / "stranger.key", good),
             "stranger's chain": sign(keys / "stranger.key", good, header={"x5c": own_chain}),
             "signature": f"{head}.{body}.{b64(b'x' * 256)}", "claims": f"{head}.{b64(json.dumps({**good, 'sub': 'x'}).encode())}.{signature}",
             "algorithm none": none, "algorithm HS256": forged, "RSA as ES256": sign(keys / "curve.key", good, "RS256"),
             "critical": sign(keys / "signer.key", good, header={"crit": ["b64"], "b64": False}),
             "nonsense": "a.b.c", "empty": "", "two parts": f"{head}.{body}", "long": "a" * 60_000 + ".b.c"}
    assert guarded.get("/v2/", bearer(right)).status == 200
    for what, token in wrong.items():
        answer = guarded.get("/v2/", bearer(token))
        assert answer.status in (401, 431), what
        assert answer.status == 431 or 'error="invalid_token"' in answer.headers["www-authenticate"] or what == "empty", what


def test_a_chain_that_leads_to_a_root(guarded, keys):
    subprocess.run("openssl req -newkey rsa:2048 -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr && "
                   "openssl x509 -req -in leaf.csr -CA signer.pem -CAkey signer.key -CAcreateserial -days 2 -out leaf.pem && "
                   "openssl x509 -in leaf.pem -outform der -out leaf.der", shell=True, cwd=keys, check=True, capture_output=True)
    chain = [base64.b64encode((keys / "leaf.der").read_bytes()).decode()]
    token = sign(keys / "leaf.key", claims(), header={"x5c": chain})
    assert guarded.get("/v2/", bearer(token)).status == 200
    assert guarded.get("/v2/", bearer(sign(keys / "leaf.key", claims()))).status == 401
    assert guarded.get("/v2/", bearer(sign(keys / "stranger.key", claims(), header={"x5c": chain}))).status == 401


def test_tls(tmp_path):
    certificate, key = make_certificate(tmp_path)
    with Registry(tmp_path, "--tls-certificate", certificate, "--tls-key", key) as registry:
        client = Client(registry.address, context=trust(certificate))
        data = gzip.compress(os.urandom(3_000_000))
        named = client.push_blob("a", data)
        assert client.get(f"/v2/a/blobs/{named}").body == data
        assert client.get(f"/v2/a/blobs/{named}", {"Range": "bytes=1000000-1999999"}).body == data[1_000_000:2_000_000]
        client.push_image("a", "v1", data)
        layout = tmp_path / "layout"
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--src-cert-dir", str(certs(tmp_path, certificate)),
                        f"docker://localhost:{registry.address.split(':')[1]}/a:v1", f"oci:{layout}:v1"], check=True, timeout=120)
        assert (layout / "blobs" / "sha256" / named[7:]).read_bytes() == data


def certs(folder, certificate):
    made = folder / "certs"
    made.mkdir()
    (made / "ca.crt").write_bytes(certificate.read_bytes())
    return made
