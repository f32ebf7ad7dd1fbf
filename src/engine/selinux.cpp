// SPDX-License-Identifier: Apache-2.0
// After opencontainers/selinux: InitLabels, which dockerd and Podman share, and where they look for
// the policy's contexts.
#include "engine/selinux.h"

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"

#include <algorithm>
#include <array>

namespace berth::engine {
namespace {

constexpr std::uint64_t categories = 1024;
constexpr int most_attempts = 10'000; // there are half a million pairs
// No container gets these: files of one that is not confined are nobody else's.
constexpr std::string_view unconfined_level = "s0:c1022,c1023";

constexpr const char* own_contexts = "/usr/share/containers/selinux/contexts";
constexpr const char* configuration = "/etc/selinux/config";
constexpr std::size_t largest_file = 1U << 20;

// NAME=value of a file of settings, without quotation marks; "" where it is not there.
std::string setting(std::string_view text, std::string_view name) {
    for (const std::string_view line : split(text, '\n')) {
        const auto parts = cut(line, "=");
        if (!parts || trim(parts->before) != name) {
            continue;
        }
        std::string_view value = trim(parts->after);
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        return std::string(value);
    }
    return {};
}

Result<std::string> read_contexts() {
    if (exists(own_contexts)) {
        return read_file(own_contexts, largest_file);
    }
    const std::string text = TRY(read_file(configuration, largest_file));
    const std::string type = setting(text, "SELINUXTYPE");
    return read_file("/etc/selinux/" + type + "/contexts/lxc_contexts", largest_file);
}

std::string level_of(const std::string& label) {
    const auto context = SelinuxContext::parse(label);
    return context.ok() ? context->level : std::string();
}

Error bad_option(const std::string& option, std::string_view valid) {
    return invalid_argument(
        "bad label option \"" + option + "\", valid options " + std::string(valid));
}

// One option other than "disable".
Result<void>
apply_option(const std::string& option, SelinuxContext& process, SelinuxContext& file) {
    const auto parts = cut(option, ":");
    if (!parts) {
        return bad_option(
            option, "'disable' or 'user, role, level, type, filetype' followed by ':' and a value");
    }
    const std::string name(parts->before);
    const std::string value(parts->after);
    if (name == "user") {
        process.user = file.user = value;
    } else if (name == "role") {
        process.role = value;
    } else if (name == "level") {
        process.level = file.level = value;
    } else if (name == "type") {
        process.type = value;
    } else if (name == "filetype") {
        file.type = value;
    } else {
        return bad_option(name, "'disable, user, role, level, type, filetype'");
    }
    return ok();
}

} // namespace

Result<SelinuxContext> SelinuxContext::parse(std::string_view text) {
    std::array<std::string_view, 3> parts;
    std::string_view rest = text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::size_t end = std::min(rest.find(':'), rest.size());
        parts.at(i) = rest.substr(0, end);
        if (parts.at(i).empty() || (end == rest.size() && i + 1 < parts.size())) {
            return invalid_argument("\"" + std::string(text) + "\" is no SELinux context");
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return SelinuxContext{
        .user = std::string(parts[0]),
        .role = std::string(parts[1]),
        .type = std::string(parts[2]),
        .level = std::string(rest)};
}

std::string SelinuxContext::text() const {
    return user + ":" + role + ":" + type + (level.empty() ? "" : ":" + level);
}

Result<SelinuxPolicy> parse_selinux_policy(std::string_view text) {
    SelinuxContext process =
        TRY_CONTEXT(SelinuxContext::parse(setting(text, "process")), "process");
    SelinuxContext file = TRY_CONTEXT(SelinuxContext::parse(setting(text, "file")), "file");
    return SelinuxPolicy{.process = std::move(process), .file = std::move(file)};
}

std::vector<std::string> label_options(const std::vector<std::string>& security_options) {
    std::vector<std::string> options;
    for (const std::string& option : security_options) {
        if (option == "disable") {
            options.push_back(option);
        }
        // As for all of them, ":" was once the separator.
        for (const std::string_view start : {"label=", "label:"}) {
            if (option.starts_with(start)) {
                options.push_back(option.substr(start.size()));
            }
        }
    }
    return options;
}

std::vector<std::string> shared_label_options(const std::string& process_label) {
    const auto context = SelinuxContext::parse(process_label);
    if (!context.ok()) {
        return {};
    }
    std::vector<std::string> options{
        "user:" + context->user, "role:" + context->role, "type:" + context->type};
    if (!context->level.empty()) {
        options.push_back("level:" + context->level);
    }
    return options;
}

std::string shared_file_label(const std::string& mount_label) {
    auto context = SelinuxContext::parse(mount_label);
    if (!context.ok()) {
        return {};
    }
    context->level = context->level.empty() ? "" : "s0";
    return context->text();
}

bool has_selinux() {
    return exists("/sys/fs/selinux/enforce");
}

Result<std::unique_ptr<SelinuxLabeler>> SelinuxLabeler::open(bool wanted) {
    if (!wanted) {
        return std::make_unique<SelinuxLabeler>();
    }
    if (!has_selinux()) {
        log::warn("SELinux cannot be enabled: the kernel has none here, ignoring");
        return std::make_unique<SelinuxLabeler>();
    }
    const std::string text = TRY_CONTEXT(read_contexts(), "--selinux-enabled");
    return std::make_unique<SelinuxLabeler>(TRY_CONTEXT(
        parse_selinux_policy(text), "--selinux-enabled: the policy's contexts for containers"));
}

Result<SelinuxLabels> SelinuxLabeler::make(const std::vector<std::string>& options) {
    if (!policy_) {
        return SelinuxLabels();
    }
    SelinuxContext process = policy_->process;
    SelinuxContext file = policy_->file;
    if (std::ranges::find(options, "disable") != options.end()) {
        file.level = file.level.empty() ? "" : unconfined_level;
        return SelinuxLabels{.process = {}, .mount = file.text()};
    }
    bool has_level = false;
    for (const std::string& option : options) {
        TRY(apply_option(option, process, file));
        has_level = has_level || option.starts_with("level:");
    }
    if (has_level) {
        reserve(process.text());
    } else if (!process.level.empty()) {
        process.level = file.level = TRY(unused_level());
    }
    return SelinuxLabels{.process = process.text(), .mount = file.text()};
}

Result<std::string> SelinuxLabeler::unused_level() {
    auto levels = levels_.lock();
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        std::uint64_t first = random_u64() % (categories - 2);
        std::uint64_t second = random_u64() % (categories - 2);
        if (first > second) {
            std::swap(first, second);
        }
        std::string level = "s0:c" + std::to_string(first) + ",c" + std::to_string(second);
        if (first != second && !levels->contains(level)) {
            levels->insert(level);
            return level;
        }
    }
    return Error(ErrorKind::ResourceExhausted, "no SELinux categories are left for a container");
}

void SelinuxLabeler::reserve(const std::string& label) {
    if (std::string level = level_of(label); !level.empty()) {
        levels_.lock()->insert(std::move(level));
    }
}

void SelinuxLabeler::release(const std::string& label) {
    auto levels = levels_.lock();
    if (const auto found = levels->find(level_of(label)); found != levels->end()) {
        levels->erase(found);
    }
}

} // namespace berth::engine
