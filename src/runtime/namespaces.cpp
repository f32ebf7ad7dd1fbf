// SPDX-License-Identifier: Apache-2.0
// Names to flags, and the combinations that make no sense.
#include "runtime/namespaces.h"

#include "kernel/kernel_features.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

std::uint64_t flag_of(std::string_view oci_name) {
    return kernel::namespace_flag(oci_name).value_or(0);
}

Result<void>
add_namespace(NamespacePlan& plan, const oci::Namespace& entry, const std::string& member) {
    std::optional<std::uint64_t> flag = kernel::namespace_flag(entry.type);
    if (!flag) {
        return invalid_argument(member + ".type: unknown namespace type \"" + entry.type + "\"");
    }
    if ((plan.all & *flag) != 0) {
        return invalid_argument(member + ".type: namespace \"" + entry.type + "\" is listed twice");
    }
    if (entry.type == "time" && !kernel::kernel_features().time_namespace) {
        return Error(ErrorKind::Unavailable, member + ".type: this kernel has no time namespaces");
    }
    if (entry.type == "user" && !kernel::kernel_features().user_namespace) {
        return Error(ErrorKind::Unavailable, member + ".type: this kernel has no user namespaces");
    }
    plan.all |= *flag;
    if (entry.path.empty()) {
        plan.created |= *flag;
        return ok();
    }
    if (!entry.path.starts_with('/')) {
        return invalid_argument(member + ".path: \"" + entry.path + "\" is not absolute");
    }
    plan.joined.push_back({*flag, entry.path, member + ".path"});
    return ok();
}

Result<void> add_time_offsets(NamespacePlan& plan, const oci::Linux& linux_object) {
    constexpr std::uint32_t second = 1'000'000'000;
    for (const auto& [clock, offset] : linux_object.time_offsets) {
        const std::string member = "linux.timeOffsets." + clock;
        if (clock != "monotonic" && clock != "boottime") {
            return invalid_argument(member + ": only monotonic and boottime have an offset");
        }
        if (!plan.creates("time")) {
            return invalid_argument(member + ": needs a new time namespace");
        }
        if (offset.nanosecs >= second) {
            return invalid_argument(member + ".nanosecs: must be below one second");
        }
        plan.time_offsets +=
            std::to_string(clock == "monotonic" ? CLOCK_MONOTONIC : CLOCK_BOOTTIME) + " " +
            std::to_string(offset.secs) + " " + std::to_string(offset.nanosecs) + "\n";
    }
    return ok();
}

Result<void> check_mappings(const NamespacePlan& plan, const oci::Linux& linux_object) {
    const bool none = linux_object.uid_mappings.empty() && linux_object.gid_mappings.empty();
    if (!none && !plan.has("user")) {
        return invalid_argument("linux.uidMappings and gidMappings need a user namespace");
    }
    // One that exists has its mappings already; those of the configuration say nothing new.
    if (plan.creates("user") &&
        (linux_object.uid_mappings.empty() || linux_object.gid_mappings.empty())) {
        return invalid_argument(
            "a new user namespace needs linux.uidMappings and linux.gidMappings");
    }
    return ok();
}

} // namespace

bool NamespacePlan::has(std::string_view oci_name) const {
    return (all & flag_of(oci_name)) != 0;
}

bool NamespacePlan::creates(std::string_view oci_name) const {
    return (created & flag_of(oci_name)) != 0;
}

Result<NamespacePlan> plan_namespaces(const oci::RuntimeConfig& config) {
    NamespacePlan plan;
    for (std::size_t i = 0; i < config.linux_.namespaces.size(); ++i) {
        TRY(add_namespace(
            plan, config.linux_.namespaces[i], "linux.namespaces[" + std::to_string(i) + "]"));
    }
    if (!plan.has("mount")) {
        return invalid_argument(
            "linux.namespaces: a container without a mount namespace of its own is not safe");
    }
    if (!config.hostname.empty() && !plan.has("uts")) {
        return invalid_argument("unable to set hostname without a private UTS namespace");
    }
    if (!config.domainname.empty() && !plan.has("uts")) {
        return invalid_argument("unable to set domainname without a private UTS namespace");
    }
    TRY(add_time_offsets(plan, config.linux_));
    TRY(check_mappings(plan, config.linux_));
    return plan;
}

Result<std::vector<JoinedNamespace>> open_joined(const NamespacePlan& plan) {
    std::vector<JoinedNamespace> opened;
    for (const NamespacePath& entry : plan.joined) {
        UniqueFd file = TRY_CONTEXT(kernel::open_namespace(entry.path, entry.flag), entry.member);
        opened.push_back({entry.flag, std::move(file)});
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

std::optional<std::uint32_t>
outside_id(const std::vector<oci::IdMapping>& mappings, std::uint32_t id) {
    for (const oci::IdMapping& mapping : mappings) {
        if (id >= mapping.container_id && id - mapping.container_id < mapping.size) {
            return mapping.host_id + (id - mapping.container_id);
        }
    }
    return std::nullopt;
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
