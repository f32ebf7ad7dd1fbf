"""File systems of a test's own, in its mount namespace: the machine's disk is never filled."""
import contextlib
import os
import shutil
import subprocess


@contextlib.contextmanager
def disk(kind, place, image, size, make=(), options="loop"):
    """A file system of so many bytes, made in the file image, at place. None where this machine cannot have it."""
    if not shutil.which(f"mkfs.{kind}"):
        yield None
        return
    with open(image, "wb") as file:
        file.truncate(size)
    try:
        subprocess.run([f"mkfs.{kind}", "-q", *make, str(image)], check=True)
        if shutil.which("modprobe"):  # the virtual machine's have no initial RAM disk that loads them
            subprocess.run(["modprobe", "-a", "-q", "loop", kind], check=False)
        # The loop device goes with the mount.
        done = subprocess.run(["mount", "-t", kind, "-o", options, str(image), str(place)], capture_output=True, text=True)
        if done.returncode != 0:
            yield None
            return
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", str(place)], check=False)
    finally:
        os.unlink(image)


@contextlib.contextmanager
def ext4(place, image, size, *flags):
    with disk("ext4", place, image, size, ("-m", "0", *flags)) as made:
        assert made, "no ext4"
        yield made


@contextlib.contextmanager
def with_project_quotas(kind, place, image):
    """An ext4 or XFS of 400 MiB with project quotas. None where this machine cannot have it."""
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", "quota_v2"], check=False)
    make = ("-O", "project,quota") if kind == "ext4" else ()
    with disk(kind, place, image, 400 << 20, make, "loop,prjquota") as made:
        yield made if made and "prjquota" in mount_options(place) else None


def mount_options(place):
    lines = [line.split() for line in open("/proc/self/mounts")]
    return next(words[3] for words in lines if words[1] == str(place))


def fill(filler, leave=0):
    """Takes all of the file system that filler lies on but so many bytes."""
    filler.unlink(missing_ok=True)
    status = os.statvfs(filler.parent)
    left, size, step = status.f_bavail * status.f_bsize - leave, 0, 64 << 20
    with open(filler, "wb") as file:
        while left >= 4096 and step >= 4096:
            part = min(step, left)
            try:
                os.posix_fallocate(file.fileno(), size, part)
            except OSError:  # the file system needs some itself
                step //= 2
                continue
            size, left = size + part, left - part
