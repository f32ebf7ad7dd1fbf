// SPDX-License-Identifier: Apache-2.0
// Reading and writing the small files of a group.
#include "kernel/cgroup_files.h"

#include "base/file.h"
#include "base/strings.h"

namespace berth::kernel::cgroup_files {

namespace {

constexpr std::size_t max_file = 1U << 20;

} // namespace

Result<void>
write_file(const std::string& directory, std::string_view file, std::string_view text) {
    return write_existing(directory + "/" + std::string(file), text);
}

Result<std::string> read_text(const std::string& directory, std::string_view file) {
    return read_file(directory + "/" + std::string(file), max_file);
}

Result<std::optional<std::uint64_t>>
read_number(const std::string& directory, std::string_view file) {
    std::string text = TRY(read_text(directory, file));
    std::string_view number = trim(text);
    if (number == "max") {
        return std::optional<std::uint64_t>();
    }
    return std::optional(TRY(parse_number<std::uint64_t>(number)));
}

Result<std::map<std::string, std::uint64_t>>
read_table(const std::string& directory, std::string_view file) {
    std::string text = TRY(read_text(directory, file));
    std::map<std::string, std::uint64_t> table;
    for (std::string_view line : split(text, '\n')) {
        std::vector<std::string_view> parts = words(line);
        if (parts.size() == 2) {
            Result<std::uint64_t> value = parse_number<std::uint64_t>(parts[1]);
            if (value.ok()) {
                table[std::string(parts[0])] = *value;
            }
        }
    }
    return table;
}

} // namespace berth::kernel::cgroup_files
