// SPDX-License-Identifier: Apache-2.0
// berth system check: whether everything below the data root is what the metadata says, while work
// goes on; and repairing what can be repaired from what is there.
#pragma once

#include "base/result.h"
#include "store/store.h"

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::store {

struct Problem {
    std::string kind;                // "blob", "layer", "image", "metadata", "leftover"
    std::string subject;             // the digest or the path below the data root
    std::string message;             // what is wrong with it
    std::vector<std::string> images; // the images that are hit, by name, else by id
    bool repaired = false;
    std::string remedy; // what was done, or why nothing could be
};

struct CheckOptions {
    bool repair = false;
    bool deep = false; // compare every file of every layer, not only that it is there
};

struct CheckReport {
    std::uint64_t blobs = 0;
    std::uint64_t blob_bytes = 0;
    std::uint64_t layers = 0;
    std::uint64_t images = 0;
    std::uint64_t problems = 0;
    std::uint64_t repaired = 0;
};

using ProblemCallback = std::function<void(const Problem&)>;

// `root` is the data root that the store lies in. Reads every blob; blocks; Cancelled when stopped.
Result<CheckReport> check_store(
    std::stop_token stop,
    Store& store,
    const std::string& root,
    const CheckOptions& options,
    const ProblemCallback& report);

} // namespace berth::store
