"""The commit that the programs name: asked for at each build, written down when it is another one."""
import pathlib
import shutil
import subprocess

import pytest

from engine import ROOT

needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None or shutil.which("git") is None, reason="needs cmake and git")


def git(folder, *words):
    return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder), *words], capture_output=True,
                          text=True, check=True).stdout.strip()


class Tree:
    def __init__(self, folder):
        self.folder, self.output = folder, folder.parent / (folder.name + ".cpp")
        (folder / "cmake").mkdir(parents=True)
        (folder / "cmake/commit.txt").write_text("$Format:%H$\n")

    def commit(self):
        subprocess.run(["cmake", f"-DSOURCE={self.folder}", f"-DOUTPUT={self.output}", "-P", str(ROOT / "cmake/write_commit.cmake")],
                       check=True, capture_output=True)
        return pathlib.Path(self.output).read_text().split('return "')[1].split('"')[0]

    def repository(self):
        git(self.folder, "init", "-q")
        return self.next()

    def next(self):
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", "one")
        return git(self.folder, "rev-parse", "HEAD")


@needs_cmake
def test_a_repository_is_at_its_head(tmp_path):
    tree = Tree(tmp_path / "tree")
    assert tree.repository() == tree.commit()
    written = tree.output.stat().st_mtime_ns
    assert tree.commit() and tree.output.stat().st_mtime_ns == written  # nothing to compile again
    assert tree.next() == tree.commit()


@needs_cmake
def test_a_copy_knows_none_even_inside_of_another_repository(tmp_path):
    assert Tree(tmp_path / "alone").commit() == "unknown"
    outer = Tree(tmp_path / "outer")
    outer.repository()
    assert Tree(tmp_path / "outer" / "inner").commit() == "unknown"


@needs_cmake
def test_an_archive_of_git_carries_it(tmp_path):
    tree = Tree(tmp_path / "tree")
    (tree.folder / ".gitattributes").write_text((ROOT / ".gitattributes").read_text())
    head = tree.repository()
    unpacked = Tree(tmp_path / "unpacked")
    archive = tmp_path / "tree.tar"
    git(tree.folder, "archive", "-o", str(archive), "HEAD")
    subprocess.run(["tar", "-xf", str(archive), "-C", str(unpacked.folder)], check=True)
    assert unpacked.commit() == head
