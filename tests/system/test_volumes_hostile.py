"""Attacks on volumes: by archives that want out, by containers that exchange what the engine walks through, by commands that
meet each other. (Subpaths: test_volumes.py; mounts of running containers: test_mounts.py.)"""
import collections
import io
import os
import pathlib
import subprocess
import tarfile
import threading

import pytest

from engine import BIN, mounts_below, wait_until
from hostile import END, device, directory, entry, hard_link, symlink

SECRET = pathlib.Path("/run/secret-of-the-host")
ROUNDS = 25


def mounts_of_the_host(engine):
    """All but the engine's own."""
    places = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    return [place for place in places if not place.startswith((str(engine.data), str(engine.exec)))]


@pytest.fixture(autouse=True)
def host_untouched(engine):
    SECRET.write_text("host\n")
    SECRET.chmod(0o600)
    before = {path.name for path in pathlib.Path("/run").iterdir()}
    mounts = mounts_of_the_host(engine)
    yield
    engine.remove_all()
    assert SECRET.read_text() == "host\n"
    status = SECRET.stat()
    assert (status.st_uid, status.st_mode & 0o7777, status.st_nlink) == (0, 0o600, 1)
    assert {path.name for path in pathlib.Path("/run").iterdir()} == before
    wait_until("empty volumes", lambda: list((engine.data / "volumes").iterdir()) == [])
    assert mounts_below(engine.data / "volumes") == [] and mounts_of_the_host(engine) == mounts
    SECRET.unlink()


# ---- archives ----

def import_tar(engine, folder, data):
    archive = folder / "hostile.tar"
    archive.write_bytes(data + END)
    return engine.berth("volume", "import", "bad", archive, check=False)


