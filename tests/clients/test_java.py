"""testcontainers for Java: each public method of java/Containers.java."""
import pathlib

import pytest
from foreign import CLIENTS, Foreign

SUITE = Foreign(pathlib.Path(__file__).resolve().parent / "java/Containers.java", r"^    public void (\w+)\(", r"^ok {}$")


@pytest.mark.parametrize("name", SUITE.names)
def test_java(engine, name):
    path = f"{CLIENTS}/java/classes:{CLIENTS}/java/jars/*"
    SUITE.run(engine, ["java", "-Djava.io.tmpdir=" + str(engine.folder), "-XX:TieredStopAtLevel=1", "-cp", path, "Containers"])
    SUITE.check(name)
