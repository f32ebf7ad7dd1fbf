"""Docker's client for Go: each test of go/*_test.go."""
import pathlib

import pytest
from foreign import CLIENTS, Foreign

HERE = pathlib.Path(__file__).resolve().parent / "go"
SUITES = [(suite, name) for file in sorted(HERE.glob("*_test.go"))
          for suite in [Foreign(file, r"^func (Test\w+)\(t ", r"^--- PASS: {} ")] for name in suite.names]


@pytest.mark.parametrize("suite, name", SUITES, ids=[name for _, name in SUITES])
def test_go(engine, registry, suite, name):
    suite.run(engine, [CLIENTS / "go/clients.test", "-test.v", "-test.run", f"^({'|'.join(suite.names)})$"], BERTH_REGISTRY=registry.address)
    suite.check(name)
