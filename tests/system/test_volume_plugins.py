"""Volumes of plugins, over Docker's protocol, with a plugin of the tests' own."""
import concurrent.futures
import contextlib
import json
import pathlib
import sqlite3
import threading
import time

import pytest

from certificates import Authority
from engine import wait_until
from volume_fixtures import plugin


@pytest.fixture
def driver(tmp_path_factory):
    with plugin(tmp_path_factory.mktemp("plugin"), scope="global") as running:
        yield running


@pytest.fixture
def driven_engine(driver, fresh_engine):
    yield fresh_engine
    left = fresh_engine.berth("ps", "-aq").stdout.split()
    if left:
        fresh_engine.berth("rm", "-f", *left)
    for volume in fresh_engine.berth("volume", "ls", "-q").stdout.split():
        fresh_engine.berth("volume", "rm", volume)


def test_a_plugins_volume_lives_like_any_other(driven_engine, driver):
    engine = driven_engine
    assert engine.docker("volume", "create", "-d", "testplugin", "-o", "a=b", "--label", "l=1", "plug").stdout == "plug\n"
    assert driver.calls("Create") == [{"Name": "plug", "Opts": {"a": "b"}}]
    shown = json.loads(engine.docker("volume", "inspect", "plug").stdout)[0]
    assert (shown["Driver"], shown["Scope"], shown["Labels"], shown["Status"]) == (
        "testplugin", "global", {"l": "1"}, {"users": 0})
    engine.docker("run", "-d", "--name", "box", "-v", "plug:/p", "busybox", "sleep", "1000")
    container = engine.inspect("box")
    assert driver.users("plug") == [container["Id"]]
    assert container["Mounts"][0]["Driver"] == "testplugin"
    engine.docker("exec", "box", "sh", "-c", "echo here > /p/file")
    assert (driver.folder / "volumes" / "plug" / "data" / "file").read_text() == "here\n"
    assert "volume is in use" in engine.docker("volume", "rm", "plug", check=False).stderr
    engine.docker("stop", "-t", "0", "box")
    wait_until("unmount", lambda: driver.users("plug") == [])
    engine.docker("rm", "box")
    engine.berth("volume", "prune", "-a", "-f")  # of local volumes only, as Docker's
    assert engine.docker("volume", "ls", "--format", "{{.Driver}} {{.Name}}").stdout == "testplugin plug\n"
    engine.docker("volume", "rm", "plug")
    assert driver.calls("Remove") == [{"Name": "plug"}]
    assert "testplugin" in engine.docker("info", "--format", "{{json .Plugins.Volume}}").stdout


def test_flags_name_the_driver(driven_engine, driver):
    engine = driven_engine
    engine.docker("run", "--rm", "--volume-driver", "testplugin", "-v", "one:/a", "busybox", "true")
    engine.docker("run", "--rm", "--mount", "type=volume,src=two,dst=/a,volume-driver=testplugin,volume-opt=x=y",
                  "busybox", "true")
    assert [call["Name"] for call in driver.calls("Create")] == ["one", "two"]
    assert driver.calls("Create")[1]["Opts"] == {"x": "y"}
    engine.docker("run", "--rm", "-v", "one:/a:ro", "busybox", "true")  # known by its name
    assert len(driver.calls("Create")) == 2
    wait_until("unmounts", lambda: len(driver.calls("Unmount")) == len(driver.calls("Mount")))


def test_volumes_that_only_the_plugin_knows(driven_engine, driver):
    engine = driven_engine
    for part in ("data", "users"):
        (driver.folder / "volumes" / "foreign" / part).mkdir(parents=True)
    (driver.folder / "volumes" / "foreign" / "data" / "file").write_text("theirs\n")
    assert engine.docker("volume", "ls", "-q", "-f", "driver=testplugin").stdout == "foreign\n"
    assert json.loads(engine.docker("volume", "inspect", "foreign").stdout)[0]["CreatedAt"] == "2024-05-06T07:08:09Z"
    assert engine.docker("run", "--rm", "-v", "foreign:/f", "busybox", "cat", "/f/file").stdout == "theirs\n"


def test_errors_of_plugins_are_told_in_their_words(driven_engine, driver):
    engine = driven_engine
    failed = engine.docker("volume", "create", "-d", "testplugin", "-o", "fail=no disk left", "bad", check=False)
    assert "create bad: no disk left" in failed.stderr
    failed = engine.docker("volume", "create", "-d", "testplugin", "-o", "fail=status 500 broken", "bad", check=False)
    assert "VolumeDriver.Create: status 500 broken" in failed.stderr
    assert engine.docker("volume", "ls", "-q").stdout == ""
    engine.docker("volume", "create", "-d", "testplugin", "gone")
    for part in ("data", "users"):
        (driver.folder / "volumes" / "gone" / part).rmdir()
    (driver.folder / "volumes" / "gone").rmdir()
    failed = engine.docker("run", "--rm", "-v", "gone:/g", "busybox", "true", check=False)
    assert "volume gone does not exist" in failed.stderr
    engine.docker("volume", "rm", "-f", "gone")


