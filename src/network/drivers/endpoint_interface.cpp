// SPDX-License-Identifier: Apache-2.0
// One batch of requests, and a second one where there is more than an IPv4 address.
#include "network/drivers/endpoint_interface.h"

#include "base/strings.h"
#include "kernel/netlink_namespace.h"
#include "network/net_sysctls.h"

namespace berth::network {
namespace {

using kernel::LinkState;
using kernel::NetworkNamespaceScope;
using kernel::RouteBatch;

// An interface's name may have dots of its own.
std::string interface_sysctl_path(const std::string& name, const std::string& interface) {
    const std::string path = replace_all(name, ".", "/");
    return replace_all(replace_all(path, "IFNAME", interface), "ifname", interface);
}

// As runc's words. Not "no such file": the docker client takes that for the container's program.
Error sysctl_error(const std::string& path, const Error& error) {
    const int number = error.error_number();
    if (number == ENOENT || number == ENOTDIR || number == EISDIR) {
        return invalid_argument(path + " is not a sysctl file");
    }
    return Error::from_errno("unable to write to '" + path + "'", number);
}

// REQUIRES: the thread is in the interface's namespace.
Result<void> write_interface_sysctls(const EndpointRequest& request, bool has_ipv6) {
    NetSysctls sysctls;
    if (has_ipv6) {
        const std::string folder = "net/ipv6/conf/" + request.interface_name + "/";
        // The allocator knows that the address is free, and routers among containers are impostors.
        TRY(sysctls.write_path(folder + "accept_dad", "0"));
        TRY(sysctls.write_path(folder + "accept_ra", "0"));
        TRY(sysctls.write_path(folder + "disable_ipv6", "0"));
    }
    for (const auto& [name, value] : request.sysctls) {
        const std::string path = interface_sysctl_path(name, request.interface_name);
        if (Result<void> written = sysctls.write_path(path, value); !written.ok()) {
            return sysctl_error("/proc/sys/" + path, written.error());
        }
    }
    return ok();
}

void add_link_local(RouteBatch& batch, int index, const EndpointRequest& request) {
    for (const IpAddress& address : request.link_local) {
        batch.add_address(index, {address, static_cast<std::uint8_t>(address.is_v4() ? 16 : 64)});
    }
}

} // namespace

Result<void>
complete_interface(const ContainerInterface& interface, const EndpointRequest& request) {
    if (!request.sysctls.empty()) {
        NetworkNamespaceScope scope = TRY(NetworkNamespaceScope::enter(interface.netns));
        TRY(write_interface_sysctls(request, false));
    }
    if (request.link_local.empty()) {
        return ok();
    }
    RouteBatch batch;
    add_link_local(batch, interface.index, request);
    return interface.inside.execute(batch);
}

Result<void> configure_interface(
    const ContainerInterface& interface, const EndpointRequest& request, const Endpoint& endpoint) {
    const int index = interface.index;
    RouteBatch batch;
    if (interface.form == InterfaceForm::MisnamedAndUp) {
        // Kernels before 6.2 rename only interfaces that are down.
        batch.change_link(index, {.state = LinkState::Down});
        batch.change_link(index, {.name = request.interface_name});
    }
    const bool is_up = interface.form == InterfaceForm::Up;
    const bool has_mac = interface.form == InterfaceForm::Down;
    batch.change_link(
        index,
        {.state = is_up ? std::nullopt : std::optional(LinkState::Up),
         .mac = has_mac ? std::nullopt : std::optional(endpoint.mac)});
    if (!endpoint.ip.is_unspecified()) {
        batch.add_address(index, {endpoint.ip, endpoint.prefix_length});
    }
    if (request.default_route && !endpoint.gateway.is_unspecified()) {
        batch.add_route({.destination = {}, .gateway = endpoint.gateway, .output_index = index});
    }
    TRY(interface.inside.execute(batch));
    if (!endpoint.ip_v6 && request.sysctls.empty() && request.link_local.empty()) {
        return ok();
    }
    {
        NetworkNamespaceScope scope = TRY(NetworkNamespaceScope::enter(interface.netns));
        TRY(write_interface_sysctls(request, endpoint.ip_v6.has_value()));
    }
    RouteBatch further;
    add_link_local(further, index, request);
    if (endpoint.ip_v6) {
        further.add_address(index, {*endpoint.ip_v6, endpoint.prefix_length_v6});
    }
    if (request.default_route_v6 && endpoint.gateway_v6) {
        further.add_route(
            {.destination = {}, .gateway = endpoint.gateway_v6, .output_index = index});
    }
    return interface.inside.execute(further);
}

} // namespace berth::network