REFUSED = {
    "out": entry("../../../../../run/evil", b"x"),
    "out of a folder": directory("a") + entry("a/../../../../../run/evil", b"x"),
    "through a link": symlink("l", "/run") + entry("l/evil", b"x"),
    "through a link and back": directory("d") + symlink("d/l", "../../../../../../run") + entry("d/l/evil", b"x"),
    "hard link": hard_link("mine", "/run/secret-of-the-host"),
    "hard link up": hard_link("mine", "../../../../../run/secret-of-the-host"),
    "hard link through a link": symlink("l", "/run") + hard_link("mine", "l/secret-of-the-host"),
    "root is a link": symlink(".", "/run") + entry("evil", b"x"),
    "below a file": entry("f", b"x") + entry("f/below", b"x"),
    "cut": entry("a", b"x" * 4000)[:2000],
    "no type": entry("a", type=b"Z"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_archive_that_wants_out_is_refused_and_leaves_nothing(engine, tmp_path, name):
    done = import_tar(engine, tmp_path, REFUSED[name])
    assert done.returncode == 1 and done.stderr.startswith("berth: import bad: "), done.stderr
    assert engine.berth("volume", "ls", "-q").stdout == ""
    assert list((engine.data / "volumes").iterdir()) == []


def test_odd_archives_stay_inside(engine, tmp_path):
    """Links may lead anywhere, for containers that have such places; what is written over one does not go there."""
    data = (symlink("l", "/run/secret-of-the-host") + entry("l", b"own\n") + entry("/absolute/evil", b"x") +
            symlink("kept", "/run/secret-of-the-host") + directory("d") + entry("d", b"a file now\n") +
            entry("e", b"x") + directory("e") + entry("e/f", b"deep\n") + device("null", 1, 3) +
            entry(".wh.l", b"literal\n") + entry("set", b"x", mode=0o4755, uid=5, gid=6))
    done = import_tar(engine, tmp_path, data)
    assert done.returncode == 0, done.stderr
    shown = engine.berth("run", "--rm", "-v", "bad:/v", "busybox", "sh", "-c",
                         "cd /v; cat l d e/f .wh.l; readlink kept; stat -c '%a %u %g' set; ls absolute; cat kept || true").stdout
    assert shown == "own\na file now\ndeep\nliteral\n/run/secret-of-the-host\n4755 5 6\nevil\n"


def test_overlay_attributes_do_not_come_from_archives(engine, tmp_path):
    """A volume may be the lower layer of somebody's overlay one day: redirects in it would lead out of it."""
    archive = tmp_path / "attributes.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("d")
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        info.pax_headers = {"SCHILY.xattr.trusted.overlay.redirect": "/run", "SCHILY.xattr.trusted.overlay.opaque": "y",
                            "SCHILY.xattr.user.note": "kept"}
        tar.addfile(info)
    engine.berth("volume", "import", "bad", archive)
    place = engine.data / "volumes" / "bad" / "_data" / "d"
    assert [name for name in os.listxattr(place) if name.startswith("trusted.")] == []


def test_a_bomb_of_holes_takes_no_room_and_ends_at_a_limit(engine, tmp_path):
    """8 EiB that are not there: more than a volume may have."""
    archive = tmp_path / "bomb.tar"
    info = tarfile.TarInfo("huge")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "huge",
                        "GNU.sparse.realsize": str((1 << 63) - 1)}
    body = b"0\n".ljust(512, b"\0")
    info.size = len(body)
    archive.write_bytes(info.tobuf(tarfile.PAX_FORMAT) + body + END)
    refused = engine.berth("volume", "import", "bad", archive, check=False)
    assert refused.returncode == 1, refused.stderr
    assert list((engine.data / "volumes").iterdir()) == []


# ---- containers that change what the engine reads or writes ----

def attack(engine, name, volume, script):
    engine.berth("run", "-d", "--name", name, "-v", f"{volume}:/d", "busybox", "sh", "-c", script)


def test_owners_are_not_changed_through_exchanged_links(engine):
    """:U walks a volume in which a container exchanges directories and files for links to the host's."""
    attack(engine, "attacker", "race", "mkdir -p /d/a/b; touch /d/a/b/secret-of-the-host; while true; do "
           "mv /d/a/b /d/b; ln -sfn /run /d/a/b; rm /d/a/b; mv /d/b /d/a/b; "
           "ln -sf /run/secret-of-the-host /d/a/x; rm -f /d/a/x; touch /d/a/x; done")
    for _ in range(ROUNDS):
        engine.berth("run", "--rm", "-u", "4000:4000", "-v", "race:/d:U", "busybox", "true", check=False)
    assert SECRET.stat().st_uid == 0 and pathlib.Path("/run").stat().st_uid == 0


def test_copy_up_does_not_follow_what_is_put_in_its_way(engine):
    """A new volume gets the image's content while another container, which has it already, puts links to the host in the
    way of each name. Nothing of the host is written, given away or read."""
    context = ("FROM busybox\nRUN mkdir -p /data/deep/er && for i in 1 2 3 4 5 6 7 8; do echo image > /data/deep/er/$i; "
               "ln /data/deep/er/$i /data/hard$i; ln -s deep /data/link$i; done && chown -R 4000:4000 /data\n")
    engine.docker("build", "-t", "content", "-", input=context)
    for number in range(ROUNDS):
        name = f"race{number}"
        engine.berth("volume", "create", name)
        # It has a mount of the place, and no more of a head start than a start takes.
        attacker = subprocess.Popen(
            [BIN / "berth", "run", "--rm", "--name", f"attacker{number}", "-v", f"{name}:/d:nocopy", "busybox", "timeout", "2", "sh", "-c",
             "cd /d; while true; do ln -sfn /run deep; ln -sf /run/secret-of-the-host hard1; rm -rf deep hard1; mkdir deep; "
             "ln -sfn /run deep/er; rm -f deep/er; done"], env=engine.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        engine.berth("run", "--rm", "-v", f"{name}:/data", "content", "true", check=False)
        engine.berth("rm", "-f", f"attacker{number}", check=False)
        attacker.wait(60)
        assert SECRET.read_text() == "host\n" and SECRET.stat().st_uid == 0
        assert not any(pathlib.Path("/run", str(i)).exists() for i in range(1, 9))
    engine.berth("rmi", "-f", "content")


def test_an_export_reads_nothing_but_the_volume(engine, tmp_path):
    """The containers that use it are paused; one that has the volume's files by another way (a bind mount) is not."""
    engine.berth("volume", "create", "race")
    place = engine.data / "volumes" / "race" / "_data"
    engine.berth("run", "-d", "--name", "attacker", "-v", f"{place}:/d", "busybox", "sh", "-c",
                 "mkdir /d/a; echo inside > /d/a/secret-of-the-host; while true; do mv /d/a /d/b; ln -sfn /run /d/a; rm /d/a; "
                 "mv /d/b /d/a; echo y > /d/f; ln -sf /run/secret-of-the-host /d/f; rm -f /d/f; done")
    for number in range(ROUNDS):
        done = subprocess.run([BIN / "berth", "volume", "export", "race"], env=engine.environment, capture_output=True)
        if done.returncode == 0:
            with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
                texts = [tar.extractfile(member).read() for member in tar if member.isreg()]
            assert b"host\n" not in texts
        engine.berth("volume", "clone", "race", f"clone{number}", check=False)
    for path in (engine.data / "volumes").glob("clone*/_data/**/*"):
        if path.is_file() and not path.is_symlink():
            assert path.read_text() != "host\n"


# ---- commands that meet ----

def test_volumes_from_a_container_that_goes(engine):
    """Either there is a container with the volume and what is in it, or none: never one with an empty volume instead."""
    outcomes = set()
    for number in range(ROUNDS):
        engine.berth("run", "--name", f"source{number}", "-v", "/data", "busybox", "sh", "-c", "echo kept > /data/file")
        remover = threading.Thread(target=engine.berth, args=("rm", "-f", "-v", f"source{number}"), kwargs={"check": False})
        if number % 2:
            remover.start()
        made = engine.berth("create", "--name", f"heir{number}", "--volumes-from", f"source{number}", "busybox", "cat",
                            "/data/file", check=False)
        if not number % 2:
            remover.start()
        remover.join()
        outcomes.add(made.returncode)
        assert len(engine.berth("volume", "ls", "-q").stdout.split()) <= 1
        if made.returncode == 0:
            assert engine.berth("start", "-a", f"heir{number}").stdout == "kept\n"
            engine.berth("rm", f"heir{number}")
        else:
            assert "No such container" in made.stderr or "was removed meanwhile" in made.stderr, made.stderr
        left = engine.berth("volume", "ls", "-q").stdout.split()
        if left:
            engine.berth("volume", "rm", *left)
    assert 0 in outcomes


def test_heirs_at_the_moment_of_a_removal(engine):
    """Several at once want the volumes of a container that is removed with them: each has the same volume, and what is in it,
    or is told; the last one that goes takes it along."""
    outcomes = collections.Counter()
    for number in range(ROUNDS * 6):
        source = engine.request("POST", "/containers/create", {"Image": "busybox", "Volumes": {"/data": {}}})[1]["Id"]
        volume = engine.request("GET", f"/containers/{source}/json")[1]["Mounts"][0]["Name"]
        (engine.data / "volumes" / volume / "_data" / "file").write_text("kept\n")
        together, answers = threading.Barrier(7), []

        def inherit():
            together.wait()
            answers.append(engine.request("POST", "/containers/create", {
                "Image": "busybox", "Cmd": ["cat", "/data/file"], "HostConfig": {"VolumesFrom": [source]}}))

        def remove():
            together.wait()
            for _ in range(number % 40):  # not always first
                os.sched_yield()
            assert engine.request("DELETE", f"/containers/{source}?v=1&force=1")[0] == 204

        threads = [threading.Thread(target=inherit) for _ in range(6)] + [threading.Thread(target=remove)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heirs = []
        for status, answer in answers:
            outcomes[status] += 1
            if status == 201:
                heirs.append(answer["Id"])
            else:
                assert (status, "No such container" in answer["message"]) == (400, True) or (
                    status, "was removed meanwhile" in answer["message"]) == (409, True), (status, answer)
        names = {engine.request("GET", f"/containers/{heir}/json")[1]["Mounts"][0]["Name"] for heir in heirs}
        assert names <= {volume}
        if heirs and number % 10 == 0:
            assert engine.berth("start", "-a", heirs[0]).stdout == "kept\n"
        for heir in heirs:
            assert (engine.data / "volumes" / volume / "_data" / "file").read_text() == "kept\n"
            assert engine.request("DELETE", f"/containers/{heir}?v=1&force=1")[0] == 204
        assert not engine.request("GET", "/volumes")[1]["Volumes"]
    print(dict(outcomes))
    assert outcomes[201] and set(outcomes) <= {201, 400, 409}
    wait_until("no directory of a volume", lambda: list((engine.data / "volumes").iterdir()) == [])


def test_everything_at_once_on_one_name(engine):
    """Creations, uses, clones, late mounts and removals of the same names: each succeeds or says why, and the engine knows in
    the end what there is."""
    engine.berth("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    commands = [["volume", "create", "one"], ["volume", "rm", "one"], ["run", "--rm", "-v", "one:/v", "busybox", "touch", "/v/x"],
                ["volume", "clone", "--pause", "one", "two"], ["volume", "rm", "two"], ["mount", "add", "box", "one:/late"],
                ["mount", "rm", "box", "/late"], ["volume", "prune", "-a", "-f"]]

    def repeat(command):
        for _ in range(ROUNDS // 2):
            said = engine.berth(*command, check=False)
            assert said.returncode in (0, 1, 125) and "nternal" not in said.stderr, said.stderr
            problems.extend([said.stderr] if said.returncode and not any(word in said.stderr for word in known) else [])

    known = ("no such volume", "No such volume", "in use", "there already", "taken into use", "Duplicate mount", "has no mount",
             "removed meanwhile")
    problems = []
    threads = [threading.Thread(target=repeat, args=(command,)) for command in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    engine.berth("rm", "-f", "box")
    names = set(engine.berth("volume", "ls", "-q").stdout.split())
    assert {path.name for path in (engine.data / "volumes").iterdir()} == names
    assert engine.berth("volume", "prune", "-a", "-f").returncode == 0
    assert engine.berth("volume", "ls", "-q").stdout == ""
