// SPDX-License-Identifier: Apache-2.0
// What a container needs on the host beside its root file system: hosts, hostname, resolv.conf,
// sources of binds, shared memory, and the first content of volumes.
#pragma once

#include "base/result.h"
#include "engine/container_record.h"
#include "engine/daemon_config.h"
#include "kernel/netlink_address.h"
#include "network/network.h"
#include "network/resolv_conf.h"

#include <string>
#include <vector>

namespace berth::engine {

struct Core;

struct ContainerFilesInput {
    const ContainerDefinition& definition;
    const DaemonConfig& daemon;
    std::string directory;
    const std::vector<EndpointState>& endpoints;
    std::vector<kernel::IpAddress> host_gateways{}; // what host-gateway stands for
    std::vector<std::string> link_hosts{};          // lines about linked containers
};

// What the daemon's options say, else the default bridge's addresses, IPv4's first. bridge may be
// null.
std::vector<kernel::IpAddress>
host_gateways(const DaemonConfig& daemon, const network::Network* bridge);

// Anew at every start: addresses and the host's resolvers change.
Result<void> write_container_files(const ContainerFilesInput& input);

// For SELinux.
Result<void> label_container_files(const std::string& directory, const std::string& label);

// Those below are about a running container whose endpoints or links have changed, and work in
// place: the files are mounted in the container. REQUIRES: nothing else differs in the inputs.

// What the container has written into the file itself stays.
Result<void> update_hosts(const ContainerFilesInput& before, const ContainerFilesInput& after);

// As network::replace_hosts_lines(), in the file of the container with this directory.
Result<void> renew_hosts(
    const std::string& directory, const std::string& names, const std::vector<std::string>& lines);

// With the first user-defined network comes the embedded DNS. A file that the container has changed
// stays as it is.
Result<void>
update_resolv_conf(const ContainerFilesInput& before, const ContainerFilesInput& after);

// The container's own DNS settings (--dns …), the daemon's where it has none.
network::DnsOptions dns_options(const ContainerDefinition& definition, const DaemonConfig& daemon);

// The same, and what its networks themselves say goes before the daemon's.
network::DnsOptions dns_options(
    const ContainerDefinition& definition,
    const DaemonConfig& daemon,
    const std::vector<network::ResolvConf>& networks);

// Directories for -v /missing:/x, as Docker makes them. NotFound-like InvalidArgument for a missing
// source of --mount.
Result<void> make_bind_sources(const ContainerDefinition& definition);

// /dev/shm of a container with a shareable ipc namespace: a tmpfs on the host that others may bind.
std::string shared_memory_path(const Core& core, const std::string& id);
Result<std::string> mount_shared_memory(const Core& core, const ContainerDefinition& definition);
void unmount_shared_memory(const Core& core, const std::string& id);

// Copies what the image has at `destination` into an empty volume, with owner and mode of the
// directory itself. Nothing to do when the volume has content or the image nothing.
Result<void> copy_up(
    const std::string& root_path, const std::string& destination, const std::string& volume_path);

} // namespace berth::engine
