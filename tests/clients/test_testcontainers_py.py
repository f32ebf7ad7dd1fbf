"""testcontainers for Python: containers that a test waits for, a network of them, an image, and PostgreSQL."""
import pathlib
import re
import urllib.request

import pytest
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer, ExecConfig
from testcontainers.core.image import DockerImage
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import (
    CompositeWaitStrategy, ExecWaitStrategy, HealthcheckWaitStrategy, HttpWaitStrategy, LogMessageWaitStrategy, PortWaitStrategy)

DATABASE = pathlib.Path(__file__).resolve().parent.parent / "services" / "database.sh"


@pytest.fixture(autouse=True)
def environment(engine, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.socket}")


def ids(engine):
    return engine.berth("ps", "-aq").stdout.split()


def test_waits_for_a_message_of_the_log(engine):
    container = DockerContainer("busybox").with_command(["sh", "-c", "echo preparing; echo 'ready for 7' >&2; exec sleep 1000"])
    with container.with_env("A", "b").waiting_for(LogMessageWaitStrategy(re.compile(r"ready for \d"))) as started:
        assert started.get_logs() == (b"preparing\n", b"ready for 7\n")
        done = started.exec(ExecConfig(command=["sh", "-c", "echo $A $C; pwd"], environment={"C": "d"}, workdir="/tmp"))
        assert (done.exit_code, done.output) == (0, b"b d\n/tmp\n")
        assert started.get_container_info().State.Running is True
    assert ids(engine) == []


def test_says_why_a_container_ended(engine):
    container = DockerContainer("busybox").with_command(["sh", "-c", "echo bad; exit 3"]).waiting_for(LogMessageWaitStrategy("never"))
    with pytest.raises(RuntimeError, match=r"exited \(status: exited, exit code: 3\)"), container:
        pass
    assert ids(engine) == []


def test_waits_for_ports_and_pages():
    serve = "mkdir /www; echo a page > /www/index.html; exec httpd -f -p 8000 -h /www"
    ready = CompositeWaitStrategy(PortWaitStrategy(8000), HttpWaitStrategy(8000).for_status_code(200), ExecWaitStrategy(["test", "-e", "/www"]))
    with DockerContainer("busybox", command=["sh", "-c", serve], ports=[8000]).waiting_for(ready) as started:
        host, port = started.get_container_host_ip(), started.get_exposed_port(8000)
        assert host == "localhost" and port != 8000
        with urllib.request.urlopen(f"http://{host}:{port}/", timeout=10) as page:
            assert page.read() == b"a page\n"


def test_waits_for_health():
    check = {"test": ["CMD", "test", "-e", "/ready"], "interval": 100_000_000, "retries": 100}
    container = DockerContainer("busybox", command=["sh", "-c", "echo > /ready; exec sleep 1000"], healthcheck=check, init=True)
    with container.waiting_for(HealthcheckWaitStrategy()) as started:
        started.reload()
        assert started.get_wrapped_container().health == "healthy"


def test_networks_and_copies(tmp_path):
    with Network() as network, DockerContainer("busybox", network=network, network_aliases=["teller"]).with_copy_into_container(
            b"told\n", "/www/word", 0o600).with_command(["httpd", "-f", "-p", "80", "-h", "/www"]):
        with DockerContainer("busybox", command=["cat"], network=network, tty=True) as asker:
            assert asker.exec("wget -qO /got http://teller/word").exit_code == 0
            asker.copy_from_container("/got", tmp_path / "got")
            assert (tmp_path / "got").read_text() == "told\n"
            asker.copy_into_container(tmp_path / "got", "/again")
            assert asker.exec(["cat", "/again"]).output == b"told\r\n".replace(b"\r", b"")


def test_builds_an_image(engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG WORD\nENV WORD=$WORD\nCMD echo made $WORD && exec sleep 1000\n")
    with DockerImage(path=tmp_path, tag="made:here", buildargs={"WORD": "well"}) as image:
        with DockerContainer(str(image)).waiting_for(LogMessageWaitStrategy("made well")) as started:
            assert started.get_wrapped_container().image.tags == ["made:here"]
    assert "made" not in engine.berth("images", "--format", "{{.Repository}}").stdout.split()


def test_postgresql(services):
    # The image has no entrypoint script of the official one's: the services' own stands in.
    database = PostgresContainer(services, username="postgres", dbname="postgres").with_volume_mapping(DATABASE, "/start.sh")
    database.with_kwargs(entrypoint=["/bin/sh", "/start.sh"], user="postgres", shm_size="64m")
    with database as started:
        url = started.get_connection_url()
        assert re.fullmatch(r"postgresql\+psycopg2://postgres:test@localhost:\d+/postgres", url)
        rows = "INSERT INTO visits SELECT generate_series(1, 1000); SELECT sum(id) FROM visits"
        done = started.exec(["psql", "-h", "127.0.0.1", "-qtAc", rows])
        assert (done.exit_code, done.output) == (0, b"500500\n")
        assert b"database system is ready to accept connections" in b"".join(started.get_logs())
