// SPDX-License-Identifier: Apache-2.0
// Where `cp` copies to and under which name, from how paths are written and what is there: the
// rules of docker cp, which are those of cp -a but for "SRC/." and a missing destination.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace berth::cli {

// One of the two ends of a copy.
struct CopyEnd {
    std::string path;
    bool exists = false;
    bool is_directory = false;
    // When a link was followed: the name that was asked for.
    std::string asked_name;
};

// What is written as "CONTAINER:PATH"; without a container it is a path of this machine.
struct CopyArgument {
    std::string container;
    std::string path;
};

CopyArgument parse_copy_argument(std::string_view argument);

// The directory to extract to, and how the first component of the archive's names changes ("" to
// "": not at all).
struct CopyPlan {
    std::string directory;
    std::string old_name;
    std::string new_name;
};

// "cannot copy directory" on a file, "no such directory" for "DST/" that is not there.
Result<CopyPlan> plan_copy(const CopyEnd& source, const CopyEnd& destination);

// A name in the archive after the plan.
std::string planned_name(const CopyPlan& plan, const std::string& name);

// "/a/b/." -> "/a/b", "."; "/a/b/" -> "/a", "b".
struct PathEntry {
    std::string directory;
    std::string name;
};

PathEntry split_path_entry(const std::string& path);

bool has_trailing_slash(std::string_view path);
// "." or "…/.".
bool means_content(std::string_view path);

// Cleaned, with what says "a directory" or "its content" kept from `as_written`.
std::string keep_ending(std::string cleaned, std::string_view as_written);

// A link's target in the place of the link: what was written behind the link stays, and the name
// that was asked for.
CopyEnd follow_link(const std::string& path, std::string target);

// This machine's end to copy from and to. The source's last component is a link itself unless
// `follow`.
enum class Follow : bool { No, Yes };
Result<CopyEnd> local_source(const std::string& path, Follow follow);
Result<CopyEnd> local_destination(const std::string& path);

} // namespace berth::cli
