// SPDX-License-Identifier: Apache-2.0
// One change of a repository's index, and the line of the journal that it becomes. Internal to the
// storage.
#pragma once

#include "base/result.h"
#include "registry/server/repository.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

struct IndexChange {
    enum class Kind : std::uint8_t { Put, RemoveTag, RemoveManifest };

    Kind kind = Kind::Put;
    std::uint64_t number = 0; // of the index with it
    NamedEntry put{};
    std::string removed{}; // tag or digest

    void apply(RepositoryIndex& index) const;
    // With its end of line.
    std::string to_line() const;
    static Result<IndexChange> parse(std::string_view line);
};

struct ReadJournal {
    std::vector<IndexChange> changes;
    std::uint64_t bytes = 0; // of whole lines; behind them lies what a crash cut off
};

// A last line that is cut off was never acknowledged; any other that cannot be read is DataLoss.
Result<ReadJournal> read_journal(std::string_view text);

} // namespace berth::registry
