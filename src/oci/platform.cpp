// SPDX-License-Identifier: Apache-2.0
// Platforms, normalized as https://github.com/containerd/platforms does it.
#include "oci/platform.h"

#include "base/strings.h"

#include <algorithm>
#include <array>

#include <sys/utsname.h>

namespace berth::oci {

namespace {

struct Alias {
    std::string_view name;
    std::string_view architecture;
    std::string_view variant; // "" keeps the given one
};

constexpr std::array aliases{
    Alias{"i386", "386", ""},
    Alias{"i686", "386", ""},
    Alias{"x86_64", "amd64", ""},
    Alias{"x86-64", "amd64", ""},
    Alias{"aarch64", "arm64", ""},
    Alias{"armhf", "arm", "v7"},
    Alias{"armel", "arm", "v6"},
    Alias{"armv7l", "arm", "v7"},
    Alias{"armv6l", "arm", "v6"},
    Alias{"armv8l", "arm", "v8"},
    Alias{"ppc64el", "ppc64le", ""},
    Alias{"loong64", "loong64", ""},
    Alias{"loongarch64", "loong64", ""},
};

constexpr std::array known_architectures{
    std::string_view("386"),
    std::string_view("amd64"),
    std::string_view("arm"),
    std::string_view("arm64"),
    std::string_view("loong64"),
    std::string_view("mips"),
    std::string_view("mips64"),
    std::string_view("mips64le"),
    std::string_view("mipsle"),
    std::string_view("ppc64"),
    std::string_view("ppc64le"),
    std::string_view("riscv64"),
    std::string_view("s390x"),
    std::string_view("wasm"),
};

constexpr std::array known_systems{
    std::string_view("linux"),
    std::string_view("windows"),
    std::string_view("darwin"),
    std::string_view("freebsd"),
    std::string_view("netbsd"),
    std::string_view("openbsd"),
    std::string_view("solaris"),
    std::string_view("wasip1"),
};

// "v7" -> 7; no variant is the architecture's oldest, but for arm (v7) and arm64 (v8).
int variant_number(const Platform& platform) {
    if (platform.variant.size() >= 2 && platform.variant[0] == 'v') {
        const auto number = parse_number<int>(std::string_view(platform.variant).substr(1, 1));
        return number.ok() ? *number : -1;
    }
    if (platform.architecture == "arm") {
        return 7;
    }
    return platform.architecture == "arm64" ? 8 : 1;
}

bool is_valid_part(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-';
    });
}

Error bad_platform(std::string_view text, std::string_view why) {
    return invalid_argument("\"" + std::string(text) + "\": " + std::string(why));
}

} // namespace

Platform Platform::host() {
    Platform platform;
    platform.os = "linux";
    utsname names{};
    if (uname(&names) == 0) {
        platform.architecture = static_cast<const char*>(names.machine);
    }
    return platform.normalized();
}

Result<Platform> Platform::parse(std::string_view text) {
    const auto parts = split(text, '/');
    if (parts.size() > 3 || !std::all_of(parts.begin(), parts.end(), is_valid_part)) {
        return bad_platform(text, "cannot parse platform specifier: invalid argument");
    }
    Platform platform = host();
    if (parts.size() == 1) {
        const std::string word = to_lower(parts[0]);
        if (contains(known_systems, word)) {
            platform.os = word;
            return platform;
        }
        Platform named;
        named.os = platform.os;
        named.architecture = word;
        named = named.normalized();
        if (!contains(known_architectures, named.architecture)) {
            return bad_platform(text, "unknown operating system or architecture: invalid argument");
        }
        return named;
    }
    platform.os = parts[0];
    platform.architecture = parts[1];
    platform.variant = parts.size() == 3 ? parts[2] : std::string_view();
    return platform.normalized();
}

Platform Platform::normalized() const {
    Platform result = *this;
    result.os = to_lower(os);
    if (result.os == "macos") {
        result.os = "darwin";
    }
    result.architecture = to_lower(architecture);
    result.variant = to_lower(variant);
    for (const Alias& alias : aliases) {
        if (alias.name == result.architecture) {
            result.architecture = alias.architecture;
            if (!alias.variant.empty()) {
                result.variant = alias.variant;
            }
            break;
        }
    }
    if (!result.variant.empty() && result.variant[0] >= '1' && result.variant[0] <= '9') {
        result.variant.insert(0, "v");
    }
    if ((result.architecture == "arm64" && result.variant == "v8") ||
        (result.architecture == "amd64" && result.variant == "v1")) {
        result.variant.clear();
    }
    if (result.architecture == "arm" && result.variant.empty()) {
        result.variant = "v7";
    }
    return result;
}

std::string Platform::to_string() const {
    return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

bool Platform::runs_on(const Platform& wanted) const {
    const Platform image = normalized();
    const Platform target = wanted.normalized();
    return image.os == target.os && image.architecture == target.architecture &&
           variant_number(image) <= variant_number(target);
}

int best_match(std::span<const Platform> candidates, const Platform& wanted) {
    int best = -1;
    int best_variant = -1;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const Platform candidate = candidates[i].normalized();
        const int variant = variant_number(candidate);
        if (candidate.runs_on(wanted) && variant > best_variant) {
            best = static_cast<int>(i);
            best_variant = variant;
        }
    }
    return best;
}

} // namespace berth::oci
