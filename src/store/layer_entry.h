// SPDX-License-Identifier: Apache-2.0
// What unpacking a layer's tar and indexing it have in common: names, limits, errors.
#pragma once

#include "base/result.h"
#include "codec/tar.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace berth::store {

struct ExtractionLimits {
    std::uint64_t entries = 10'000'000;
    std::uint64_t bytes = 1ULL << 40; // of all files, holes included
    // Of the names of directories, which are kept until the end: with all that leads to them, and
    // one entry may make two thousand.
    std::size_t directory_names = 256U << 20;
    // False for an archive that is no layer: ".wh." begins names like any other.
    bool whiteouts = true;
    tar::Limits tar;
};

// InvalidArgument: "layer entry "etc/passwd": …".
Error entry_error(std::string_view path, std::string_view why);

Error too_many_entries(const ExtractionLimits& limits);
Error too_many_bytes(const ExtractionLimits& limits);
Error too_many_directories(const ExtractionLimits& limits);

// "./a//b/../c" -> "a/c", "/" -> "". InvalidArgument for a name that leads above the root.
Result<std::string> clean_entry_name(std::string_view name);

// "a/b/c" -> "a/b", "c"; "c" -> "", "c".
std::pair<std::string, std::string> split_parent(const std::string& path);

// Zeros are looked for in pieces of this size, which become holes: a tar of a terabyte of them must
// not fill the disk.
inline constexpr std::size_t hole_bytes = 64U << 10;
// REQUIRES: at least one byte.
bool is_zero(std::string_view bytes);

} // namespace berth::store
