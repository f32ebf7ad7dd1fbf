// SPDX-License-Identifier: Apache-2.0
// berthd's settings: dockerd's flags and daemon.json keys. Parsing only; nothing is touched.
#pragma once

#include "base/result.h"
#include "engine/builder_gc.h"
#include "engine/container_config.h"
#include "kernel/netlink_address.h"
#include "network/firewall_options.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace berth::engine {

// Subnets of `size` bits for networks that ask for none are cut from `base`.
struct AddressPoolOption {
    std::string base;
    std::int64_t size = 0;
};

struct DaemonConfig {
    std::string data_root = "/var/lib/berth";
    std::string exec_root = "/run/berth";
    std::vector<std::string> hosts; // unix://, tcp://, fd://
    std::optional<bool> tls;        // of tcp://
    std::optional<bool> tls_verify; // given at all it means TLS
    std::string tls_ca;             // PEM files; "" those of $DOCKER_CERT_PATH or ~/.docker
    std::string tls_certificate;
    std::string tls_key;
    std::vector<std::string> authorization_plugins;
    std::string metrics_address;
    std::string pidfile; // default: <exec root>/berthd.pid
    std::string config_file = "/etc/berth/daemon.json";
    std::string log_level = "info";
    bool debug = false;
    std::string storage_driver; // "", overlay2, overlayfs, vfs
    std::string layer_form = "auto";
    std::int64_t container_size = 0; // of writable layers that ask for none; 0: no limit
    // Of one layer, unpacked: bytes, and how many times its compressed size (0: any).
    std::int64_t max_layer_size = 256LL << 30;
    std::int64_t max_layer_ratio = 200;
    BuilderGc builder_gc;
    // What no image and no build needs: removed when it is that old, some time after work that may
    // have left it, and again and again (0: never).
    std::chrono::nanoseconds gc_unused_for = std::chrono::hours(24);
    std::chrono::nanoseconds gc_delay = std::chrono::seconds(30);
    std::chrono::nanoseconds gc_interval = std::chrono::hours(1);
    std::vector<std::string> insecure_registries;
    std::vector<std::string> registry_mirrors;
    std::string http_proxy; // these three: "" leaves the environment's
    std::string https_proxy;
    std::string no_proxy;
    std::string bridge; // "": berth0 (docker0 when started as dockerd); "none": no bridge
    std::string bip;
    std::string fixed_cidr;
    std::string default_gateway;
    bool ipv6 = false; // of the default bridge, as the three below
    std::string bip6;
    std::string fixed_cidr_v6;
    std::string default_gateway_v6;
    std::vector<AddressPoolOption> default_address_pools;     // none: Docker's
    std::map<std::string, StringMap> default_network_options; // by driver
    std::int64_t mtu = 0;                                     // 0: the default route's
    std::vector<std::string> dns;
    std::vector<std::string> dns_options;
    std::vector<std::string> dns_search;
    // One of each family at most; none: the default bridge's.
    std::vector<kernel::IpAddress> host_gateway_ips;
    std::string ip = "0.0.0.0"; // default address of published ports
    bool iptables = true;
    bool ip6tables = true;                                 // rules for IPv6
    std::optional<network::PacketMark> bridge_accept_mark; // of packets that bridge networks take
    std::string firewall = "pass"; // or "respect": published ports obey the host's own rules
    bool userland_proxy = true;    // IPv6 ports of the host lead to containers without IPv6
    std::vector<std::string> cni_plugin_directories; // none: /opt/cni/bin and /usr/lib/cni
    std::string cni_config_directory = "/etc/cni/net.d";
    std::chrono::nanoseconds cni_timeout = std::chrono::seconds(60); // of one operation
    bool ip_masquerade = true;
    bool ip_forward = true;
    bool icc = true;
    bool live_restore = false;
    std::string default_runtime;
    std::map<std::string, std::string> runtimes; // name -> path
    std::string cgroup_parent;
    std::vector<std::string> exec_options; // native.cgroupdriver=cgroupfs
    std::string group;                     // default: docker, berth falls back to root
    std::vector<std::string> labels;
    std::int64_t max_concurrent_downloads = 3;
    std::int64_t max_concurrent_uploads = 5;
    std::int64_t max_download_attempts = 5;
    std::int64_t shutdown_timeout = 15;
    std::map<std::string, Ulimit> default_ulimits;
    std::int64_t default_shm_size = 64LL << 20;
    std::string default_ipc_mode = "private";
    std::string default_cgroupns_mode;
    std::string log_driver;
    StringMap log_options;
    std::vector<std::string> cdi_spec_dirs; // none: those of cdi_directories()
    bool init = false;
    std::string init_path;
    bool no_new_privileges = false;
    std::string seccomp_profile;
    std::string socket_families = "all"; // or "limited"
    bool selinux_enabled = false;
    std::string userns_remap; // "default", "user", "user:group"; empty: no user namespaces
    bool experimental = false;
    std::map<std::string, bool> features;                // told, without effect
    std::vector<std::string> nondistributable_artifacts; // told, without effect
    bool validate = false;
    // Accepted, and said in the log to have no effect: "containerd", "init-path", …
    std::vector<std::string> ignored;
    // Keys that the configuration file has.
    std::set<std::string, std::less<>> file_keys;

    // root is mapped to itself, which is no mapping.
    bool remaps_users() const;

    bool uses_tls() const { return tls_verify.has_value() || tls.value_or(false); }

    // As dockerd has it: who asks for TLS and says nothing else gets clients verified too.
    bool verifies_clients() const { return tls_verify.value_or(tls.value_or(false)); }
};

enum class DaemonAction : std::uint8_t { Run, ShowHelp, ShowVersion, Validate };

struct ParsedDaemonFlags {
    DaemonAction action = DaemonAction::Run;
    DaemonConfig config;
};

// Arguments without the program's name. Reads the configuration file (a missing one is fine unless
// --config-file was given). `program` is berthd or dockerd: it picks the default paths and the
// words of the errors. Errors are InvalidArgument, ready to print.
Result<ParsedDaemonFlags>
parse_daemon_flags(const std::string& program, std::span<const std::string> arguments);

std::string daemon_help(const std::string& program);

// "64m", "1g", "65536": Docker's sizes (units of 1024).
Result<std::int64_t> parse_memory_size(std::string_view text);

// "nofile=1024:2048"
Result<Ulimit> parse_ulimit(std::string_view text);

// "base=172.30.0.0/16,size=24"
Result<AddressPoolOption> parse_address_pool(std::string_view text);

} // namespace berth::engine
