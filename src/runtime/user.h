// SPDX-License-Identifier: Apache-2.0
// Users as images and people name them ("user", "uid", "user:group", "uid:gid"), looked up in a
// root's own /etc/passwd and /etc/group. Numbers are numbers: they are never looked up as names.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::runtime {

struct ResolvedUser {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::vector<std::uint32_t> additional_gids; // sorted, without duplicates
    std::string home = "/";
    std::string name; // "" when passwd does not know the uid
};

// Bytes of passwd and group that are read; a longer file is ResourceExhausted.
inline constexpr std::size_t user_database_limit = 4U << 20;

// `group_add` are names or numbers of additional groups. InvalidArgument with Docker's words:
// `unable to find user foo: no matching entries in passwd file`.
Result<ResolvedUser> resolve_user(
    FdRef root, std::string_view specification, const std::vector<std::string>& group_add = {});

// The same over the files' texts, for tests and fuzzing.
Result<ResolvedUser> resolve_user(
    std::string_view passwd,
    std::string_view group,
    std::string_view specification,
    const std::vector<std::string>& group_add);

} // namespace berth::runtime
