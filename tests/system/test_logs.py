"""The files of json-file and local: Docker's bytes, rotation, compression, and reading them back."""
import gzip
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest

from engine import BIN, UnixConnection, wait_until
from disks import ext4, fill


def run(engine, driver, *options, script, name="talker", flags=("-d",)):
    words = [word for option in options for word in ("--log-opt", option)]
    return engine.berth("run", *flags, "--name", name, "--log-driver", driver, *words, "busybox", "sh", "-c", script)


def ended(engine, name="talker"):
    wait_until("end", lambda: not engine.inspect(name)["State"]["Running"])


def raw_log(engine, query, name="talker"):
    connection = UnixConnection(engine.socket)
    try:
        connection.request("GET", f"/containers/{name}/logs?stdout=1&stderr=1&{query}")
        return connection.getresponse().read()
    finally:
        connection.close()


def payload(frames):
    """(stream, bytes) of a multiplexed answer, joined."""
    text, at = b"", 0
    while at < len(frames):
        size = int.from_bytes(frames[at + 4:at + 8], "big")
        text, at = text + frames[at + 8:at + 8 + size], at + 8 + size
    return text


def test_the_default_is_local_and_its_options_are_the_daemons(fresh_engine):
    engine = fresh_engine
    assert engine.request("GET", "/info")[1]["LoggingDriver"] == "local"
    engine.berth("create", "--name", "plain", "busybox")
    assert engine.inspect("plain")["HostConfig"]["LogConfig"] == {"Type": "local", "Config": {}}
    engine.stop()
    engine.flags += ["--log-driver=json-file", "--log-opt=max-size=10k", "--log-opt=max-file=3"]
    engine.start()
    engine.berth("create", "--name", "now", "--log-opt", "max-file=2", "busybox")
    assert engine.inspect("now")["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10k", "max-file": "2"}}
    assert engine.inspect("plain")["HostConfig"]["LogConfig"]["Type"] == "local"
    assert {"json-file", "local", "journald", "syslog", "fluentd", "gelf", "none"} == set(engine.request("GET", "/info")[1]["Plugins"]["Log"])


def test_json_file_in_dockers_bytes(engine):
    engine.berth("run", "-d", "--name", "talker", "--label", "role=we b", "-e", "TIER=a&b", "--log-driver", "json-file",
                 "--log-opt", "labels=role", "--log-opt", "env=TIER", "--log-opt", "tag={{.Name}}", "busybox", "sh", "-c",
                 r'''printf 'a <b> "c" \\ \t\n'; head -c 16386 /dev/zero | tr '\0' x; printf '\nend' ''')
    ended(engine)
    inspected = engine.inspect("talker")
    path = pathlib.Path(inspected["LogPath"])
    assert path == engine.data / "containers" / inspected["Id"] / f"{inspected['Id']}-json.log"
    assert path.stat().st_mode & 0o777 == 0o640
    text = path.read_text()
    form = r'\{"log":"(.*)","stream":"stdout","attrs":\{"TIER":"a\\u0026b","role":"we b","tag":"talker"\},"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z"\}'
    lines = [re.fullmatch(form, line).group(1) for line in text.splitlines()]
    assert lines == [r"a \u003cb\u003e \"c\" \\ \u0009\n", "x" * 16384, r"xx\n", "end"]
    assert [json.loads(line)["stream"] for line in text.splitlines()] == ["stdout"] * 4
    assert payload(raw_log(engine, "")) == b"a <b> \"c\" \\ \t\n" + b"x" * 16386 + b"\nend"
    details = payload(raw_log(engine, "details=1&tail=1"))
    assert details == b"TIER=a%26b,role=we+b,tag=talker end"
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z TIER=a%26b,role=we\+b,tag=talker end",
                        payload(raw_log(engine, "details=1&timestamps=1&tail=1")))
    # Nothing of it stands in the monitor's arguments, which everybody may read.
    engine.berth("rm", "-f", "talker")
    wait_until("files that go behind the answer", lambda: not path.parent.exists())


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_since_until_tail_and_streams(engine, driver):
    run(engine, driver, script="echo one; usleep 300000; echo two >&2; usleep 300000; echo three")
    ended(engine)
    stamped = payload(raw_log(engine, "timestamps=1")).decode().splitlines()
    times = [line.split()[0] for line in stamped]
    assert [line.split()[1] for line in stamped] == ["one", "two", "three"]
    assert engine.berth("logs", "--since", times[1], "talker").stdout == "three\n"
    until = engine.berth("logs", "--until", times[1], "talker")
    assert (until.stdout, until.stderr) == ("one\n", "two\n")
    # Dates with less in them, and without a time zone: the machine's.
    for early in ("2017-01-04", "2017-01-04T00:00:00", "2017-01-04T07:30Z", "2017-01-04T00:00:00.5", "1483488000.5"):
        assert engine.berth("logs", "--since", early, "talker").stdout == "one\nthree\n"
        assert engine.berth("logs", "--until", early, "talker").stdout == ""
    tail = engine.berth("logs", "--tail", "2", "talker")
    assert (tail.stdout, tail.stderr) == ("three\n", "two\n")
    assert engine.berth("logs", "--tail", "0", "talker").stdout == ""
    assert engine.berth("logs", "-n", "all", "talker").stdout == "one\nthree\n"


