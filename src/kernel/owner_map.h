// SPDX-License-Identifier: Apache-2.0
// The ids of containers in user namespaces, and mounts that show files as theirs. On the disk files
// belong to the ids that they have in the container (0, 33, ...), so that containers of both kinds
// share them; a mapped mount shows them to the machine as the container's (100000, 100033, ...).
// A mapped mount exchanges: what belongs to 100000 on the disk is shown as 0's and so on, since
// every id must have a place, or else not even root could read or make files there. No process of
// a container has one of those ids, so it is nobody's to it.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/id_mapping.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace berth::kernel {

// Of a user namespace: what it sees is `inside`, what the machine sees is `outside`.
struct IdMaps {
    std::vector<IdRange> uids;
    std::vector<IdRange> gids;
};

// As /proc/<pid>/uid_map has it: "0 100000 65536\n".
std::string id_map_text(const std::vector<IdRange>& ranges);
Result<std::vector<IdRange>> parse_id_map(std::string_view text);

// Every id to one of its own: those of the ranges as they say, those that are in their way to where
// the ranges' ids were, all others stay. REQUIRES: no two ranges overlap, on neither side.
std::vector<IdRange> exchange_of(const std::vector<IdRange>& ranges);

// One after the other: what `first` makes of an id, as `second` shows it. REQUIRES: both come from
// exchange_of(), or map every id to one of its own likewise.
std::vector<IdRange> compose(const std::vector<IdRange>& first, const std::vector<IdRange>& second);

// The id of the other side. REQUIRES: the ranges come from exchange_of().
std::uint32_t seen_id(const std::vector<IdRange>& exchange, std::uint32_t on_disk);
std::uint32_t id_on_disk(const std::vector<IdRange>& exchange, std::uint32_t seen);

// Immutable, and so are its parts: thread-safe.
class OwnerMap {
  public:
    static Result<std::shared_ptr<const OwnerMap>> create(IdMaps maps);

    // The container's own.
    const IdMaps& maps() const { return maps_; }

    // Of mounts.
    const IdMaps& exchange() const { return exchange_; }

    bool maps_like(const IdMaps& other) const;

    // Shows the files of a detached mount as the container's. Unavailable where the file system
    // cannot be mapped.
    Result<void> apply_to(FdRef mount) const;

    // The container's root, as the machine sees it.
    std::uint32_t root_uid() const { return seen_id(exchange_.uids, 0); }

    std::uint32_t root_gid() const { return seen_id(exchange_.gids, 0); }

    // What the container calls the owner of a file that the machine sees: nobody where it has none.
    std::uint32_t inside_uid(std::uint32_t seen) const;
    std::uint32_t inside_gid(std::uint32_t seen) const;

    // What the machine calls an owner of the container's: its root's id where it has none.
    std::uint32_t outside_uid(std::uint32_t inside) const;
    std::uint32_t outside_gid(std::uint32_t inside) const;

  private:
    OwnerMap(IdMaps maps, IdMaps exchange, UniqueFd user_namespace);

    IdMaps maps_;
    IdMaps exchange_;
    UniqueFd user_namespace_; // with the exchange as its map
};

} // namespace berth::kernel
