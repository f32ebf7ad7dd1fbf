// SPDX-License-Identifier: Apache-2.0
// Options of an OCI mount: what is an attribute of the mount, what goes to the file system.
// https://github.com/opencontainers/runtime-spec/blob/main/config.md#linux-mount-options
#pragma once

#include "base/result.h"
#include "kernel/mount.h"

#include <cstdint>
#include <string>
#include <vector>

namespace berth::runtime {

struct Propagation {
    std::uint64_t type = 0; // MS_SHARED, …
    kernel::Recursive recursive = kernel::Recursive::No;
};

// Bits of MOUNT_ATTR_*. The access-time bits are one field: whoever sets one clears them all.
struct AttributeChange {
    std::uint64_t set = 0;
    std::uint64_t clear = 0;

    bool empty() const { return set == 0 && clear == 0; }
};

enum class IdMap : std::uint8_t { None, Top, Recursive };

struct MountOptions {
    bool bind = false;
    kernel::Recursive recursive_bind = kernel::Recursive::No;
    bool remount = false;
    bool copy_up = false;             // tmpfs: with what the directory had
    bool copy_link = false;           // a source that is a link is made as a link
    bool source_is_link = false;      // a source that is a link is bound itself
    bool destination_is_link = false; // a destination that is a link is mounted over
    IdMap id_map = IdMap::None;
    AttributeChange attributes;
    AttributeChange recursive_attributes; // "rro" and its kin
    std::vector<Propagation> propagation;
    std::vector<kernel::MountParameter> flags;      // of any file system: "sync"
    std::vector<kernel::MountParameter> parameters; // of this one: "size=5k"
};

// What is no option of ours is a parameter of the file system.
Result<MountOptions> parse_mount_options(const std::vector<std::string>& options);

// Every option that parse_mount_options() takes itself, sorted: for `features`.
std::vector<std::string> known_mount_options();

} // namespace berth::runtime
