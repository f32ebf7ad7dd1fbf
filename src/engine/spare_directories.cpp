// SPDX-License-Identifier: Apache-2.0
// A stock of directories under numbers, filled behind those who take from it.
#include "engine/spare_directories.h"

#include "base/file.h"
#include "kernel/block_groups.h"

#include <cstdio>
#include <optional>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::engine {
namespace {

// After the container that has just been given its own, as spare monitors.
constexpr std::chrono::milliseconds refill_delay{8};
constexpr std::chrono::milliseconds pause_after_failure{10'000};

} // namespace

struct SpareDirectories::State {
    explicit State(Options options)
        : place(std::move(options.place))
        , stock(
              {.what = "spare directory",
               .count = options.count,
               .make = [this] { return make_one(); },
               .later = std::move(options.later),
               .delay = refill_delay,
               .between = {},
               .pause_after_failure = pause_after_failure}) {}

    // Of an engine of before, which may have been killed at any moment: a name may have been given
    // away and be on the disk still.
    Result<void> prepare() const {
        TRY(remove_tree(place));
        TRY(make_directories(place, 0700));
        kernel::spread_children(place);
        return ok();
    }

    Result<std::string> make_one() {
        if (!is_prepared) {
            TRY(prepare());
            is_prepared = true;
        }
        std::string path = place + "/" + std::to_string(made++);
        TRY(make_directories(path, 0700));
        return path;
    }

    const std::string place;
    // The stock's jobs' alone:
    std::size_t made = 0;     // numbers of names
    bool is_prepared = false; // the place is there and empty
    Stock<std::string> stock;
};

SpareDirectories::SpareDirectories(Options options)
    : state_(std::make_unique<State>(std::move(options))) {}

SpareDirectories::~SpareDirectories() = default;

Result<void> SpareDirectories::make(const std::string& path, mode_t mode) {
    if (const std::optional<std::string> spare = state_->stock.take()) {
        // Another mount may be at one of the two.
        if (::chmod(spare->c_str(), mode) == 0 && ::rename(spare->c_str(), path.c_str()) == 0) {
            return ok();
        }
        (void)::rmdir(spare->c_str());
    }
    return make_directories(path, mode);
}

} // namespace berth::engine
