// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/oci_linux.go, ensureShared and ensureSharedOrSlave.
// https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
#include "engine/mount_propagation.h"

#include "base/file.h"
#include "base/strings.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::engine {
namespace {

constexpr std::size_t mountinfo_limit = 64U << 20;
constexpr std::size_t place_field = 4;
constexpr std::size_t first_optional_field = 6;

// The words of the line for the mount with this number.
std::optional<std::vector<std::string_view>> line_of(std::string_view mountinfo, std::uint64_t id) {
    const std::string start = std::to_string(id) + " ";
    for (const std::string_view line : split(mountinfo, '\n')) {
        if (line.starts_with(start)) {
            return split(line, ' ');
        }
    }
    return std::nullopt;
}

} // namespace

Result<void> check_propagation(const std::string& source, const std::string& propagation) {
    const bool wants_shared = propagation.ends_with("shared");
    if (!wants_shared && !propagation.ends_with("slave")) {
        return ok();
    }

    struct statx status {};

    if (::statx(AT_FDCWD, source.c_str(), AT_STATX_DONT_SYNC, STATX_MNT_ID, &status) < 0) {
        return errno_error("stat " + source);
    }
    const std::string text = TRY(read_file("/proc/self/mountinfo", mountinfo_limit));
    const auto words = line_of(text, status.stx_mnt_id);
    if (!words || words->size() <= first_optional_field) {
        return internal_error("no source mount point found for " + source);
    }
    const auto end = std::ranges::find(words->begin() + first_optional_field, words->end(), "-");
    const bool passes_on =
        std::any_of(words->begin() + first_optional_field, end, [&](std::string_view field) {
            return field.starts_with("shared:") || (!wants_shared && field.starts_with("master:"));
        });
    if (passes_on) {
        return ok();
    }
    return internal_error(
        "path " + source + " is mounted on " + std::string((*words)[place_field]) +
        " but it is not a " + (wants_shared ? "shared" : "shared or slave") + " mount");
}

} // namespace berth::engine
