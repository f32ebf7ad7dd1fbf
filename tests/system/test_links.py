"""--link on the default bridge while containers come and go: who reaches whom with --icc=false, what the linker's hosts
file says, and docker rm --link."""
import pytest

from engine import Engine, wait_until


@pytest.fixture(scope="module")
def engine(tmp_path_factory, rootfs_tar):
    with Engine(tmp_path_factory.mktemp("engine"), "--icc=false") as running:
        running.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        yield running


SERVE = "mkdir -p /www; hostname >/www/index.html; httpd -p 5433 -h /www; exec httpd -f -p 5432 -h /www"


def serve(engine, name, *flags):
    engine.docker("run", "-d", "--name", name, "--hostname", name + "host", "--expose", "5432", *flags, "busybox", "sh", "-c", SERVE)
    wait_until("server", lambda: engine.berth("exec", name, "wget", "-qO-", "http://127.0.0.1:5432/", check=False).returncode == 0)


def sleeper(engine, name, *flags):
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def fetch(engine, container, place):
    """What a server answers. Its name is looked up in the hosts file here: Debian's static busybox cannot."""
    name, port = place.split(":")
    known = {word: words[0] for words in map(str.split, hosts(engine, container).splitlines()) for word in words[1:]}
    ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {known.get(name, name)} {port}"
    return engine.berth("exec", container, "sh", "-c", ask, check=False).stdout.strip().rpartition("\n")[2] or None


def address(engine, name):
    return engine.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]


def hosts(engine, name):
    return engine.berth("exec", name, "cat", "/etc/hosts").stdout


def links(engine, name):
    return engine.inspect(name)["HostConfig"]["Links"]


def test_exposed_ports_are_open_to_the_linker_and_nobody_else(engine):
    serve(engine, "db")
    sleeper(engine, "web", "--link", "db:store")
    sleeper(engine, "other")
    assert fetch(engine, "web", "store:5432") == "dbhost"
    assert fetch(engine, "web", "store:5433") is None
    assert fetch(engine, "other", f"{address(engine, 'db')}:5432") is None


def test_links_follow_a_container_that_starts_again_with_another_address(engine):
    serve(engine, "db")
    sleeper(engine, "web", "--link", "db:store")
    engine.berth("exec", "web", "sh", "-c", "echo 10.9.9.9 mine >>/etc/hosts")
    first = address(engine, "db")
    engine.docker("stop", "-t", "0", "db")
    serve(engine, "thief")
    assert address(engine, "thief") == first
    assert fetch(engine, "web", f"{first}:5432") is None
    engine.docker("start", "db")
    second = address(engine, "db")
    assert second != first
    text = hosts(engine, "web")
    assert f"{second}\tstore dbhost db\n" in text and first not in text and "10.9.9.9 mine\n" in text
    wait_until("server", lambda: fetch(engine, "web", "store:5432") == "dbhost")
    # The program's environment cannot change any more.
    assert f"STORE_PORT=tcp://{first}:5432" in engine.berth("exec", "web", "sh", "-c", "tr '\\0' '\\n' </proc/1/environ").stdout
    # One that takes the name of a container that is gone takes its place, as after a restart of dockerd.
    engine.docker("rm", "-f", "db")
    serve(engine, "db")
    wait_until("server", lambda: fetch(engine, "web", "store:5432") == "dbhost")


def test_links_outlive_a_killed_engine(tmp_path, rootfs_tar):
    with Engine(tmp_path, "--icc=false") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        serve(engine, "db")
        sleeper(engine, "web", "--link", "db")
        sleeper(engine, "other")
        engine.kill()
        engine.start()
        assert fetch(engine, "web", "db:5432") == "dbhost"
        assert fetch(engine, "other", f"{address(engine, 'db')}:5432") is None
        assert links(engine, "web") == ["/db:/web/db"]


def test_names_of_links(engine):
    serve(engine, "db")
    sleeper(engine, "web", "--link", "db:store", "--link", "db:again", "--link", "db:store")
    assert links(engine, "web") == ["/db:/web/store", "/db:/web/again"]
    assert engine.inspect("web/store")["Name"] == "/db"
    shown = {summary["Names"][0]: summary["Names"] for summary in engine.request("GET", "/containers/json")[1]}
    assert shown == {"/db": ["/db", "/web/store", "/web/again"], "/web": ["/web"]}
    assert "db,web/store,web/again" in engine.docker("ps", "--no-trunc", "--format", "{{.Names}}").stdout
    assert engine.docker("ps", "--format", "{{.Names}}").stdout.split() == ["web", "db"]
    engine.docker("rename", "db", "data")
    engine.docker("rename", "web", "front")
    assert links(engine, "front") == ["/data:/front/store", "/data:/front/again"]
    assert engine.inspect("front/store")["Name"] == "/data"


@pytest.mark.parametrize("client", ("docker", "berth"))
def test_rm_link(engine, client):
    command = getattr(engine, client)
    serve(engine, "db")
    sleeper(engine, "web", "--link", "db:store", "--link", "db:again")
    assert command("rm", "--link", "web/store").stdout == "web/store\n"
    assert links(engine, "web") == ["/db:/web/again"]
    assert "store" not in hosts(engine, "web") and "again" in hosts(engine, "web")
    assert fetch(engine, "web", "again:5432") == "dbhost"
    assert fetch(engine, "web", "store:5432") is None
    command("rm", "--link", "/web/again")
    assert links(engine, "web") is None
    assert fetch(engine, "web", f"{address(engine, 'db')}:5432") is None
    assert {"/web", "/db"} == {summary["Names"][0] for summary in engine.request("GET", "/containers/json")[1]}
    for name, words in (("web/store", "No such container: web/store"), ("nobody/x", "No such container: nobody/x"),
                        ("db", "Conflict, cannot remove the default link name of the container")):
        done = command("rm", "--link", name, check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr
    # The container is there all the while, and a start needs the link no longer.
    engine.docker("rm", "-f", "db")
    engine.docker("restart", "-t", "0", "web")


@pytest.mark.parametrize("link, words", [("", "empty string specified for links"), ("db:a:b", "bad format for links: db:a:b"),
                                         (":x", 'could not get container for : invalid name or ID supplied: ""')])
def test_links_that_name_nothing(engine, link, words):
    serve(engine, "db")
    body = {"Image": "busybox", "HostConfig": {"Links": [link]}}
    assert engine.request("POST", "/containers/create", body) == (400, {"message": words})


def test_a_link_without_a_name_is_none(engine):
    serve(engine, "db")
    engine.docker("create", "--name", "web", "--link", "db:", "busybox", "cat", "/etc/hosts")
    assert links(engine, "web") is None
    hosts = engine.docker("start", "-a", "web").stdout.splitlines()
    assert hosts and not any("db" in line.split()[1:] for line in hosts)


def test_links_of_a_host_config_are_the_default_bridges(engine):
    engine.berth("network", "create", "own")
    body = {"Image": "busybox", "HostConfig": {"NetworkMode": "own", "Links": ["nobody:x"]}}
    status, answer = engine.request("POST", "/containers/create?name=web", body)
    assert status == 201, answer
    assert links(engine, "web") is None
    engine.berth("rm", "web")
    engine.berth("network", "rm", "own")
