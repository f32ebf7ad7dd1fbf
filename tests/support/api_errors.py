"""Mistakes that clients of the API make, and what dockerd 28.5 answers (tests/api/errors.json): status and message.

The same requests go to both engines: tests/api/test_errors.py to Berth, tests/conformance/test_api_errors.py to dockerd, which also
writes the file when BERTH_TEST_RECORD=1."""
import json
import pathlib
import re
import urllib.parse

from engine import UnixConnection, wait_until

RECORD = pathlib.Path(__file__).resolve().parent.parent / "api" / "errors.json"
VERSION = "/v1.51"


def filters(**values):
    return "filters=" + urllib.parse.quote(json.dumps(values))


def create(**members):
    return {"Image": "busybox", **members}


def host(**members):
    return create(HostConfig=members)


def mount(**members):
    return host(Mounts=[members])


def endpoints(**settings):
    return create(NetworkingConfig={"EndpointsConfig": settings})


# Containers: "running" runs, "paused" is paused, "stopped" has never run, "ended" has. Networks: "net" with "running" in it, "empty".
# Volume: "used", by "stopped". Image: busybox. Exec: "<exec>", in "running", that has ended.
REQUESTS = [
    # ---- nobody there ----
    *(("GET", f"/containers/nosuch/{verb}") for verb in ("json", "top", "logs?stdout=1", "changes", "export", "stats", "stats?stream=0")),
    *(("POST", f"/containers/nosuch/{verb}") for verb in (
        "start", "stop", "restart", "kill", "pause", "unpause", "wait", "rename?name=x", "resize?h=1&w=1", "attach?stream=1", "attach")),
    ("POST", "/containers/nosuch/update", {}),
    ("POST", "/containers/nosuch/exec", {"Cmd": ["true"]}),
    ("DELETE", "/containers/nosuch"),
    ("DELETE", "/containers/nosuch?force=1"),
    ("GET", "/exec/nosuch/json"),
    ("POST", "/exec/nosuch/start", {}),
    ("POST", "/exec/nosuch/start", {"Detach": True}),
    ("POST", "/exec/nosuch/resize?h=1&w=1"),
    ("GET", "/images/nosuch/json"),
    ("GET", "/images/nosuch:1/json"),
    ("GET", "/images/sha256:0000/json"),
    ("GET", "/images/nosuch/history"),
    ("GET", "/images/nosuch/get"),
    ("POST", "/images/nosuch/tag?repo=x"),
    ("POST", "/images/nosuch/push"),
    ("POST", "/images/nosuch/push?tag=1"),
    ("DELETE", "/images/nosuch"),
    ("GET", "/volumes/nosuch"),
    ("DELETE", "/volumes/nosuch"),
    ("DELETE", "/volumes/nosuch?force=1"),
    ("GET", "/networks/nosuch"),
    ("DELETE", "/networks/nosuch"),
    ("POST", "/networks/nosuch/connect", {"Container": "running"}),
    ("POST", "/networks/nosuch/disconnect", {"Container": "running"}),
    ("POST", "/networks/net/connect", {"Container": "nosuch"}),
    ("POST", "/networks/net/disconnect", {"Container": "nosuch"}),
    ("POST", "/networks/empty/disconnect", {"Container": "running"}),
    ("POST", "/networks/net/connect", {}),
    ("POST", "/commit?container=nosuch"),
    ("POST", "/commit"),
    ("GET", "/plugins/nosuch/json"),
    ("GET", "/nowhere"),
    ("GET", "/containers"),
    ("PUT", "/containers/create", create()),
    ("DELETE", "/_ping"),
    # ---- states ----
    ("POST", "/containers/running/start"),
    ("POST", "/containers/stopped/stop"),
    ("POST", "/containers/ended/stop"),
    ("POST", "/containers/paused/start"),
    ("POST", "/containers/stopped/kill"),
    ("POST", "/containers/ended/kill"),
    ("POST", "/containers/stopped/pause"),
    ("POST", "/containers/paused/pause"),
    ("POST", "/containers/running/unpause"),
    ("POST", "/containers/stopped/unpause"),
    ("POST", "/containers/stopped/resize?h=1&w=1"),
    ("GET", "/containers/stopped/top"),
    ("POST", "/containers/stopped/exec", {"Cmd": ["true"]}),
    ("POST", "/containers/paused/exec", {"Cmd": ["true"]}),
    ("POST", "/containers/paused/attach?stream=1&stdout=1"),
    ("POST", "/containers/running/exec", {}),
    ("POST", "/containers/running/exec", {"Cmd": []}),
    ("POST", "/containers/running/exec", {"Cmd": ["true"], "DetachKeys": "ctrl-nonsense"}),
    ("POST", "/exec/<exec>/start", {}),
    ("DELETE", "/containers/running"),
    ("DELETE", "/containers/paused"),
    ("POST", "/containers/stopped/rename"),
    ("POST", "/containers/stopped/rename?name=running"),
    ("POST", "/containers/stopped/rename?name=stopped"),
    ("POST", "/containers/stopped/rename?name=a/b"),
    ("POST", "/containers/stopped/rename?name=-"),
    ("DELETE", "/volumes/used"),
    ("DELETE", "/volumes/used?force=1"),
    ("DELETE", "/networks/net"),
    ("DELETE", "/networks/bridge"),
    ("DELETE", "/networks/host"),
    ("POST", "/networks/net/connect", {"Container": "running"}),
    ("POST", "/networks/host/connect", {"Container": "running"}),
    ("POST", "/networks/none/connect", {"Container": "stopped"}),
    ("DELETE", "/images/busybox"),
    ("POST", "/exec/<exec>/resize?h=1&w=1"),
    # ---- parameters ----
    ("GET", "/containers/json?limit=x"),
    ("GET", "/containers/json?filters=x"),
    ("GET", "/containers/json?filters=[]"),
    ("GET", "/containers/json?filters={\"a\":1}"),
    ("GET", "/containers/json?" + filters(nosuch=["x"])),
    ("GET", "/containers/json?" + filters(status=["nosuch"])),
    ("GET", "/containers/json?" + filters(exited=["x"])),
    ("GET", "/containers/json?" + filters(health=["nosuch"])),
    ("GET", "/containers/json?" + filters(before=["nosuch"])),
    ("GET", "/containers/json?" + filters(since=["nosuch"])),
    ("GET", "/containers/json?" + filters(publish=["x"])),
    ("GET", "/containers/json?" + filters(expose=["1/nosuch"])),
    ("GET", "/containers/json?" + filters(**{"is-task": ["x"]})),
    ("GET", "/containers/json?" + filters(name=["("])),
    ("GET", "/images/json?" + filters(nosuch=["x"])),
    ("GET", "/images/json?" + filters(dangling=["x"])),
    ("GET", "/images/json?" + filters(before=["nosuch"])),
    ("GET", "/images/json?" + filters(since=["nosuch"])),
    ("GET", "/images/json?" + filters(until=["x"])),
    ("GET", "/images/json?" + filters(reference=["["])),
    ("GET", "/volumes?" + filters(nosuch=["x"])),
    ("GET", "/volumes?" + filters(dangling=["x"])),
    ("GET", "/networks?" + filters(nosuch=["x"])),
    ("GET", "/networks?" + filters(type=["x"])),
    ("GET", "/networks?" + filters(dangling=["x"])),
    ("GET", "/networks/net?verbose=x"),
    ("GET", "/networks/net?scope=swarm"),
    ("GET", "/networks/net?scope=nosuch"),
    ("GET", "/events?since=x"),
    ("GET", "/events?until=x"),
    ("GET", "/events?since=5&until=4"),
    ("GET", "/events?since=4&until=5&filters=x"),
    ("GET", "/events?since=4&until=5&" + filters(nosuch=["x"])),
    ("GET", "/system/df?type=nosuch"),
    ("POST", "/containers/prune?" + filters(nosuch=["x"])),
    ("POST", "/containers/prune?" + filters(until=["x"])),
    ("POST", "/containers/prune?" + filters(until=["1h", "2h"])),
    ("POST", "/images/prune?" + filters(nosuch=["x"])),
    ("POST", "/images/prune?" + filters(dangling=["x"])),
    ("POST", "/images/prune?" + filters(until=["x"])),
    ("POST", "/volumes/prune?" + filters(nosuch=["x"])),
    ("POST", "/volumes/prune?" + filters(all=["x"])),
    ("POST", "/volumes/prune?" + filters(until=["1h"])),
    ("POST", "/networks/prune?" + filters(nosuch=["x"])),
    ("POST", "/networks/prune?" + filters(until=["x"])),
    ("POST", "/containers/running/resize"),
    ("POST", "/containers/running/resize?h=1&w=1"),
    ("POST", "/containers/running/resize?h=x&w=1"),
    ("POST", "/containers/running/resize?h=1&w=-1"),
    ("POST", "/exec/<exec>/resize?h=x&w=1"),
    ("POST", "/containers/running/wait?condition=nosuch"),
    ("POST", "/containers/running/kill?signal=nosuch"),
    ("POST", "/containers/running/kill?signal=999"),
    ("POST", "/containers/running/stop?t=x"),
    ("POST", "/containers/stopped/restart?t=x"),
    ("POST", "/containers/running/stop?signal=nosuch"),
    ("GET", "/containers/running/logs"),
    ("GET", "/containers/running/logs?stdout=1&since=x"),
    ("GET", "/containers/running/logs?stdout=1&until=x"),
    ("GET", "/containers/running/logs?stdout=1&since=99999999999"),
    ("GET", "/containers/running/archive?path=%00"),
    ("GET", "/containers/running/logs?stdout=1&tail=x"),
    ("POST", "/containers/running/attach?stream=1&detachKeys=ctrl-nonsense"),
    ("POST", "/containers/stopped/start", {"HostConfig": {}}),
    ("POST", "/images/create?fromImage=UPPER"),
    ("POST", "/images/create?fromImage=x&tag=a:b"),
    ("POST", "/images/create?fromImage=scratch"),
    ("POST", "/images/create?fromImage=busybox&platform=a/b/c/d"),
    ("POST", "/images/create?fromSrc=-&repo=UPPER"),
    ("POST", "/images/create?fromSrc=-&repo=x&changes=NOSUCH"),
    ("POST", "/images/busybox/tag?repo=UPPER"),
    ("POST", "/images/busybox/tag?repo=x&tag=a:b"),
    ("POST", "/images/busybox/tag?repo=sha256"),
    ("POST", "/images/UPPER/push"),
    ("GET", "/images/busybox/json?platform=x"),
    ("GET", "/images/UPPER/json"),
    ("DELETE", "/images/busybox?platforms=x"),
    ("POST", "/commit?container=stopped&repo=UPPER"),
    ("POST", "/commit?container=stopped&changes=NOSUCH"),
    ("POST", "/commit?container=stopped", {"Cmd": 7}),
    ("GET", "/images/search?term=x&limit=x"),
    ("GET", "/images/search?term=x&limit=-1"),
    ("GET", "/images/search?term=x&limit=1000"),
    ("GET", "/images/search?term=http://x"),
    ("GET", "/images/search?term=x&" + filters(nosuch=["x"])),
    ("GET", "/images/search?term=x&" + filters(stars=["x"])),
    ("GET", "/images/search?term=x&" + filters(**{"is-official": ["x"]})),
    ("GET", "/distribution/UPPER/json"),
    # ---- bodies ----
    ("POST", "/containers/create", {}),
    ("POST", "/containers/create", {"HostConfig": {}}),
    ("POST", "/containers/create", None),
    ("POST", "/containers/create", {"Image": ""}),
    ("POST", "/containers/create", {"Image": "nosuch"}),
    ("POST", "/containers/create", {"Image": "nosuch@sha256:" + "0" * 64}),
    ("POST", "/containers/create", {"Image": "UPPER"}),
    ("POST", "/containers/create?platform=a/b/c/d", create()),
    ("POST", "/containers/create?platform=linux/s390x", create()),
    ("POST", "/containers/create?name=running", create()),
    ("POST", "/containers/create?name=a/b", create()),
    ("POST", "/containers/create?name=-", create()),
    ("POST", "/containers/create", create(Env=["=x"])),
    ("POST", "/containers/create", create(Env=[""])),
    ("POST", "/containers/create", create(WorkingDir="relative")),
    ("POST", "/containers/create", create(StopSignal="nosuch")),
    ("POST", "/containers/create", create(Hostname="-")),
    ("POST", "/containers/create", create(ExposedPorts={"x/tcp": {}})),
    ("POST", "/containers/create", create(ExposedPorts={"80/nosuch": {}})),
    ("POST", "/containers/create", create(Healthcheck={"Test": ["CMD", "true"], "Interval": 1})),
    ("POST", "/containers/create", create(Healthcheck={"Test": ["CMD", "true"], "Retries": -1})),
    ("POST", "/containers/create", create(Healthcheck={"Test": ["NOSUCH"]})),
    ("POST", "/containers/create", create(StopTimeout="x")),
    ("POST", "/containers/create", create(User=7)),
    ("POST", "/containers/create", create(Volumes={"relative": {}})),
    ("POST", "/containers/create", create(Volumes={"/": {}})),
    ("POST", "/containers/create", host(Memory=1)),
    ("POST", "/containers/create", host(Memory="1g")),
    ("POST", "/containers/create", host(Memory=1.5)),
    ("POST", "/containers/create", host(Memory=64 << 20, MemorySwap=1 << 20)),
    ("POST", "/containers/create", host(MemorySwap=64 << 20)),
    ("POST", "/containers/create", host(MemorySwappiness=101)),
    ("POST", "/containers/create", host(MemoryReservation=1)),
    ("POST", "/containers/create", host(Memory=64 << 20, MemoryReservation=128 << 20)),
    ("POST", "/containers/create", host(NanoCpus=-1)),
    ("POST", "/containers/create", host(NanoCpus=10 ** 15)),
    ("POST", "/containers/create", host(NanoCpus=10 ** 9, CpuPeriod=100000)),
    ("POST", "/containers/create", host(NanoCpus=10 ** 9, CpuQuota=100000)),
    ("POST", "/containers/create", host(CpuPeriod=1)),
    ("POST", "/containers/create", host(CpuQuota=1)),
    ("POST", "/containers/create", host(CpusetCpus="x")),
    ("POST", "/containers/create", host(CpusetCpus="5000")),
    ("POST", "/containers/create", host(CpusetMems="x")),
    ("POST", "/containers/create", host(BlkioWeight=5)),
    ("POST", "/containers/create", host(OomScoreAdj=2000)),
    ("POST", "/containers/create", host(ShmSize=-1)),
    ("POST", "/containers/create", host(RestartPolicy={"Name": "nosuch"})),
    ("POST", "/containers/create", host(RestartPolicy={"Name": "always", "MaximumRetryCount": 1})),
    ("POST", "/containers/create", host(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": -1})),
    ("POST", "/containers/create", host(RestartPolicy={"Name": "always"}, AutoRemove=True)),
    ("POST", "/containers/create", host(NetworkMode="nosuch")),
    ("POST", "/containers/create", host(NetworkMode="container:nosuch")),
    ("POST", "/containers/create", host(NetworkMode="container:")),
    ("POST", "/containers/create", host(IpcMode="nosuch")),
    ("POST", "/containers/create", host(IpcMode="container:nosuch")),
    ("POST", "/containers/create", host(PidMode="nosuch")),
    ("POST", "/containers/create", host(PidMode="container:nosuch")),
    ("POST", "/containers/create", host(UTSMode="nosuch")),
    ("POST", "/containers/create", host(UsernsMode="nosuch")),
    ("POST", "/containers/create", host(CgroupnsMode="nosuch")),
    ("POST", "/containers/create", create(Hostname="x", HostConfig={"UTSMode": "host"})),
    ("POST", "/containers/create", create(Hostname="x", HostConfig={"NetworkMode": "host"})),
    ("POST", "/containers/create", host(NetworkMode="host", PortBindings={"80/tcp": [{"HostPort": "x"}]})),
    ("POST", "/containers/create", host(PortBindings={"80/tcp": [{"HostPort": "x"}]})),
    ("POST", "/containers/create", host(PortBindings={"x": [{"HostPort": "1"}]})),
    ("POST", "/containers/create", host(PortBindings={"80/tcp": [{"HostIp": "x"}]})),
    ("POST", "/containers/create", host(CapAdd=["NOSUCH"])),
    ("POST", "/containers/create", host(CapDrop=["NOSUCH"])),
    ("POST", "/containers/create", host(ExtraHosts=["x"])),
    ("POST", "/containers/create", host(ExtraHosts=["x:y"])),
    ("POST", "/containers/create", host(Dns=["x"])),
    ("POST", "/containers/create", host(Links=["nosuch:x"])),
    ("POST", "/containers/create", host(Runtime="nosuch")),
    ("POST", "/containers/create", host(SecurityOpt=["nosuch"])),
    ("POST", "/containers/create", host(SecurityOpt=["seccomp=nosuch"])),
    ("POST", "/containers/create", host(SecurityOpt=["nosuch=x"])),
    ("POST", "/containers/create", host(SecurityOpt=["no-new-privileges=x"])),
    ("POST", "/containers/create", host(Sysctls={"nosuch": "1"})),
    ("POST", "/containers/create", host(LogConfig={"Type": "nosuch"})),
    ("POST", "/containers/create", host(LogConfig={"Type": "json-file", "Config": {"nosuch": "x"}})),
    ("POST", "/containers/create", host(LogConfig={"Type": "json-file", "Config": {"max-size": "x"}})),
    ("POST", "/containers/create", host(Ulimits=[{"Name": "nosuch", "Soft": 1, "Hard": 1}])),
    ("POST", "/containers/create", host(Ulimits=[{"Name": "nofile", "Soft": 2, "Hard": 1}])),
    ("POST", "/containers/create", host(Devices=[{"PathOnHost": "/dev/null", "CgroupPermissions": "x"}])),
    ("POST", "/containers/create", host(DeviceCgroupRules=["x"])),
    ("POST", "/containers/create", host(Binds=["x"])),
    ("POST", "/containers/create", host(Binds=["/a:/b:nosuch"])),
    ("POST", "/containers/create", host(Binds=["relative/path:/b"])),
    ("POST", "/containers/create", host(Binds=["/a:relative"])),
    ("POST", "/containers/create", host(Binds=["/a:/b", "/c:/b"])),
    ("POST", "/containers/create", host(Binds=["/a:/"])),
    ("POST", "/containers/create", host(VolumesFrom=["nosuch"])),
    ("POST", "/containers/create", host(VolumesFrom=["running:nosuch"])),
    ("POST", "/containers/create", host(VolumeDriver="nosuch", Binds=["vol:/b"])),
    ("POST", "/containers/create", host(Tmpfs={"relative": ""})),
    ("POST", "/containers/create", host(Tmpfs={"/t": "nosuch"})),
    ("POST", "/containers/create", host(StorageOpt={"nosuch": "1"})),
    ("POST", "/containers/create", host(GroupAdd=[7])),
    ("POST", "/containers/create", host(Isolation="nosuch")),
    ("POST", "/containers/create", mount(Type="nosuch", Target="/t")),
    ("POST", "/containers/create", mount(Target="/t")),
    ("POST", "/containers/create", mount(Type="bind", Target="/t")),
    ("POST", "/containers/create", mount(Type="bind", Source="/nosuch", Target="/t")),
    ("POST", "/containers/create", mount(Type="bind", Source="relative", Target="/t")),
    ("POST", "/containers/create", mount(Type="bind", Source="/tmp", Target="relative")),
    ("POST", "/containers/create", mount(Type="bind", Source="/tmp", Target="/")),
    ("POST", "/containers/create", mount(Type="bind", Source="/tmp", Target="/t", BindOptions={"Propagation": "nosuch"})),
    ("POST", "/containers/create", mount(Type="bind", Source="/tmp", Target="/t", VolumeOptions={})),
    ("POST", "/containers/create", mount(Type="volume", Target="/t", BindOptions={})),
    ("POST", "/containers/create", mount(Type="volume", Source="a/b", Target="/t")),
    ("POST", "/containers/create", mount(Type="volume", Source="vol", Target="/t", VolumeOptions={"Subpath": "../x"})),
    ("POST", "/containers/create", mount(Type="tmpfs", Source="x", Target="/t")),
    ("POST", "/containers/create", mount(Type="tmpfs", Target="/t", TmpfsOptions={"SizeBytes": -1})),
    ("POST", "/containers/create", mount(Type="tmpfs", Target="/t", TmpfsOptions={"Options": [["nosuch"]]})),
    ("POST", "/containers/create", mount(Type="tmpfs", Target="/t", Consistency="nosuch")),
    ("POST", "/containers/create", host(Mounts=[{"Type": "tmpfs", "Target": "/t"}, {"Type": "tmpfs", "Target": "/t"}])),
    ("POST", "/containers/create", endpoints(bridge={"IPAMConfig": {"IPv4Address": "x"}})),
    ("POST", "/containers/create", endpoints(bridge={"IPAMConfig": {"IPv4Address": "10.1.2.3"}})),
    ("POST", "/containers/create", endpoints(bridge={"MacAddress": "x"})),
    ("POST", "/containers/create", endpoints(bridge={"Aliases": ["x"]})),
    ("POST", "/containers/create", endpoints(nosuch={})),
    ("POST", "/containers/create", endpoints(bridge={"DriverOpts": {"com.docker.network.endpoint.sysctls": "x"}})),
    ("POST", "/containers/create", host(CpuShares=-5)),
    ("POST", "/containers/running/update", {"Memory": 1}),
    ("POST", "/containers/running/update", {"RestartPolicy": {"Name": "nosuch"}}),
    ("POST", "/containers/running/update", {"CpusetCpus": "x"}),
    ("POST", "/containers/running/update", {"Memory": "x"}),
    ("POST", "/containers/running/update", {"NanoCpus": 10 ** 15}),
    ("POST", "/volumes/create", {"Name": "a/b"}),
    ("POST", "/volumes/create", {"Name": "x"}),
    ("POST", "/volumes/create", {"Driver": "nosuch"}),
    ("POST", "/volumes/create", {"DriverOpts": {"nosuch": "x"}}),
    ("POST", "/volumes/create", {"DriverOpts": {"type": "nfs"}}),
    ("POST", "/volumes/create", {"Name": "used", "Driver": "nosuch"}),
    ("POST", "/volumes/create", {"Labels": 7}),
    ("POST", "/networks/create", {}),
    ("POST", "/networks/create", {"Name": ""}),
    ("POST", "/networks/create", {"Name": "net"}),
    ("POST", "/networks/create", {"Name": "bridge"}),
    ("POST", "/networks/create", {"Name": "host"}),
    ("POST", "/networks/create", {"Name": "x", "Driver": "nosuch"}),
    ("POST", "/networks/create", {"Name": "x", "Driver": "host"}),
    ("POST", "/networks/create", {"Name": "x", "Driver": "overlay"}),
    ("POST", "/networks/create", {"Name": "x", "Scope": "nosuch"}),
    ("POST", "/networks/create", {"Name": "x", "Ingress": True}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Driver": "nosuch"}}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{"Subnet": "x"}]}}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.3.0.1/24"}]}}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.3.0.0/24", "Gateway": "10.4.0.1"}]}}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.3.0.0/24", "IPRange": "10.4.0.0/24"}]}}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.98.0.0/24"}]}}),
    ("POST", "/networks/create", {"Name": "x", "ConfigFrom": {"Network": "nosuch"}}),
    ("POST", "/networks/create", {"Name": "x", "EnableIPv6": "yes"}),
    ("POST", "/networks/create", {"Name": "x", "Options": {"com.docker.network.driver.mtu": "x"}}),
    ("POST", "/networks/empty/connect", {"Container": "running", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "x"}}}),
    ("POST", "/networks/empty/connect", {"Container": "running", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.1.2.3"}}}),
    ("POST", "/networks/empty/connect", {"Container": "running", "EndpointConfig": {"MacAddress": "x"}}),
    ("POST", "/networks/empty/connect", {"Container": "running", "EndpointConfig": {"IPAMConfig": {"LinkLocalIPs": ["10.1.1.1"]}}}),
    ("POST", "/networks/empty/connect", {"Container": "running", "EndpointConfig": {"Links": ["x:y:z"]}}),
    *(("POST", "/networks/create", {"Name": "x", "Options": {f"com.docker.network.{name}": value}}) for name, value in (
        ("driver.mtu", ""), ("driver.mtu", "-1"), ("bridge.gateway_mode_ipv4", ""), ("bridge.host_binding_ipv4", ""), ("host_ipv4", ""))),
    *(("POST", "/networks/create", {"Name": "x", "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": subnet}]}}) for subnet in (
        "ff02::/64", "fe80::/10", "fd00:95::/128")),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{}, {}]}}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.95.0.0/24", "Gateway": "10.95.0.0"}]}}),
    ("POST", "/networks/create", {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.94.0.0/24", "AuxiliaryAddresses": {"a": "10.94.0.1"}}]}}),
    ("POST", "/containers/create", host(Binds=["/run:/t:nocopy"])),
    # ---- swarm ----
    *(("GET", f"/{kind}") for kind in ("swarm", "nodes", "services", "tasks", "secrets", "configs", "swarm/unlockkey")),
    *(("GET", f"/{kind}/x") for kind in ("nodes", "services", "tasks", "secrets", "configs")),
    *(("DELETE", f"/{kind}/x") for kind in ("nodes", "services", "secrets", "configs")),
    ("POST", "/swarm/leave"),
    ("POST", "/swarm/unlock", {"UnlockKey": "x"}),
    ("POST", "/swarm/update?version=1", {}),
    ("POST", "/services/create", {}),
    ("POST", "/secrets/create", {}),
    ("POST", "/configs/create", {}),
    ("GET", "/services/x/logs?stdout=1"),
    ("GET", "/tasks/x/logs?stdout=1"),
]


def name_of(request):
    method, target, *body = request
    return f"{method} {urllib.parse.unquote(target)}" + (f" {json.dumps(body[0], sort_keys=True)}" if body else "")


class Client:
    """An engine with the things that REQUESTS speaks of."""

    def __init__(self, socket):
        self.socket = socket
        self.names = {}

    def ask(self, method, target, *body):
        connection = UnixConnection(self.socket)
        try:
            data = json.dumps(body[0]) if body and body[0] is not None else ("" if body else None)
            headers = {"Content-Type": "application/json"} if body else {}
            target = target.replace("<exec>", self.names.get("<exec>", ""))
            connection.request(method, VERSION + urllib.parse.quote(target, safe="/?&=%:+@"), data, headers)
            answer = connection.getresponse()
            if answer.status in (101, 200) and answer.getheader("Transfer-Encoding") != "chunked" and not answer.getheader("Content-Length"):
                return answer.status, None  # a stream without an end of its own
            text = answer.read() if answer.status != 200 else b""
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode(errors="replace")

    def make(self, method, target, *body):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, VERSION + target, json.dumps(body[0]) if body else None,
                               {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status in (200, 201, 204), (target, text)
        return json.loads(text) if text.strip() else None

    def prepare(self):
        """The image busybox is there already."""
        self.make("POST", "/networks/create", {"Name": "net", "IPAM": {"Config": [{"Subnet": "10.98.0.0/24", "Gateway": "10.98.0.1"}]}})
        self.make("POST", "/networks/create", {"Name": "empty", "IPAM": {"Config": [{"Subnet": "10.97.0.0/24", "Gateway": "10.97.0.1"}]}})
        for name, command in (("running", "sleep 10000"), ("paused", "sleep 10000"), ("stopped", "true"), ("ended", "true")):
            body = {"Image": "busybox", "Cmd": command.split(), "HostConfig": {}}
            if name == "running":
                body["HostConfig"]["NetworkMode"] = "net"
            if name == "stopped":
                body["HostConfig"]["Binds"] = ["used:/used"]
            self.names[self.make("POST", f"/containers/create?name={name}", body)["Id"]] = f"<{name}>"
            if name != "stopped":
                self.make("POST", f"/containers/{name}/start")
        self.make("POST", "/containers/ended/wait")
        self.make("POST", "/containers/paused/pause")
        execution = self.make("POST", "/containers/running/exec", {"Cmd": ["true"]})["Id"]
        self.make("POST", f"/exec/{execution}/start", {"Detach": True})
        wait_until("end of the exec", lambda: not self.make("GET", f"/exec/{execution}/json")["Running"])
        self.names[execution] = "<exec>"
        self.names["<exec>"] = execution

    def answer(self, request):
        """Status and message, with placeholders for what differs from run to run."""
        status, document = self.ask(*request)
        if status == 201 and document:  # what is no mistake leaves nothing for the next request
            kind = request[1].split("/")[1].split("?")[0]
            self.ask("DELETE", f"/{kind}/{document.get('Id') or document.get('Name')}")
        text = document.get("message", "") if isinstance(document, dict) else ""
        for word, placeholder in self.names.items():
            if not word.startswith("<"):
                text = text.replace(word, placeholder).replace(word[:12], placeholder)
        text = re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b", "<id>", text)
        text = re.sub(r"container <\w+> is using", "container <any> is using", text)  # of several, dockerd takes one by chance
        return [status, text if status >= 400 else ""]

    def clean(self):
        connection = UnixConnection(self.socket)
        connection.request("GET", VERSION + "/containers/json?all=1")
        containers = json.loads(connection.getresponse().read())
        connection.close()
        for container in containers:
            self.ask("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for name in ("net", "empty", "x"):
            self.ask("DELETE", f"/networks/{name}")
