// SPDX-License-Identifier: Apache-2.0
// Compiled filters on disk. A file has the whole key in it, so that its short name need not be a
// cryptographic hash; a file that does not fit is compiled anew.
#include "base/file.h"
#include "base/strings.h"
#include "kernel/seccomp.h"

#include <seccomp.h>

#include <array>
#include <cstring>

#include <sys/utsname.h>

namespace berth::kernel {

namespace {

constexpr std::string_view magic = "berth seccomp 4\n";
constexpr std::size_t max_cache_file = 4U << 20;

void append_number(std::string& key, std::uint64_t number) {
    std::array<char, sizeof number> bytes;
    std::memcpy(bytes.data(), &number, sizeof number);
    key.append(bytes.data(), bytes.size());
}

void append_text(std::string& key, std::string_view text) {
    append_number(key, text.size());
    key += text;
}

void append_optional(std::string& key, const std::optional<std::uint32_t>& number) {
    append_number(key, number ? *number + std::uint64_t{1} : 0);
}

std::string key_of(const SeccompFilter& filter) {
    std::string key(magic);
    const scmp_version* version = ::seccomp_version();
    append_number(key, version->major * 1000000ULL + version->minor * 1000ULL + version->micro);
    utsname machine{};
    if (::uname(&machine) == 0) {
        append_text(key, machine.release);
        append_text(key, machine.machine);
    }
    append_text(key, filter.default_action);
    append_optional(key, filter.default_errno);
    append_text(key, join(filter.architectures, ","));
    append_text(key, join(filter.flags, ","));
    for (const SeccompFilterRule& rule : filter.rules) {
        append_text(key, join(rule.names, ","));
        append_text(key, rule.action);
        append_optional(key, rule.errno_value);
        append_number(key, rule.conditions.size());
        for (const SeccompCondition& condition : rule.conditions) {
            append_number(key, condition.argument);
            append_number(key, condition.value);
            append_number(key, condition.value_two);
            append_text(key, condition.operation);
        }
    }
    return key;
}

// FNV-1a.
std::uint64_t short_hash(std::string_view bytes) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (char byte : bytes) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    }
    return hash;
}

std::optional<SeccompProgram> decode(std::string_view file, std::string_view key) {
    std::uint64_t flags = 0;
    if (!file.starts_with(key) || file.size() < key.size() + sizeof flags) {
        return std::nullopt;
    }
    file.remove_prefix(key.size());
    std::memcpy(&flags, file.data(), sizeof flags);
    file.remove_prefix(sizeof flags);
    if (file.empty() || file.size() % 8 != 0) {
        return std::nullopt;
    }
    return SeccompProgram{std::string(file), static_cast<std::uint32_t>(flags)};
}

} // namespace

Result<SeccompProgram>
compile_seccomp_cached(const SeccompFilter& filter, const std::string& directory) {
    if (directory.empty()) {
        return compile_seccomp(filter);
    }
    std::string key = key_of(filter);
    std::string name(16, '0');
    std::uint64_t hash = short_hash(key);
    for (std::size_t i = name.size(); i-- > 0; hash >>= 4) {
        name[i] = "0123456789abcdef"[hash & 15];
    }
    std::string path = directory + "/" + name;
    Result<std::string> file = read_file(path, max_cache_file);
    if (file.ok()) {
        if (std::optional<SeccompProgram> program = decode(*file, key)) {
            return std::move(*program);
        }
    }
    SeccompProgram program = TRY(compile_seccomp(filter));
    std::string content = std::move(key);
    append_number(content, program.flags);
    content += program.instructions;
    // The cache is an optimisation: a disk that is full must not keep a container from starting.
    if (make_directories(directory, 0700).ok()) {
        [[maybe_unused]] Result<void> kept = replace_file(path, content, 0600, Sync::No);
    }
    return program;
}

} // namespace berth::kernel