def test_json_file_is_rotated_and_compressed(engine):
    run(engine, "json-file", "max-size=20k", "max-file=4", "compress=true",
        script="i=0; while [ $i -lt 1500 ]; do i=$((i+1)); echo line $i; done; while [ ! -e /tmp/go ]; do usleep 50000; done; echo last")
    path = pathlib.Path(engine.inspect("talker")["LogPath"])
    archive = lambda number: path.with_name(f"{path.name}.{number}.gz")  # noqa: E731
    follower = subprocess.Popen([BIN / "berth", "logs", "-f", "talker"], env=engine.environment, stdout=subprocess.PIPE)
    wait_until("compressed files", lambda: all(archive(n).exists() for n in (1, 2, 3)))
    assert not path.with_name(path.name + ".1").exists() and 20_000 <= len(gzip.decompress(archive(1).read_bytes())) < 20_200
    whole = engine.berth("logs", "talker").stdout.splitlines()
    first = int(whole[0].split()[1])
    assert whole == [f"line {i}" for i in range(first, 1501)] and first > 1
    assert engine.berth("logs", "--tail", "500", "talker").stdout.splitlines() == whole[-500:]
    engine.berth("exec", "talker", "touch", "/tmp/go")
    followed = follower.communicate(timeout=60)[0].decode().splitlines()
    assert followed[-2:] == ["line 1500", "last"] and followed == [f"line {i}" for i in range(1501 - (len(followed) - 1), 1501)] + ["last"]


def test_local_is_compressed_by_default(engine):
    run(engine, "local", "max-size=20k", script="i=0; while [ $i -lt 14000 ]; do i=$((i+1)); echo line $i; done; sleep 1000")
    folder = pathlib.Path(engine.inspect("talker")["LogPath"])
    wait_until("compressed files", lambda: len(list(folder.glob("log.*.gz"))) == 4)
    whole = engine.berth("logs", "talker").stdout.splitlines()
    assert whole == [f"line {i}" for i in range(int(whole[0].split()[1]), 14001)] and whole[0] != "line 1"
    assert engine.berth("logs", "--tail", "1500", "talker").stdout.splitlines() == whole[-1500:]
    # A container that goes on after its engine's death goes on in the same files.
    engine.berth("restart", "-t", "0", "talker")
    wait_until("second run", lambda: engine.berth("logs", "--tail", "1", "talker").stdout == "line 14000\n")


