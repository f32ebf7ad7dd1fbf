// SPDX-License-Identifier: Apache-2.0
// The conditions of the profile's own rules are worked out for each kind of socket that stays, so
// that a rule which is narrower than ours remains so.
#include "runtime/socket_families.h"

#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <span>
#include <string_view>

#include <sys/socket.h>

namespace berth::runtime {

namespace {

constexpr std::uint32_t family_argument = 0;
constexpr std::uint32_t protocol_argument = 2;
constexpr std::size_t arguments_of_a_call = 6;

struct SocketKind {
    std::uint64_t family;
    std::optional<std::uint64_t> protocol;
};

constexpr auto kinds = std::to_array<SocketKind>(
    {{AF_UNIX, {}},
     {AF_INET, {}},
     {AF_INET6, {}},
     {AF_NETLINK, NETLINK_ROUTE},
     {AF_NETLINK, NETLINK_KOBJECT_UEVENT}});
// Other families have no pairs, but the kernel would load and enter their code to say so.
constexpr auto kinds_of_pairs = std::to_array<SocketKind>({{AF_UNIX, {}}});

bool refuses(std::string_view action) {
    return action == "SCMP_ACT_ERRNO" || action == "SCMP_ACT_TRAP" ||
           action.starts_with("SCMP_ACT_KILL");
}

// An operation that nobody knows is refused with the profile, later.
bool holds(const oci::SeccompArgument& condition, std::uint64_t value) {
    const std::string& op = condition.op;
    return (op == "SCMP_CMP_EQ" && value == condition.value) ||
           (op == "SCMP_CMP_NE" && value != condition.value) ||
           (op == "SCMP_CMP_LT" && value < condition.value) ||
           (op == "SCMP_CMP_LE" && value <= condition.value) ||
           (op == "SCMP_CMP_GT" && value > condition.value) ||
           (op == "SCMP_CMP_GE" && value >= condition.value) ||
           (op == "SCMP_CMP_MASKED_EQ" && (value & condition.value) == condition.value_two);
}

// More than one condition on an argument: any of the rule's conditions is enough (runc: matchCall).
bool any_is_enough(const std::vector<oci::SeccompArgument>& conditions) {
    std::array<int, arguments_of_a_call> uses{};
    for (const oci::SeccompArgument& condition : conditions) {
        if (condition.index < uses.size() && ++uses[condition.index] > 1) {
            return true;
        }
    }
    return false;
}

// The rule for sockets of one kind; nothing when it does not speak of them.
std::optional<oci::SeccompRule>
narrowed(const oci::SeccompRule& rule, const char* call, const SocketKind& kind) {
    oci::SeccompRule made{{call}, rule.action, rule.errno_ret, {}};
    made.args.push_back({.index = family_argument, .value = kind.family, .op = "SCMP_CMP_EQ"});
    if (kind.protocol) {
        made.args.push_back(
            {.index = protocol_argument, .value = *kind.protocol, .op = "SCMP_CMP_EQ"});
    }
    for (const oci::SeccompArgument& condition : rule.args) {
        if (condition.index == family_argument) {
            if (!holds(condition, kind.family)) {
                return std::nullopt;
            }
        } else if (condition.index == protocol_argument && kind.protocol) {
            if (!holds(condition, *kind.protocol)) {
                return std::nullopt;
            }
        } else {
            made.args.push_back(condition);
        }
    }
    return made;
}

void add_narrowed(
    std::vector<oci::SeccompRule>& rules,
    const oci::SeccompRule& rule,
    const char* call,
    std::span<const SocketKind> allowed) {
    std::vector<oci::SeccompRule> parts;
    if (any_is_enough(rule.args)) {
        for (const oci::SeccompArgument& condition : rule.args) {
            parts.push_back({rule.names, rule.action, rule.errno_ret, {condition}});
        }
    } else {
        parts.push_back(rule);
    }
    for (const oci::SeccompRule& part : parts) {
        for (const SocketKind& kind : allowed) {
            if (std::optional<oci::SeccompRule> made = narrowed(part, call, kind)) {
                rules.push_back(std::move(*made));
            }
        }
    }
}

} // namespace

Result<void> limit_socket_families(oci::Seccomp& profile) {
    if (!refuses(profile.default_action)) {
        return invalid_argument(
            "the socket families can be limited only with a seccomp profile that refuses what it "
            "does not name: its default action is " +
            profile.default_action);
    }
    // First, because libseccomp adds to it what a rule for "socket" means with this call, and a
    // call without conditions stays as it is.
    std::vector<oci::SeccompRule> rules{{{"socketcall"}, "SCMP_ACT_ERRNO", ENOSYS, {}}};
    for (oci::SeccompRule& rule : profile.syscalls) {
        const bool allows = !refuses(rule.action);
        if (allows && std::erase(rule.names, "socket") > 0) {
            add_narrowed(rules, rule, "socket", kinds);
        }
        if (allows && std::erase(rule.names, "socketpair") > 0) {
            add_narrowed(rules, rule, "socketpair", kinds_of_pairs);
        }
        std::erase(rule.names, "socketcall");
        if (!rule.names.empty()) {
            rules.push_back(std::move(rule));
        }
    }
    profile.syscalls = std::move(rules);
    return ok();
}

} // namespace berth::runtime
