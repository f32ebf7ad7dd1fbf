// SPDX-License-Identifier: Apache-2.0
// linux.namespaces: which are new, which are joined, which are the host's.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/namespace.h"
#include "oci/runtime_config.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

struct JoinedNamespace {
    std::uint64_t flag = 0;
    UniqueFd file;
};

struct NamespacePath {
    std::uint64_t flag = 0;
    std::string path;
    std::string member; // "linux.namespaces[2].path", for errors
};

struct NamespacePlan {
    std::uint64_t all = 0;     // CLONE_NEW* that are not the host's
    std::uint64_t created = 0; // of these, the new ones
    std::vector<NamespacePath> joined;
    std::string time_offsets; // text for timens_offsets

    bool has(std::string_view oci_name) const;
    bool creates(std::string_view oci_name) const;

    // Those that a process makes once it is in its groups and root of its user namespace.
    std::uint64_t made_after_clone() const;
};

// InvalidArgument for unknown or repeated ones and for settings of namespaces that are not there,
// Unavailable for those that this kernel lacks.
Result<NamespacePlan> plan_namespaces(const oci::RuntimeConfig& config);

Result<std::vector<JoinedNamespace>> open_joined(const NamespacePlan& plan);

// In a new network namespace it is down, and nothing answers at 127.0.0.1.
Result<void> raise_loopback();

// "0 100000 65536\n"
std::string id_map_text(const std::vector<oci::IdMapping>& mappings);

// What the creator of a user namespace calls one of its ids; nullopt for one that it has not.
std::optional<std::uint32_t>
outside_id(const std::vector<oci::IdMapping>& mappings, std::uint32_t id);

} // namespace berth::runtime