def test_none_has_nothing(engine):
    run(engine, "none", script="echo nothing")
    refused = engine.berth("logs", "talker", check=False)
    assert refused.returncode != 0 and "configured logging driver does not support reading" in refused.stderr
    assert engine.inspect("talker")["LogPath"] == ""
    refused = engine.berth("create", "--log-driver", "none", "--log-opt", "max-size=1m", "busybox", check=False)
    assert refused.returncode != 0 and "invalid logging opts for driver none" in refused.stderr


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_200_followed_logs_without_a_byte_lost(engine, driver):
    """Ten containers that write fast, through rotations, with twenty followers each."""
    lines, names = 20000, [f"talker{i}" for i in range(10)]
    for name in names:
        run(engine, driver, "max-size=5m", "max-file=100", name=name,
            script=f"while [ ! -e /tmp/go ]; do usleep 20000; done; yes 'thirty-two bytes of a line $HOST' | head -n {lines} | nl -w1")
    sums, threads = [], []

    def follow(name):
        connection = UnixConnection(engine.socket)
        connection.request("GET", f"/containers/{name}/logs?stdout=1&stderr=1&follow=1")
        data = payload(connection.getresponse().read())
        sums.append([int(line.split(b"\t")[0]) for line in data.splitlines()] == list(range(1, lines + 1)))
        connection.close()

    for i in range(200):
        threads.append(threading.Thread(target=follow, args=(names[i % 10],)))
        threads[-1].start()
    for name in names:
        engine.berth("exec", name, "touch", "/tmp/go")
    for thread in threads:
        thread.join(240)
    assert sums == [True] * 200


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_a_full_disk_costs_lines_and_nothing_else(fresh_engine, tmp_path, driver):
    engine = fresh_engine
    run(engine, driver, script="echo before; while [ ! -e /tmp/full ]; do usleep 20000; done; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); "
        "echo number $i of those for which there is no room; done; echo x > /dev/shm/done; while [ ! -e /dev/shm/room ]; do usleep 20000; done; echo after")
    folder = pathlib.Path(engine.inspect("talker")["LogPath"])
    folder = folder if folder.is_dir() else folder.parent
    place, moved = tmp_path / "disk", tmp_path / "moved"
    place.mkdir()
    engine.berth("exec", "talker", "true")
    engine.berth("stop", "-t", "0", "talker")
    with ext4(place, tmp_path / "image", 16 << 20):
        subprocess.run(["cp", "-a", f"{folder}/.", place], check=True)
        subprocess.run(["mount", "--bind", place, folder], check=True)
        try:
            engine.berth("start", "talker")
            engine.berth("exec", "talker", "touch", "/tmp/full")
            fill(place / "filler", leave=40 << 10)
            wait_until("output", lambda: engine.berth("exec", "talker", "test", "-e", "/dev/shm/done", check=False).returncode == 0)
            (place / "filler").unlink()
            engine.berth("exec", "talker", "touch", "/dev/shm/room")
            ended(engine)
            text = engine.berth("logs", "talker").stdout.splitlines()
            assert text[:1] == ["before"] and text[-1] == "after"
            assert all(re.fullmatch(r"before|after|number \d+ of those for which there is no room", line) for line in text)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def test_records_that_an_earlier_engine_wrote_for_json_file(fresh_engine):
    """Such containers said json-file and had the form of local."""
    engine = fresh_engine
    run(engine, "local", script="echo one; sleep 1000")
    run(engine, "json-file", script="while [ ! -e /tmp/go ]; do usleep 20000; done; echo two", name="later")
    wait_until("output", lambda: engine.berth("logs", "talker").stdout == "one\n")
    path = pathlib.Path(engine.inspect("later")["LogPath"])
    path.unlink()
    (path.parent / "log").mkdir(exist_ok=True)
    for file in pathlib.Path(engine.inspect("talker")["LogPath"]).glob("log.*"):
        (path.parent / "log" / file.name).write_bytes(file.read_bytes())
    assert engine.berth("logs", "later").stdout == "one\n"
    engine.berth("restart", "-t", "0", "later")
    engine.berth("exec", "later", "touch", "/tmp/go")
    wait_until("the form of today", lambda: engine.berth("logs", "later").stdout == "two\n")


def test_damaged_files_are_read_as_far_as_they_go(engine):
    run(engine, "json-file", "max-size=20k", "max-file=5", script="i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line $i; done")
    ended(engine)
    path = pathlib.Path(engine.inspect("talker")["LogPath"])
    middle = path.with_name(path.name + ".2")
    data = bytearray(middle.read_bytes())
    data[5000:9000] = os.urandom(4000).replace(b"\n", b"-")
    middle.write_bytes(data)
    numbers = [int(line.split()[1]) for line in engine.berth("logs", "talker").stdout.splitlines()]
    assert numbers == sorted(set(numbers)) and numbers[-1] == 1000 and len(numbers) > 800
    assert engine.berth("logs", "--tail", "10", "talker").stdout.splitlines() == [f"line {i}" for i in range(991, 1001)]