def test_a_plugin_that_starts_late_is_waited_for(fresh_engine, tmp_path):
    """Docker asks again after 1, 2, 4 … s: the socket is there and nobody listens yet."""
    with plugin(tmp_path / "root", name="late") as driver:
        driver.process.kill()
        driver.process.wait()
        assert driver.socket.exists()
        timer = threading.Timer(1.5, lambda: (driver.socket.unlink(), driver.start()))
        timer.start()
        # The name must stay there for the engine to find: the old socket refuses connections until then.
        assert fresh_engine.docker("volume", "create", "-d", "late", "plug").stdout == "plug\n"
        timer.join()
        fresh_engine.docker("volume", "rm", "plug")


@contextlib.contextmanager
def specification(place, name, text):
    folder = pathlib.Path(place)
    made = [path for path in (folder, folder.parent) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    try:
        yield path
    finally:
        path.unlink()
        for path in made:
            path.rmdir()


@pytest.mark.parametrize("place", ["/etc/docker/plugins", "/usr/lib/docker/plugins"])
@pytest.mark.parametrize("form", ["spec", "json"])
def test_specifications_name_the_socket(fresh_engine, tmp_path, place, form):
    elsewhere = tmp_path / "root"
    with plugin(elsewhere, name="hidden") as driver:
        address = f"unix://{driver.socket.rename(tmp_path / 's.sock')}"
        with specification(place, f"byfile.{form}", address if form == "spec" else json.dumps({"Name": "byfile", "Addr": address})):
            assert fresh_engine.docker("volume", "create", "-d", "byfile", "plug").stdout == "plug\n"
            assert fresh_engine.docker("volume", "ls", "--format", "{{.Driver}}").stdout == "byfile\n"
            fresh_engine.docker("volume", "rm", "plug")


def test_specifications_name_an_address_with_tls(fresh_engine, tmp_path):
    authority = Authority(tmp_path / "certificates")
    client, stranger = authority.client(), Authority(tmp_path / "others").client()
    shown = {"CertFile": f"{client}/cert.pem", "KeyFile": f"{client}/key.pem"}
    known = {"CAFile": f"{client}/ca.pem"}
    configurations = {"known": known | shown, "believed": {"InsecureSkipVerify": True} | shown, "broken": {"CAFile": "/nowhere.pem"} | shown,
                      "unknown": shown, "other": {"CAFile": f"{stranger}/ca.pem"} | shown, "nobody": known}
    with plugin(tmp_path / "root", certificates=authority.server()) as driver, contextlib.ExitStack() as specifications:
        address = f"https://localhost:{driver.socket.read_text()}/docker/plugin"
        for name, tls in configurations.items():
            specifications.enter_context(specification("/etc/docker/plugins", f"{name}.json",
                                                       json.dumps({"Name": name, "Addr": address, "TLSConfig": tls})))
        # Those that are not let in are asked again for a while, hence side by side.
        with concurrent.futures.ThreadPoolExecutor(len(configurations)) as pool:
            made = dict(zip(configurations, pool.map(
                lambda name: fresh_engine.docker("volume", "create", "-d", name, name, check=False), configurations)))
        assert {name: run.returncode for name, run in made.items()} == {name: int(name not in ("known", "believed")) for name in made}
        assert all("certificate" in made[name].stderr for name in ("unknown", "other", "nobody")), made
        assert "/nowhere.pem" in made["broken"].stderr
        assert sorted(call["Name"] for call in driver.calls("Create")) == ["believed", "known"]
        fresh_engine.docker("volume", "rm", "known", "believed")


def test_what_a_killed_engine_mounted_is_given_back(driven_engine, driver):
    engine = driven_engine
    engine.docker("volume", "create", "-d", "testplugin", "plug")
    engine.docker("run", "-d", "--name", "kept", "-v", "plug:/p", "busybox", "sleep", "1000")
    kept = engine.inspect("kept")["Id"]
    engine.kill()
    # As if it had been killed between the plugin's answer and the container.
    (driver.folder / "volumes" / "plug" / "users" / "0123456789abcdef").touch()
    with sqlite3.connect(engine.data / "metadata.db") as database:
        database.execute("INSERT INTO engine_volume_mounts (volume, user) VALUES ('plug', '0123456789abcdef')")
    engine.start()
    wait_until("stale mount", lambda: driver.users("plug") == [kept])
    engine.docker("rm", "-f", "kept")
    wait_until("unmount", lambda: driver.users("plug") == [])


def test_a_plugin_that_is_away_does_not_hide_the_others(driven_engine, driver):
    engine = driven_engine
    engine.docker("volume", "create", "here")
    # A socket that nobody listens on: only who asks for this plugin waits for it.
    driver.process.kill()
    driver.process.wait()
    begin = time.monotonic()
    assert engine.docker("volume", "ls", "-q").stdout == "here\n"
    engine.docker("run", "--rm", "-v", "new:/n", "busybox", "true")
    assert time.monotonic() - begin < 10
    engine.docker("volume", "rm", "new")
    driver.stop()
    assert engine.docker("volume", "ls", "-q").stdout == "here\n"
    driver.start()
    assert engine.docker("volume", "ls", "-q").stdout == "here\n"
