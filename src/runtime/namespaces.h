// SPDX-License-Identifier: Apache-2.0
// linux.namespaces: which are new, which are joined, which are the host's.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/namespace.h"
#include "oci/runtime_config.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace berth::runtime {

struct JoinedNamespace {
    std::uint64_t flag = 0;
    UniqueFd file;
};

struct NamespacePlan {
    std::uint64_t all = 0;     // CLONE_NEW* that are not the host's
    std::uint64_t created = 0; // of these, the new ones
    std::vector<std::pair<std::uint64_t, std::string>> joined;

    bool has(std::string_view oci_name) const;

    // Those that a process makes once it is in its groups and root of its user namespace.
    std::uint64_t made_after_clone() const;
};

// InvalidArgument for unknown or repeated ones, NotImplemented for "time", joined mount and joined
// user namespaces.
Result<NamespacePlan> plan_namespaces(const oci::RuntimeConfig& config);

Result<std::vector<JoinedNamespace>> open_joined(const NamespacePlan& plan);

// In a new network namespace it is down, and nothing answers at 127.0.0.1.
Result<void> raise_loopback();

// "0 100000 65536\n"
std::string id_map_text(const std::vector<oci::IdMapping>& mappings);

} // namespace berth::runtime
