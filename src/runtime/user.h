// SPDX-License-Identifier: Apache-2.0
// Who a process runs as: "user", "uid", "user:group", "uid:gid" looked up in a container's own
// /etc/passwd and /etc/group. A number is always a number, never a name; files and lines are
// bounded.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

inline constexpr std::size_t max_user_database_bytes = 16U << 20;
inline constexpr std::size_t max_user_database_line = 64U << 10;
inline constexpr std::size_t max_supplementary_groups = 65536;

struct ResolvedUser {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::vector<std::uint32_t> additional_gids;
    std::string home = "/"; // of the passwd entry
};

// `spec` empty is root. InvalidArgument in Docker's words ("unable to find user x: no matching
// entries in passwd file"). additional_groups are --group-add: names or numbers.
Result<ResolvedUser> resolve_user(
    FdRef root, std::string_view spec, const std::vector<std::string>& additional_groups = {});

// The same over the files' texts (absent files are empty).
Result<ResolvedUser> resolve_user_in(
    std::string_view passwd,
    std::string_view group,
    std::string_view spec,
    const std::vector<std::string>& additional_groups = {});

// The home directory of the first passwd entry with this uid.
std::optional<std::string> home_of(std::string_view passwd, std::uint32_t uid);

// etc/passwd or etc/group of a root, "" when absent; ResourceExhausted beyond the limit.
Result<std::string> read_user_database(FdRef root, std::string_view path);

} // namespace berth::runtime
