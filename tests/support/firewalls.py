"""firewalld and ufw as Debian has them, unpacked beside the build: installed they would guard the machine itself."""
import shutil
import subprocess

from engine import BUILD

FOLDER = BUILD / "firewalls"
PARTS = ("/etc", "/var/lib", "/usr/lib", "/usr/share", "/usr/sbin", "/usr/bin")


def is_there():
    return (FOLDER / "complete").exists()


def fetch():
    """Needs a network. Where it fails the tests are skipped."""
    if is_there():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    archives = FOLDER / "archives"
    (archives / "partial").mkdir(parents=True)
    install = ["apt-get", "install", "-y", "-q", "--download-only", "--no-install-recommends", "-o", f"Dir::Cache::archives={archives}",
               "firewalld", "ufw", "dbus"]
    if subprocess.run(install, capture_output=True).returncode != 0:
        subprocess.run(["apt-get", "-q", "update"], capture_output=True)
        if subprocess.run(install, capture_output=True).returncode != 0:
            return
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, FOLDER], check=True)
    for part in PARTS:
        (FOLDER / part[1:]).mkdir(parents=True, exist_ok=True)
    for part in ("lib", "sbin", "bin"):  # packages from before the merge into /usr
        if (FOLDER / part).is_dir():
            subprocess.run(["cp", "-a", f"{FOLDER}/{part}/.", f"{FOLDER}/usr/{part}/"], check=True)
    (FOLDER / "complete").touch()
