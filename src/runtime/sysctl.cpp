// SPDX-License-Identifier: Apache-2.0
// CVE-2022-0811 put a second setting behind a "+" in a value's key: keys have a small alphabet, and
// the path is walked without links.
#include "runtime/sysctl.h"

#include "base/strings.h"
#include "runtime/namespaces.h"

#include <algorithm>
#include <array>

namespace berth::runtime {

namespace {

constexpr auto ipc_keys = std::to_array<std::string_view>(
    {"kernel.msgmax",
     "kernel.msgmnb",
     "kernel.msgmni",
     "kernel.sem",
     "kernel.shmall",
     "kernel.shmmax",
     "kernel.shmmni",
     "kernel.shm_rmid_forced"});

bool has_plain_characters(std::string_view key) {
    return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.' || c == '/' || c == ':' || c == '@';
    });
}

// sysctl(8): the first separator says which of '.' and '/' separates; the other one stands for
// itself ("net/ipv4/conf/eth0.1/forwarding").
std::string path_of(std::string key) {
    std::size_t first = key.find_first_of("./");
    if (first != std::string::npos && key[first] == '.') {
        for (char& c : key) {
            c = c == '.' ? '/' : c == '/' ? '.' : c;
        }
    }
    return key;
}

bool has_odd_part(const std::string& path) {
    std::vector<std::string_view> parts = split(path, '/');
    return std::any_of(parts.begin(), parts.end(), [](std::string_view part) {
        return part.empty() || part == "." || part == "..";
    });
}

} // namespace

Result<void> check_sysctls(const oci::RuntimeConfig& config) {
    const NamespacePlan plan = TRY(plan_namespaces(config));
    for (const auto& [key, value] : config.linux_.sysctl) {
        std::string path = path_of(key);
        std::string dotted = path;
        std::replace(dotted.begin(), dotted.end(), '/', '.');
        if (!has_plain_characters(key) || has_odd_part(path) ||
            value.find_first_of(std::string_view("\n\0", 2)) != std::string::npos) {
            return invalid_argument("linux.sysctl: \"" + key + "\" is malformed");
        }
        bool ipc = path.starts_with("fs/mqueue/") ||
                   std::find(ipc_keys.begin(), ipc_keys.end(), dotted) != ipc_keys.end();
        if ((ipc && plan.has("ipc")) || (path.starts_with("net/") && plan.has("network")) ||
            (dotted == "kernel.domainname" && plan.has("uts"))) {
            continue;
        }
        if (dotted == "kernel.hostname") {
            return invalid_argument(
                "linux.sysctl: \"kernel.hostname\" conflicts with the OCI hostname field");
        }
        return invalid_argument(
            "linux.sysctl: \"" + key + "\" is not in a separate kernel namespace");
    }
    return ok();
}

Result<void> write_sysctls(const oci::RuntimeConfig& config, const kernel::Procfs& procfs) {
    for (const auto& [key, value] : config.linux_.sysctl) {
        TRY_CONTEXT(procfs.write("sys/" + path_of(key), value), "sysctl " + key);
    }
    return ok();
}

} // namespace berth::runtime
