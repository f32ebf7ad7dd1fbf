// SPDX-License-Identifier: Apache-2.0
// Entries' names; they are a stranger's.
#include "store/layer_entry.h"

#include "base/strings.h"

#include <climits>
#include <cstring>

namespace berth::store {

Error entry_error(std::string_view path, std::string_view why) {
    return invalid_argument("layer entry \"" + std::string(path) + "\": " + std::string(why));
}

Error too_many_entries(const ExtractionLimits& limits) {
    return {
        ErrorKind::ResourceExhausted,
        "layer has more than " + std::to_string(limits.entries) + " entries"};
}

Error too_many_bytes(const ExtractionLimits& limits) {
    return {
        ErrorKind::ResourceExhausted,
        "layer has more than " + std::to_string(limits.bytes) + " bytes of files"};
}

Error too_many_directories(const ExtractionLimits& limits) {
    return {
        ErrorKind::ResourceExhausted,
        "layer has directories with names of more than " + std::to_string(limits.directory_names) +
            " bytes"};
}

Result<std::string> clean_entry_name(std::string_view name) {
    std::string clean;
    clean.reserve(name.size());
    for (std::string_view part : split(name, '/')) {
        if (part.empty() || part == ".") {
            continue;
        }
        if (part == "..") {
            if (clean.empty()) {
                return entry_error(name, "leads out of the layer");
            }
            std::size_t slash = clean.rfind('/');
            clean.resize(slash == std::string::npos ? 0 : slash);
            continue;
        }
        if (part.size() > NAME_MAX) {
            return entry_error(name, "a name in it is longer than 255 bytes");
        }
        clean.append(clean.empty() ? "" : "/").append(part);
    }
    return clean;
}

std::pair<std::string, std::string> split_parent(const std::string& path) {
    std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
        return {"", path};
    }
    return {path.substr(0, slash), path.substr(slash + 1)};
}

bool is_zero(std::string_view bytes) {
    return bytes.front() == 0 && bytes.back() == 0 &&
           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

} // namespace berth::store
