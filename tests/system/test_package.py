"""The Debian package: what is in it, that it says what it needs, and that what it installs works at its own place."""
import re
import shutil
import subprocess
import pathlib

import pytest
from engine import BIN, BUILD, ROOT, SANITIZED, Engine
from engine_fixtures import rootfs_tar  # noqa: F401

pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitized builds are not packaged")


def sh(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, **options).stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    sh("cpack", "-G", "DEB", "-B", folder, "--config", BUILD / "CPackConfig.cmake", cwd=folder)
    return next(folder.glob("*.deb"))


@pytest.fixture(scope="module")
def installed(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    sh("dpkg-deb", "-x", package, folder)
    return folder / "usr"


def test_name_and_version(package):
    version = re.search(r"version (\S+),", sh(BIN / "berthd", "--version"))[1]
    machine = sh("dpkg", "--print-architecture").strip()
    assert package.name == f"berth_{version}_{machine}.deb"
    assert sh("dpkg-deb", "-f", package, "Package", "Version", "Architecture") == (
        f"Package: berth\nVersion: {version}\nArchitecture: {machine}\n")


def test_every_library_is_among_what_it_depends_on(package, installed):
    depends = {word.split()[0] for word in sh("dpkg-deb", "-f", package, "Depends").split(", ")}
    needed = set()
    for program in [*installed.glob("bin/*"), *installed.glob("libexec/berth/*")]:
        needed |= set(re.findall(r"NEEDED\s+(\S+)", sh("objdump", "-p", program)))
    assert "libsqlite3.so.0" in needed and any(library.startswith("libgrpc++") for library in needed)
    for library in needed:
        owners = {line.split(":")[0] for line in sh("dpkg", "-S", f"*/{library}").splitlines()}
        provided = sh("dpkg-query", "-W", "-f", "${Provides}, ", *owners)  # some packages are asked for by another name
        names = owners | {word.split()[0] for word in provided.split(", ") if word}
        assert names & depends, f"{library} of {names} is in none of {depends}"


def test_every_page_of_the_manual_is_there(installed):
    pages = {page.name for page in installed.glob("share/man/man*/*")}
    assert pages == {page.stem for page in (ROOT / "docs/man").glob("*.md")}
    text = (installed / "share/man/man8/berthd.8").read_text()
    assert text.startswith(".\\\"") and '.TH "berthd" "8"' in text
    assert "\\-\\-data\\-root" in text or "--data-root" in text


def test_programs_work_where_they_are_installed(installed, tmp_path, rootfs_tar):  # noqa: F811
    """The engine's helpers are below libexec: the monitor, the container's init, and gRPC for BuildKit's sessions."""
    engine = Engine(tmp_path)
    engine.programs = installed / "bin"
    with engine:
        def berth(*words):
            return engine.run(installed / "bin/berth", *words).stdout
        berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        assert berth("run", "--rm", "--init", "busybox", "echo", "here").strip() == "here"
        context = tmp_path / "context"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM busybox\nRUN echo made >/made\n")
        engine.environment["DOCKER_BUILDKIT"] = "1"
        berth("build", "-t", "made", str(context))
        assert berth("run", "--rm", "made", "cat", "/made") == "made\n"
    runtime = sh(installed / "bin/berth-runtime", "--version")
    assert runtime.startswith("berth-runtime version ")


def test_programs_work_below_another_prefix(tmp_path, rootfs_tar):  # noqa: F811
    prefix = tmp_path / "opt"
    sh("cmake", "--install", BUILD, "--prefix", prefix)
    engine = Engine(tmp_path)
    engine.programs = prefix / "bin"
    with engine:
        engine.berth("import", str(rootfs_tar), "busybox:latest")
        assert engine.berth("run", "--rm", "busybox", "echo", "here").stdout.strip() == "here"


def test_nothing_of_the_build_is_in_it(installed):
    """Paths of where it was built are nobody's business, and symbols are left out."""
    for program in ("bin/berthd", "bin/berth", "libexec/berth/berth-monitor"):
        assert "no symbols" in sh("nm", installed / program, stderr=None) or not sh("nm", installed / program)
        assert str(ROOT).encode() not in (installed / program).read_bytes()


@pytest.mark.parametrize("unit", ["berth.service", "berth.socket"])
def test_systemd_accepts_the_units(installed, unit, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    for other in ("berth.service", "berth.socket"):
        text = (installed / "lib/systemd/system" / other).read_text()
        # It looks for the program, which is not installed here.
        (tmp_path / other).write_text(text.replace("ExecStart=berthd", f"ExecStart={installed}/bin/berthd"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / unit], capture_output=True, text=True)
    assert "berth" not in done.stderr and done.returncode == 0, done.stderr
