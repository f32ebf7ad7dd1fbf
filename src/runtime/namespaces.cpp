// SPDX-License-Identifier: Apache-2.0
// Names to flags, and the combinations that make no sense.
#include "runtime/namespaces.h"

#include <cerrno>
#include <cstring>

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::runtime {

bool NamespacePlan::has(std::string_view oci_name) const {
    return (all & kernel::namespace_flag(oci_name).value_or(0)) != 0;
}

Result<NamespacePlan> plan_namespaces(const oci::RuntimeConfig& config) {
    NamespacePlan plan;
    for (const oci::Namespace& entry : config.linux_.namespaces) {
        std::optional<std::uint64_t> flag = kernel::namespace_flag(entry.type);
        if (!flag) {
            return invalid_argument("unknown namespace type \"" + entry.type + "\"");
        }
        if (entry.type == "time") {
            return not_implemented("time namespaces are not implemented");
        }
        if ((plan.all & *flag) != 0) {
            return invalid_argument("namespace \"" + entry.type + "\" is listed twice");
        }
        plan.all |= *flag;
        if (entry.path.empty()) {
            plan.created |= *flag;
        } else if (entry.type == "mount" || entry.type == "user") {
            return not_implemented(
                "joining a " + entry.type + " namespace by path is not implemented");
        } else {
            plan.joined.emplace_back(*flag, entry.path);
        }
    }
    if (!plan.has("mount")) {
        return invalid_argument("a container without a mount namespace of its own is not safe");
    }
    if (!config.hostname.empty() && !plan.has("uts")) {
        return invalid_argument("unable to set hostname without a private UTS namespace");
    }
    if (!config.domainname.empty() && !plan.has("uts")) {
        return invalid_argument("unable to set domainname without a private UTS namespace");
    }
    if (plan.has("user") != !config.linux_.uid_mappings.empty() ||
        plan.has("user") != !config.linux_.gid_mappings.empty()) {
        return invalid_argument("a user namespace and its uid and gid mappings go together");
    }
    return plan;
}

Result<std::vector<JoinedNamespace>> open_joined(const NamespacePlan& plan) {
    std::vector<JoinedNamespace> opened;
    for (const auto& [flag, path] : plan.joined) {
        opened.push_back({flag, TRY(kernel::open_namespace(path, flag))});
    }
    return opened;
}

std::uint64_t NamespacePlan::made_after_clone() const {
    // The root of a cgroup namespace is where its maker stands; the files of message queues belong
    // to the maker of their namespace, who must be root of the user namespace by then.
    return created & (CLONE_NEWCGROUP | (has("user") ? CLONE_NEWIPC : 0U));
}

Result<void> raise_loopback() {
    UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) {
        return errno == EAFNOSUPPORT ? ok() : Result<void>(errno_error("loopback interface"));
    }
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) < 0) {
        return errno_error("start the loopback interface");
    }
    return ok();
}

std::string id_map_text(const std::vector<oci::IdMapping>& mappings) {
    std::string text;
    for (const oci::IdMapping& mapping : mappings) {
        text += std::to_string(mapping.container_id) + " " + std::to_string(mapping.host_id) + " " +
                std::to_string(mapping.size) + "\n";
    }
    return text;
}

} // namespace berth::runtime
