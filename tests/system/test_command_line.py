"""What the command lines say of the engine and of themselves."""
import re

import pytest

from engine import BIN, without_ages


def test_help_names_all_spellings(engine):
    """As docker's help does."""
    spellings = "\nAliases:\n  berth container ls, berth container list, berth container ps, berth ps\n"
    for words in (["ps"], ["container", "ls"], ["container", "list"], ["container", "ps"]):
        assert spellings in engine.berth(*words, "--help").stdout
        assert engine.berth(*words).stdout.startswith("CONTAINER ID")
    assert "\nAliases:\n  berth image rm, berth image remove, berth rmi\n" in engine.berth("rmi", "--help").stdout
    assert "Aliases" not in engine.berth("volume", "create", "--help").stdout


def test_second_names_do_what_the_first_do(engine):
    engine.berth("create", "--name", "twice", "busybox")
    assert engine.berth("container", "remove", "twice").stdout == "twice\n"
    assert without_ages(engine.berth("image", "list").stdout) == without_ages(engine.berth("images").stdout)
    assert engine.berth("volume", "list").stdout == engine.berth("volume", "ls").stdout
    assert engine.berth("container", "nonsense", check=False).returncode == 1


# Of GET /info of dockerd 28.5, API 1.51; beside them it has Containerd, which is a part that is not here.
INFO = {"ID": str, "Containers": int, "ContainersRunning": int, "ContainersPaused": int, "ContainersStopped": int, "Images": int,
        "Driver": str, "DriverStatus": list, "Plugins": dict, "MemoryLimit": bool, "SwapLimit": bool, "CpuCfsPeriod": bool,
        "CpuCfsQuota": bool, "CPUShares": bool, "CPUSet": bool, "PidsLimit": bool, "IPv4Forwarding": bool, "Debug": bool, "NFd": int,
        "OomKillDisable": bool, "NGoroutines": int, "SystemTime": str, "LoggingDriver": str, "CgroupDriver": str,
        "CgroupVersion": str, "NEventsListener": int, "KernelVersion": str, "OperatingSystem": str, "OSVersion": str, "OSType": str,
        "Architecture": str, "IndexServerAddress": str, "RegistryConfig": dict, "NCPU": int, "MemTotal": int,
        "GenericResources": type(None), "DockerRootDir": str, "HttpProxy": str, "HttpsProxy": str, "NoProxy": str, "Name": str,
        "Labels": list, "ExperimentalBuild": bool, "ServerVersion": str, "Runtimes": dict, "DefaultRuntime": str, "Swarm": dict,
        "LiveRestoreEnabled": bool, "Isolation": str, "InitBinary": str, "ContainerdCommit": dict, "RuncCommit": dict,
        "InitCommit": dict, "SecurityOptions": list, "FirewallBackend": dict, "CDISpecDirs": list}
VERSION = {"Platform": dict, "Components": list, "Version": str, "ApiVersion": str, "MinAPIVersion": str, "GitCommit": str,
           "GoVersion": str, "Os": str, "Arch": str, "KernelVersion": str, "BuildTime": str}


def test_fields_of_info_and_version_are_dockers(engine):
    info = engine.request("GET", "/v1.51/info")[1]
    assert {name: type(value) for name, value in info.items() if name != "Warnings"} == INFO
    assert [name for name, _ in info["DriverStatus"]] == ["Backing Filesystem", "Supports d_type", "Using metacopy",
                                                          "Native Overlay Diff", "userxattr", "Layer form"]
    assert set(info["RegistryConfig"]) == {"IndexConfigs", "InsecureRegistryCIDRs", "Mirrors"}
    assert info["RuncCommit"] == {"ID": "0.1.0"}
    assert info["ServerVersion"] == "28.5.2+berth.0.1.0"  # clients compare it with Docker's
    version = engine.request("GET", "/v1.51/version")[1]
    assert {name: type(value) for name, value in version.items()} == VERSION
    assert (version["Version"], version["Platform"]) == (info["ServerVersion"], {"Name": "Berth 0.1.0"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.0{9}\+00:00", version["BuildTime"])
    older = engine.request("GET", "/v1.47/info")[1]
    assert "FirewallBackend" not in older and older["RuncCommit"]["Expected"] == older["RuncCommit"]["ID"]
    assert older["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] is None


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_info_and_version_are_printed_whole(engine, client):
    done = getattr(engine, client)("info")
    server = done.stdout.split("\nServer:\n", 1)[1]
    assert done.stderr == ""
    for line in ("Containers: 0", "Storage Driver: overlay2", "Plugins:", " Network: bridge host null", "Swarm: inactive",
                 "Runtimes: runc", "containerd version: N/A", "runc version: 0.1.0", "init version: 0.1.0", "Security Options:",
                 "  Profile: builtin", "Experimental: false", "Insecure Registries:", " 127.0.0.0/8", "Live Restore Enabled: false"):
        assert f" {line}\n" in server, server
    # No label without a value, and no empty line but the last.
    assert not re.search(r": *\n(?!  )", server) and "\n\n" not in server.rstrip("\n")
    version = getattr(engine, client)("version").stdout
    assert re.search(r"\n  Built: +[A-Z][a-z]{2} [A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d \d{4}\n", version), version
    assert "\n  Experimental:     false\n" in version
    assert re.search(r"\n  Git commit: +([0-9a-f]{40}|unknown)\n", version), version


def test_version_flag_names_the_commit(engine):
    commit = engine.request("GET", "/version")[1]["GitCommit"]
    for program in ("berth", "berthd"):
        assert engine.run(BIN / program, "--version").stdout == f"Berth version 0.1.0, build {commit}\n"


def test_exec_takes_files_of_environment_variables(engine, tmp_path):
    (tmp_path / "variables").write_text("# a comment\nONE=1\nTAKEN\n")
    engine.environment["TAKEN"] = "along"
    engine.berth("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    for client in (engine.berth, engine.docker):
        assert client("exec", "--env-file", str(tmp_path / "variables"), "-e", "TWO=2", "host", "sh", "-c",
                      "echo $ONE $TWO $TAKEN").stdout == "1 2 along\n"


def test_both_clients_print_the_same_of_the_server(engine):
    parts = [getattr(engine, client)("info").stdout.split("\nServer:\n", 1)[1] for client in ("berth", "docker")]
    assert parts[0] == parts[1]
