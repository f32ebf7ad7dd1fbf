// SPDX-License-Identifier: Apache-2.0
// What the parts of the storage ask the file system alike. Internal to the storage.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace berth::registry {

// There is no such file, or no such folder on the way.
bool is_missing(const Error& error);
// Nobody used the file since `than`; false when there is none. size: of the file.
bool is_older(const std::string& path, std::time_t than, std::uint64_t* size = nullptr);
// Bytes of the files of a folder; 0 without one.
std::uint64_t size_of_files(const std::string& folder);

Result<void> sync_directory(const std::string& path);
// A new file whose bytes are on disk afterwards; its name need not be. Nothing stays after an
// error.
Result<void> write_synced(const std::string& path, std::string_view bytes);

} // namespace berth::registry
