"""File systems of a test's own, in its mount namespace: the machine's disk is never filled."""
import contextlib
import os
import subprocess


@contextlib.contextmanager
def ext4(place, image, size, *flags):
    """An ext4 of so many bytes, made in the file image, at place."""
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", *flags, str(image)], check=True)
    # The loop device goes with the mount.
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
        os.unlink(image)


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
