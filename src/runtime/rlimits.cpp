// SPDX-License-Identifier: Apache-2.0
// prlimit(2): a process in a user namespace has its limits set by the host.
#include "runtime/rlimits.h"

#include <array>
#include <optional>
#include <string_view>

#include <sys/resource.h>

namespace berth::runtime {

namespace {

struct RlimitName {
    std::string_view name;
    int number;
};

constexpr auto rlimit_names = std::to_array<RlimitName>(
    {{"RLIMIT_AS", RLIMIT_AS},
     {"RLIMIT_CORE", RLIMIT_CORE},
     {"RLIMIT_CPU", RLIMIT_CPU},
     {"RLIMIT_DATA", RLIMIT_DATA},
     {"RLIMIT_FSIZE", RLIMIT_FSIZE},
     {"RLIMIT_LOCKS", RLIMIT_LOCKS},
     {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
     {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
     {"RLIMIT_NICE", RLIMIT_NICE},
     {"RLIMIT_NOFILE", RLIMIT_NOFILE},
     {"RLIMIT_NPROC", RLIMIT_NPROC},
     {"RLIMIT_RSS", RLIMIT_RSS},
     {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
     {"RLIMIT_RTTIME", RLIMIT_RTTIME},
     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
     {"RLIMIT_STACK", RLIMIT_STACK}});

std::optional<int> number_of(std::string_view name) {
    for (const RlimitName& entry : rlimit_names) {
        if (entry.name == name) {
            return entry.number;
        }
    }
    return std::nullopt;
}

} // namespace

Result<void> check_rlimits(const std::vector<oci::Rlimit>& limits) {
    for (std::size_t i = 0; i < limits.size(); ++i) {
        const std::string member = "process.rlimits[" + std::to_string(i) + "].type: ";
        if (!number_of(limits[i].type)) {
            return invalid_argument(member + "wrong rlimit value: " + limits[i].type);
        }
        for (std::size_t before = 0; before < i; ++before) {
            if (limits[before].type == limits[i].type) {
                return invalid_argument(member + limits[i].type + " is listed twice");
            }
        }
    }
    return ok();
}

Result<void> set_rlimits(pid_t pid, const std::vector<oci::Rlimit>& limits) {
    for (const oci::Rlimit& limit : limits) {
        const int number = number_of(limit.type).value_or(-1);
        rlimit value{limit.soft, limit.hard};
        if (::prlimit(pid, static_cast<__rlimit_resource>(number), &value, nullptr) < 0) {
            return errno_error("process.rlimits: set " + limit.type);
        }
    }
    return ok();
}

} // namespace berth::runtime
