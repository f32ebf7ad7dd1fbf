"""Layers that want out, want more than there is, or say the same thing twice: by import, load and pull, as images and as
directories. What is refused leaves nothing; what is taken looks the same everywhere."""
import gzip
import hashlib
import json
import os
import pathlib
import tarfile
import time
import zlib

import pytest

import hostile
from engine import SANITIZED, Engine, file_list, wait_until
from hostile import END, ImageServer, device, directory, docker_archive, entry, hard_link, image_documents, symlink

FORMS = ["erofs", "directory"]
# What a layer may hold; the kernel's own lists of names and paths end there, too.
LONGEST_NAME = 4096


@pytest.fixture(scope="module", params=FORMS)
def formed(request, tmp_path_factory):
    with Engine(tmp_path_factory.mktemp("hostile"), f"--storage-opt=overlay2.layer_form={request.param}") as running:
        yield running


@pytest.fixture(scope="module")
def rootfs(rootfs_tar):
    """The entries of a root file system, without the tar's end."""
    data = pathlib.Path(rootfs_tar).read_bytes()
    with tarfile.open(rootfs_tar) as tar:
        last = tar.getmembers()[-1]
    return data[: last.offset_data + -(-last.size // 512) * 512]


def by_import(engine, folder, layer):
    (folder / "layer.tar").write_bytes(layer)
    return engine.berth("import", folder / "layer.tar", "bad:latest", check=False), "bad:latest"


def by_load(engine, folder, layer):
    (folder / "image.tar").write_bytes(docker_archive("bad:latest", [layer]))
    return engine.berth("load", "-i", folder / "image.tar", check=False), "bad:latest"


def by_pull(engine, folder, layer):
    with ImageServer(*image_documents([layer])) as server:
        return engine.berth("pull", server.image, check=False), server.image


WAYS = [by_import, by_load, by_pull]


def kept(engine):
    """Without blobs: a pull that failed keeps what it has downloaded for the next one."""
    return [name for name in file_list(engine.data) if not name.startswith("blobs/")]


def check_nothing_left(engine, before):
    assert engine.berth("images", "-q", "-a").stdout == ""
    engine.berth("system", "check", "--deep")
    wait_until("clean data root", lambda: kept(engine) == before)


# Name, the entries, and a word of the error.
REFUSED = [
    ("out", entry("../../../../tmp/berth-evil", b"x"), "../../../../tmp/berth-evil"),
    ("out-of-a-folder", directory("a") + entry("a/../../berth-evil", b"x"), "a/../../berth-evil"),
    ("hard-link-out", hard_link("passwd", "../../../../../../etc/passwd"), "passwd"),
    ("hard-link-to-the-hosts-file", hard_link("passwd", "/etc/os-release"), "passwd"),
    ("through-a-link-out", symlink("l", "/nowhere/at/all") + entry("l/evil", b"x"), '"l'),
    ("below-a-file", entry("f", b"x") + entry("f/below", b"y"), '"f'),
    ("loop-of-links", symlink("x", "y") + symlink("y", "x") + entry("x/z", b"z"), '"x'),
    ("root-is-a-link", symlink(".", "/"), ""),
    ("too-long", entry("/".join(["n" * 255] * 16) + "/ab", b""), str(LONGEST_NAME)),
    ("too-long-a-part", entry("n" * 256, b""), "nnn"),
    ("damaged-header", entry("a", b"x")[:100] + b"\xff" * 8 + entry("a", b"x")[108:], ""),
    ("unknown-type", entry("a", type=b"Z"), ""),
    ("truncated", entry("a", b"x" * 4000)[:2000], ""),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_refused(formed, tmp_path, way):
    for name, entries, word in REFUSED:
        before = kept(formed)
        layer = entries if name == "truncated" else entries + END
        done, _ = way(formed, tmp_path, layer)
        assert done.returncode == 1 and word in done.stderr, (name, done.stdout, done.stderr)
        assert not pathlib.Path("/tmp/berth-evil").exists()
        check_nothing_left(formed, before)


def odd_entries():
    longest = "/h/" + "/".join(["n" * 255] * 15) + "/" + "m" * 252
    assert len(longest) == 4095
    entries = [
        directory("h", mode=0o711),
        # Absolute names, and names with dots that stay inside.
        entry("/h/absolute", b"1"), entry("h/./a/../dots", b"2"),
        # Links out of the root, and files through them.
        directory("h/inside"), symlink("h/up", "../../../../h/inside"), entry("h/up/through", b"3"),
        symlink("h/etc", "/etc"), entry("h/etc/berth-evil", b"4"), symlink("h/shadow", "/etc/shadow"),
        hard_link("h/same-link", "h/shadow"),
        # The last one counts.
        entry("h/twice", b"first"), entry("h/twice", b"second", mode=0o600), entry("h/was-a-file", b"x"), directory("h/was-a-file"),
        entry("h/was-a-file/now", b"y"), directory("h/was-a-folder"), entry("h/was-a-folder/x", b""), entry("h/was-a-folder", b"z"),
        entry("h/linked", b"5"), hard_link("h/link", "h/linked"), entry("h/linked", b"six"),
        # A file in the place of a link is not written where the link leads.
        symlink("h/replaced", "/etc/passwd"), entry("h/replaced", b"7"),
        device("h/null", 1, 3), device("h/disk", 259, 70_000, tarfile.BLKTYPE), entry("h/fifo", type=tarfile.FIFOTYPE),
        entry("h/owners", b"8", uid=100_000, gid=3_000_000_000, mode=0o6755),
        entry("h/xattrs", b"9", pax_headers={"SCHILY.xattr.user.note": "hello", "SCHILY.xattr.trusted.overlay.redirect": "/etc"}),
        entry("h/time", b"10", pax_headers={"mtime": "1500000000.123456789"}), entry("h/caf\udce9", b"11"),
        entry("h/" + "z" * 255, b"12"), entry(longest, b"13"), symlink("h/far", "t" * 4095),
    ]
    return b"".join(entries)


def test_odd_entries_are_the_same_everywhere(tmp_path_factory, rootfs):
    layer = rootfs + odd_entries() + END
    listings = {}
    for form in FORMS:
        with Engine(tmp_path_factory.mktemp("odd"), f"--storage-opt=overlay2.layer_form={form}") as engine:
            for way in WAYS:
                done, image = way(engine, engine.folder, layer)
                assert done.returncode == 0, done.stderr
                with hostile.running(engine, image) as root:
                    listings[form, way.__name__] = hostile.listing(root / "h")
                    assert (root / "etc/berth-evil").read_text() == "4"
                    assert (root / "etc/passwd").read_text().startswith("root:")
                engine.berth("system", "check", "--deep")
                engine.berth("rmi", image)
    first = listings["erofs", "by_load"]
    for name, other in listings.items():
        assert other == first, (name, {key: (first.get(key), other.get(key)) for key in first.keys() | other.keys()
                                       if first.get(key) != other.get(key)})
    assert first["./twice"][:3] == ["0o100600", 0, 0] and first["./twice"][-2] == len("second")
    assert first["./owners"][:3] == ["0o106755", 100_000, 3_000_000_000]
    assert first["./xattrs"][3] == {"user.note": b"hello"}
    assert first["./time"][4] == 1_500_000_000_123_456_789
    assert first["./null"][-1] == (1, 3) and first["./disk"][-1] == (259, 70_000)
    assert "./caf\udce9" in first and "was-a-file/now" in first and "inside/through" in first
    assert max(len(name) for name in first) > 4000
    assert not pathlib.Path("/etc/berth-evil").exists()


def many_entries(count):
    """A tar of so many empty files, a thousand in each folder, as pieces."""
    template = bytearray(entry("d0000/f000000", b""))

    def piece(name, kind):
        header = bytearray(template)
        header[0:100] = name.encode().ljust(100, b"\0")
        header[156:157] = kind
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        return header

    for folder in range(count // 1000):
        yield b"".join([piece(f"d{folder:04}/", b"5")] + [piece(f"d{folder:04}/f{number:06}", b"0") for number in range(999)])
    yield END


def layer_digest(archive):
    """Of the first layer in it, which may be packed or not."""
    with tarfile.open(archive) as tar:
        name = json.load(tar.extractfile("manifest.json"))[0]["Layers"][0]
        data = tar.extractfile(name)
        packed = data.read(2) == b"\x1f\x8b"
        data.seek(0)
        return hashlib.file_digest(gzip.GzipFile(fileobj=data) if packed else data, "sha256").hexdigest()


# Making and checking a million takes minutes on a busy machine.
MANY = 1_000_000 if hostile.LONG else 20_000


@pytest.mark.parametrize("form", FORMS)
def test_a_million_entries_take_bounded_memory(tmp_path, form):
    compressed, tar = zlib.compressobj(1, wbits=31), hashlib.sha256()
    with open(tmp_path / "many.tar.gz", "wb") as file:
        for piece in many_entries(MANY):
            tar.update(piece)
            file.write(compressed.compress(piece))
        file.write(compressed.flush())
    with Engine(tmp_path, f"--storage-opt=overlay2.layer_form={form}") as engine:
        before = hostile.peak_memory(engine)
        begin = time.monotonic()
        engine.berth("import", tmp_path / "many.tar.gz", "many", timeout=600)
        peak, seconds = hostile.peak_memory(engine), time.monotonic() - begin
        frames = [path.stat().st_size for path in (engine.data / "layers").glob("*/tar.frame")]
        print(f"{form}: {MANY} entries in {seconds:.1f} s, peak {peak} MiB, {before} before, frame {frames}")
        assert len(frames) == (1 if form == "directory" else 0)
        # About 150 bytes an entry for the index; a sanitizer has its own costs.
        assert SANITIZED or peak - before <= 64 + MANY * 200 // (1 << 20), (peak, before)
        engine.berth("system", "check", *(["--deep"] if frames else []), timeout=900)
        if frames:  # and the tar comes out again as it came
            begin = time.monotonic()
            engine.berth("save", "-o", tmp_path / "saved.tar", "many", timeout=900)
            print(f"{form}: saved in {time.monotonic() - begin:.1f} s, peak {hostile.peak_memory(engine)} MiB")
            assert layer_digest(tmp_path / "saved.tar") == tar.hexdigest()
            assert SANITIZED or hostile.peak_memory(engine) - before <= 64 + MANY * 200 // (1 << 20)
            (tmp_path / "saved.tar").unlink()
        engine.berth("rmi", "many", timeout=600)
        wait_until("empty data root", lambda: os.listdir(engine.data / "tmp") == [], 300)


def test_a_file_that_is_larger_than_any(formed, tmp_path):
    """Two TiB are announced; nothing of them comes."""
    huge = tarfile.TarInfo("huge")
    huge.size = 2 << 40
    layer = huge.tobuf(tarfile.GNU_FORMAT) + b"x" * 4096
    for way in WAYS:
        before = kept(formed)
        done, _ = way(formed, tmp_path, layer)
        assert done.returncode == 1 and "limit" in done.stderr, done.stderr
        check_nothing_left(formed, before)
