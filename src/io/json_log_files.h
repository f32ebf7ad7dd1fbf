// SPDX-License-Identifier: Apache-2.0
// The files of a json-file log: who renames and who compresses them hold one lock, and neither
// waits for it.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <sys/types.h>

namespace berth::io {

// 0 is the file that is written.
std::string json_log_path(const std::string& file, std::size_t number);
inline constexpr const char* compressed_log_suffix = ".gz";

// Held while names change. nullopt: somebody else holds it just now.
std::optional<UniqueFd> try_lock_json_log(const std::string& directory);

// The number whose (uncompressed) file this is.
std::optional<std::size_t> find_json_log(const std::string& file, ino_t inode, std::size_t limit);

} // namespace berth::io
