"""Bundles of Debian's static busybox and the runtime's command line over them.

BERTH_TEST_RUNTIME names another runtime (runc) to run the same tests against; what is berth-runtime's alone is
marked with `ours`. The whole run lies in a testbed (tests/support/testbed).
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from runtime import PROGRAM  # noqa: E402
from runtime_fixtures import rootfs, runtime  # noqa: E402,F401


def pytest_configure(config):
    config.addinivalue_line("markers", "ours: not for other runtimes")


def pytest_collection_modifyitems(items):
    if PROGRAM.name == "berth-runtime":
        return
    for item in items:
        if item.get_closest_marker("ours"):
            item.add_marker(pytest.mark.skip(reason="berth-runtime's own"))
