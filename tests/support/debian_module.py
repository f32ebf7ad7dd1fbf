"""Python modules of Debian's packages that the machine need not have: unpacked beside the build. tools/run_tests fetches
them, since the testbed has no network."""
import importlib
import os
import subprocess
import sys

from engine import BUILD

# With what they need themselves.
PACKAGES = ("python3-websocket", "python3-prometheus-client", "python3-decorator")


def place(package):
    return BUILD / "python-modules" / package


def fetch(package):
    folder = place(package)
    if not (folder / "usr").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(f"apt-get -q download {package} 2>/dev/null || {{ apt-get -q update && apt-get -q download {package}; }}; "
                       "dpkg -x *.deb . && rm *.deb", shell=True, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def debian_module(package, module):
    """The module, from the machine or from Debian's package of it."""
    assert package in PACKAGES
    try:
        return importlib.import_module(module)
    except ImportError:
        pass
    if os.environ.get("BERTH_TEST_WITHOUT_DOCKER"):
        import pytest
        pytest.skip(f"no {package} in the virtual machine")
    for one in PACKAGES:
        fetch(one)
        sys.path.append(str(place(one) / "usr" / "lib" / "python3" / "dist-packages"))
    return importlib.import_module(module)
