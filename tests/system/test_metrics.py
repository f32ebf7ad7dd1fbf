"""/metrics, read by Prometheus' own parser (Debian's python3-prometheus-client)."""
import socket
import urllib.error
import urllib.request

import pytest

from debian_module import debian_module
from engine import DEADLINE, Engine, wait_until


@pytest.fixture(scope="module")
def measured(tmp_path_factory, rootfs_tar):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Engine(tmp_path_factory.mktemp("engine"), f"--metrics-addr=127.0.0.1:{port}") as engine:
        engine.berth("import", "-c", 'CMD ["sh"]', str(rootfs_tar), "busybox:latest")
        engine.metrics = f"http://127.0.0.1:{port}/metrics"
        yield engine


def families(engine):
    parser = debian_module("python3-prometheus-client", "prometheus_client.parser")
    with urllib.request.urlopen(engine.metrics, timeout=DEADLINE) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    found = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.name not in found, f"{family.name} is there twice"
        assert family.documentation
        found[family.name] = family
    return found


def value(engine, name, **labels):
    """Of the sample of that name; 0 where there is none."""
    for family in families(engine).values():
        for sample in family.samples:
            if sample.name == name and all(sample.labels.get(label) == wanted for label, wanted in labels.items()):
                return sample.value
    return 0


def test_names_and_types_are_dockers(measured):
    """As dockerd 28.5 has them (without swarm, etcd and Go's run-time)."""
    found = families(measured)
    for name, kind in (("builder_builds_failed", "counter"), ("builder_builds_triggered", "counter"),
                       ("engine_daemon_container_actions_seconds", "histogram"), ("engine_daemon_container_states_containers", "gauge"),
                       ("engine_daemon_engine_cpus_cpus", "gauge"), ("engine_daemon_engine_info", "gauge"),
                       ("engine_daemon_engine_memory_bytes", "gauge"), ("engine_daemon_events_subscribers_total", "gauge"),
                       ("engine_daemon_events", "counter"), ("engine_daemon_health_checks_failed", "counter"),
                       ("engine_daemon_health_checks", "counter"), ("engine_daemon_network_actions_seconds", "histogram"),
                       ("engine_daemon_image_actions_seconds", "histogram"), ("process_resident_memory_bytes", "gauge"),
                       ("process_cpu_seconds", "counter"), ("process_open_fds", "gauge"), ("process_start_time_seconds", "gauge"),
                       ("engine_api_requests", "counter"), ("engine_api_request_duration_seconds", "histogram")):
        assert found[name].type == kind, name
    labels = found["engine_daemon_engine_info"].samples[0].labels
    assert set(labels) == {"architecture", "commit", "daemon_id", "graphdriver", "kernel", "os", "os_type", "os_version", "version"}
    info = measured.request("GET", "/info")[1]
    assert (labels["daemon_id"], labels["kernel"], labels["version"]) == (info["ID"], info["KernelVersion"], info["ServerVersion"])
    assert found["engine_daemon_engine_memory_bytes"].samples[0].value == info["MemTotal"]
    for family in found.values():
        if family.type == "histogram":
            check_histogram(family)


def check_histogram(family):
    """Buckets grow, the last one is the count."""
    series = {}
    for sample in family.samples:
        key = tuple(sorted((name, text) for name, text in sample.labels.items() if name != "le"))
        series.setdefault(key, []).append(sample)
    for samples in series.values():
        buckets = [sample for sample in samples if sample.name.endswith("_bucket")]
        bounds = [float(sample.labels["le"]) for sample in buckets]
        counts = [sample.value for sample in buckets]
        assert bounds == sorted(bounds) and bounds[-1] == float("inf") and counts == sorted(counts)
        assert counts[-1] == next(sample.value for sample in samples if sample.name.endswith("_count"))


def test_actions_and_states_are_counted(measured):
    def actions(action):
        return value(measured, "engine_daemon_container_actions_seconds_count", action=action)

    before = {action: actions(action) for action in ("create", "start", "delete", "commit", "changes")}
    connected = value(measured, "engine_daemon_network_actions_seconds_count", action="allocate")
    events = value(measured, "engine_daemon_events_total")
    measured.berth("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
    measured.berth("run", "-d", "--name", "waits", "busybox", "sleep", "1000")
    measured.berth("pause", "waits")
    measured.berth("create", "--name", "new", "busybox")
    assert [value(measured, "engine_daemon_container_states_containers", state=state) for state in ("running", "paused", "stopped")] == [1, 1, 1]
    measured.berth("diff", "runs")
    measured.berth("commit", "runs", "committed")
    measured.berth("run", "absent", "--pull=never", check=False)
    measured.berth("rm", "-f", "runs", "waits", "new")
    grown = {action: actions(action) - before[action] for action in before}
    assert grown == {"create": 3, "start": 2, "delete": 3, "commit": 1, "changes": 1}
    assert value(measured, "engine_daemon_network_actions_seconds_count", action="allocate") == connected + 2
    assert value(measured, "engine_daemon_events_total") > events + 6
    assert value(measured, "engine_daemon_images_images") == 2
    measured.berth("rmi", "committed")


def test_builds_and_health_checks_are_counted(measured, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nFROBNICATE\n")
    measured.berth("build", str(tmp_path), check=False)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN false\n")
    measured.berth("build", str(tmp_path), check=False)
    assert value(measured, "builder_builds_triggered_total") == 2
    assert value(measured, "builder_builds_failed_total", reason="unknown_instruction_error") == 1
    assert value(measured, "builder_builds_failed_total", reason="error_processing_commands_error") == 1
    measured.berth("run", "-d", "--name", "sick", "--health-cmd", "false", "--health-interval", "100ms", "busybox", "sleep", "1000")
    wait_until("failed health checks", lambda: value(measured, "engine_daemon_health_checks_failed_total") >= 2)
    assert value(measured, "engine_daemon_health_checks_total") >= 2
    measured.berth("rm", "-f", "sick")


def test_requests_are_counted(measured):
    before = value(measured, "engine_api_requests_total", method="GET", status="4xx")
    for _ in range(3):
        measured.request("GET", "/containers/absent/json")
    assert value(measured, "engine_api_requests_total", method="GET", status="4xx") == before + 3
    assert value(measured, "engine_api_request_duration_seconds_count", method="GET") >= before + 3


def test_nothing_but_metrics_is_served_there(measured):
    for path in ("/", "/containers/json", "/_ping", "/metrics/x"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(measured.metrics.replace("/metrics", path), timeout=DEADLINE)
        assert refused.value.code == 404
