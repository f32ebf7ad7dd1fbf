// SPDX-License-Identifier: Apache-2.0
// What a tree takes on the disk, as du(1) counts it.
#pragma once

#include <cstdint>
#include <string>

namespace berth {

// Whether directories have a size of their own.
enum class CountDirectories : bool { No, Yes };

// Bytes of the blocks of all files, a file of several names once. Links are not followed, other
// file systems not entered; what vanishes meanwhile or cannot be looked at counts nothing.
std::uint64_t disk_size(const std::string& path, CountDirectories directories);

} // namespace berth
