"""docker compose, unmodified, runs an application of four services on two networks, with a volume."""
import json
import pathlib
import shutil
import urllib.request

import pytest
from engine import wait_until

HERE = pathlib.Path(__file__).resolve().parent


def visit():
    with urllib.request.urlopen("http://127.0.0.1:8080/", timeout=30) as answer:
        return json.load(answer)


def ids(engine, service):
    return engine.berth("ps", "-q", "--no-trunc", "--filter", f"label=com.docker.compose.service={service}").stdout.split()


def names(engine, kind):
    return [name for name in engine.berth(kind, "ls", "--format", "{{.Name}}").stdout.split() if name.startswith("visits_")]


@pytest.fixture
def application(engine):
    for name in ("compose.yaml", "nginx.conf", "application.py", "database.sh"):
        shutil.copy(HERE / name, engine.folder / name)
    # Compose runs in a view where the folder is /data; the engine reads the bound files at their own place.
    text = (engine.folder / "compose.yaml").read_text().replace('"./', f'"{engine.folder}/')
    (engine.folder / "compose.yaml").write_text(text)
    engine.compose("up", "-d", "--wait")
    yield engine
    engine.compose("down", "-v", "--remove-orphans", "-t", "1")


def test_services_find_each_other_and_data_stays(application):
    engine = application
    before = visit()
    after = visit()
    assert (after["stored"], after["cached"]) == (before["stored"] + 1, before["cached"] + 1)
    assert after["by"] == ids(engine, "app")[0][:12]
    engine.compose("down", "-t", "1")
    assert names(engine, "network") == [] and names(engine, "volume") == ["visits_visits"]
    engine.compose("up", "-d", "--wait")
    again = visit()
    assert again["stored"] > after["stored"] and again["cached"] < again["stored"]
    engine.compose("down", "-v", "-t", "1")
    assert names(engine, "volume") == []


def test_networks_keep_services_apart(application):
    web, database = ids(application, "web")[0], ids(application, "db")[0]

    def resolves(container, name):
        return application.berth("exec", container, "getent", "hosts", name, check=False).returncode == 0

    assert resolves(web, "app") and not resolves(web, "db")
    assert resolves(database, "store") and resolves(database, "cache") and not resolves(database, "web")
    routes = application.berth("exec", database, "ip", "route", "show", "default").stdout
    assert routes == ""  # an internal network leads nowhere
    address = application.inspect(database)["NetworkSettings"]["Networks"]["visits_back"]["IPAddress"]
    done = application.berth("exec", web, "curl", "-s", "--max-time", "2", f"telnet://{address}:5432", check=False)
    assert done.returncode != 0


def test_a_scaled_service_is_asked_in_turn(application):
    application.compose("up", "-d", "--wait", "--scale", "app=3", "--no-recreate")
    assert len(ids(application, "app")) == 3
    seen = set()
    wait_until("answers of all three", lambda: seen.add(visit()["by"]) or len(seen) == 3)
    application.compose("up", "-d", "--wait", "--scale", "app=1", "--no-recreate")
    left = ids(application, "app")[0][:12]
    wait_until("answers of the one that is left", lambda: visit()["by"] == left)


def test_the_application_goes_on_without_the_engine(application):
    engine = application
    before = visit()
    engine.kill()
    # The published port and the connections between containers do not lead through the engine.
    with urllib.request.urlopen("http://127.0.0.1:8080/alive", timeout=10) as answer:
        assert answer.status == 200
    engine.start()
    after = visit()
    assert after["stored"] == before["stored"] + 1 and after["by"] == before["by"]
    replaced = ids(engine, "cache")[0]
    engine.compose("up", "-d", "--wait", "--force-recreate", "--no-deps", "cache")
    assert ids(engine, "cache")[0] != replaced
    assert visit()["cached"] < after["cached"] + 1  # another store, of the same name
