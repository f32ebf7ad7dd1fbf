// SPDX-License-Identifier: Apache-2.0
// The declarations of the run flags, in the order of docker's help.
#include "cli/query.h"
#include "cli/run_options.h"

namespace berth::cli {

namespace {

constexpr const char* restart_help = "Restart policy: no, always, unless-stopped, "
                                     "on-failure[:max-retries], on-unhealthy[:max-retries]";

void declare_process(RunOptions& o, Flags& flags) {
    flags.list(
        "annotation",
        0,
        o.annotations,
        "Add an annotation to the container (passed through to the OCI runtime)");
    flags.list("attach", 'a', o.attach, "Attach to STDIN, STDOUT or STDERR");
    flags.text(
        "detach-keys", 0, o.detach_keys, "Override the key sequence for detaching a container");
    flags.optional_text(
        "entrypoint", 0, o.entrypoint, "Overwrite the default ENTRYPOINT of the image");
    flags.list("env", 'e', o.environment, "Set environment variables");
    flags.list("env-file", 0, o.environment_files, "Read in a file of environment variables");
    flags.list("group-add", 0, o.groups_added, "Add additional groups to join");
    flags.text("hostname", 'h', o.hostname, "Container host name");
    flags.text("domainname", 0, o.domain_name, "Container NIS domain name");
    flags.boolean(
        "init",
        0,
        o.init,
        "Run an init inside the container that forwards signals and reaps processes");
    flags.boolean("interactive", 'i', o.interactive, "Keep STDIN open even if not attached");
    flags.list("label", 'l', o.labels, "Set meta data on a container");
    flags.list("label-file", 0, o.label_files, "Read in a line delimited file of labels");
    flags.text("name", 0, o.name, "Assign a name to the container");
    flags.text("platform", 0, o.platform, "Set platform if server is multi-platform capable");
    flags.text("pull", 0, o.pull, "Pull image before running (\"always\", \"missing\", \"never\")");
    flags.text("restart", 0, o.restart, restart_help);
    flags.text("stop-signal", 0, o.stop_signal, "Signal to stop the container");
    flags.number("stop-timeout", 0, o.stop_timeout, "Timeout (in seconds) to stop a container");
    flags.boolean("tty", 't', o.tty, "Allocate a pseudo-TTY");
    flags.text("user", 'u', o.user, "Username or UID (format: <name|uid>[:<group|gid>])");
    flags.text("workdir", 'w', o.working_directory, "Working directory inside the container");
}

// What a container that is there can be given.
void declare_limits(RunOptions& o, Flags& flags) {
    flags.number("cpu-period", 0, o.cpu_period, "Limit CPU CFS (Completely Fair Scheduler) period");
    flags.number("cpu-quota", 0, o.cpu_quota, "Limit CPU CFS (Completely Fair Scheduler) quota");
    flags.number(
        "cpu-rt-period", 0, o.cpu_realtime_period, "Limit CPU real-time period in microseconds");
    flags.number(
        "cpu-rt-runtime", 0, o.cpu_realtime_runtime, "Limit CPU real-time runtime in microseconds");
    flags.number("cpu-shares", 'c', o.cpu_shares, "CPU shares (relative weight)");
    flags.text("cpus", 0, o.cpus, "Number of CPUs");
    flags.text("cpuset-cpus", 0, o.cpuset_cpus, "CPUs in which to allow execution (0-3, 0,1)");
    flags.text("cpuset-mems", 0, o.cpuset_mems, "MEMs in which to allow execution (0-3, 0,1)");
    flags.text("memory", 'm', o.memory, "Memory limit");
    flags.text("memory-reservation", 0, o.memory_reservation, "Memory soft limit");
    flags.text(
        "memory-swap",
        0,
        o.memory_swap,
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap");
    flags.number("pids-limit", 0, o.pids_limit, "Tune container pids limit (set -1 for unlimited)");
}

void declare_resources(RunOptions& o, Flags& flags) {
    declare_limits(o, flags);
    flags.text("cgroup-parent", 0, o.cgroup_parent, "Optional parent cgroup for the container");
    flags.number(
        "memory-swappiness",
        0,
        o.memory_swappiness,
        "Tune container memory swappiness (0 to 100) (default -1)");
    flags.boolean("oom-kill-disable", 0, o.oom_kill_disable, "Disable OOM Killer");
    flags.number(
        "oom-score-adj", 0, o.oom_score_adj, "Tune host's OOM preferences (-1000 to 1000)");
    flags.text("shm-size", 0, o.shm_size, "Size of /dev/shm");
    flags.list("ulimit", 0, o.ulimits, "Ulimit options");
}

void declare_isolation(RunOptions& o, Flags& flags) {
    flags.list("cap-add", 0, o.capabilities_added, "Add Linux capabilities");
    flags.list("cap-drop", 0, o.capabilities_dropped, "Drop Linux capabilities");
    flags.text("cgroupns", 0, o.cgroupns_mode, "Cgroup namespace to use (host|private)");
    o.device_flags.declare(flags);
    flags.text("ipc", 0, o.ipc_mode, "IPC mode to use");
    flags.text("pid", 0, o.pid_mode, "PID namespace to use");
    flags.boolean("privileged", 0, o.privileged, "Give extended privileges to this container");
    flags.text("isolation", 0, o.isolation, "Container isolation technology");
    flags.text("runtime", 0, o.runtime, "Runtime to use for this container");
    flags.list("security-opt", 0, o.security_options, "Security Options");
    flags.list("sysctl", 0, o.sysctls, "Sysctl options");
    flags.text("userns", 0, o.userns_mode, "User namespace to use");
    flags.text("uts", 0, o.uts_mode, "UTS namespace to use");
    flags.text("log-driver", 0, o.log_driver, "Logging driver for the container");
    flags.list("log-opt", 0, o.log_options, "Log driver options");
    flags.text("health-cmd", 0, o.health_command, "Command to run to check health");
    flags.text(
        "health-interval",
        0,
        o.health_interval,
        "Time between running the check (ms|s|m|h) (default 0s)");
    flags.text(
        "health-timeout",
        0,
        o.health_timeout,
        "Maximum time to allow one check to run (ms|s|m|h) (default 0s)");
    flags.text(
        "health-start-period",
        0,
        o.health_start_period,
        "Start period for the container to initialize before starting health-retries countdown "
        "(ms|s|m|h) (default 0s)");
    flags.text(
        "health-start-interval",
        0,
        o.health_start_interval,
        "Time between running the check during the start period (ms|s|m|h) (default 0s)");
    flags.number(
        "health-retries", 0, o.health_retries, "Consecutive failures needed to report unhealthy");
    flags.boolean(
        "no-healthcheck", 0, o.no_healthcheck, "Disable any container-specified HEALTHCHECK");
}

void declare_network_and_storage(RunOptions& o, Flags& flags) {
    flags.list("add-host", 0, o.add_hosts, "Add a custom host-to-IP mapping (host:ip)");
    flags.list("dns", 0, o.dns, "Set custom DNS servers");
    flags.list("dns-option", 0, o.dns_options, "Set DNS options");
    flags.list("dns-search", 0, o.dns_search, "Set custom DNS search domains");
    flags.list("expose", 0, o.expose, "Expose a port or a range of ports");
    NetworkAttachment& first = o.network_flags;
    flags.text("ip", 0, first.ip, "IPv4 address (e.g., 172.30.100.104)");
    flags.text("ip6", 0, first.ip6, "IPv6 address (e.g., 2001:db8::33)");
    flags.list("link", 0, first.links, "Add link to another container");
    flags.list(
        "link-local-ip", 0, first.link_local_ips, "Container IPv4/IPv6 link-local addresses");
    flags.text(
        "mac-address", 0, first.mac_address, "Container MAC address (e.g., 92:d0:c6:0a:29:33)");
    flags.list("mount", 0, o.mounts, "Attach a filesystem mount to the container");
    flags.list("network", 0, o.networks, "Connect a container to a network");
    flags.list("net", 0, o.networks, "Connect a container to a network");
    flags.list("network-alias", 0, first.aliases, "Add network-scoped alias for the container");
    flags.list("net-alias", 0, first.aliases, "Add network-scoped alias for the container");
    flags.list("publish", 'p', o.publish, "Publish a container's port(s) to the host");
    flags.boolean("publish-all", 'P', o.publish_all, "Publish all exposed ports to random ports");
    flags.boolean(
        "read-only", 0, o.read_only, "Mount the container's root filesystem as read only");
    flags.boolean(
        "rm",
        0,
        o.remove,
        "Automatically remove the container and its associated anonymous volumes when it exits");
    flags.list("storage-opt", 0, o.storage_options, "Storage driver options for the container");
    flags.list("tmpfs", 0, o.tmpfs, "Mount a tmpfs directory");
    flags.list("volume", 'v', o.volumes, "Bind mount a volume");
    flags.text("volume-driver", 0, o.volume_driver, "Optional volume driver for the container");
    flags.list("volumes-from", 0, o.volumes_from, "Mount volumes from the specified container(s)");
}

} // namespace

void RunOptions::declare(Flags& flags) {
    declare_process(*this, flags);
    declare_resources(*this, flags);
    declare_isolation(*this, flags);
    declare_network_and_storage(*this, flags);
}

std::string RunOptions::create_query() const {
    Query query;
    if (!name.empty()) {
        query.add("name", name);
    }
    if (!platform.empty()) {
        query.add("platform", platform);
    }
    return query.text();
}

void RunOptions::declare_update(Flags& flags) {
    restart.clear();
    declare_limits(*this, flags);
    flags.text("restart", 0, restart, restart_help);
}

} // namespace berth::cli
