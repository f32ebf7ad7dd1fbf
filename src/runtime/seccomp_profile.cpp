// SPDX-License-Identifier: Apache-2.0
// Docker's seccomp profile format: rules with conditions on architecture, capabilities and kernel,
// resolved to the specification's flat list. moby: profiles/seccomp/seccomp_linux.go.
#include "base/strings.h"
#include "base/synchronized.h"
#include "codec/json.h"
#include "runtime/default_seccomp_profile.h"
#include "runtime/defaults.h"

#include <algorithm>
#include <optional>

#include <sys/utsname.h>

namespace berth::runtime {

namespace {

struct Conditions {
    std::vector<std::string> caps;
    std::vector<std::string> arches;
    std::string min_kernel;
};

struct ProfileRule {
    std::vector<std::string> names;
    std::string name; // older profiles
    std::string action;
    std::optional<std::uint32_t> errno_ret;
    std::vector<oci::SeccompArgument> args;
    Conditions includes;
    Conditions excludes;
};

struct ArchitectureMap {
    std::string architecture;
    std::vector<std::string> sub_architectures;
};

struct Profile {
    std::string default_action;
    std::optional<std::uint32_t> default_errno_ret;
    std::vector<std::string> architectures;
    std::vector<ArchitectureMap> arch_map;
    std::vector<std::string> flags;
    std::vector<ProfileRule> syscalls;
};

} // namespace

} // namespace berth::runtime

namespace berth::json {

template <>
struct Fields<runtime::Conditions> {
    static constexpr auto table = std::tuple{
        field("caps", &runtime::Conditions::caps),
        field("arches", &runtime::Conditions::arches),
        field("minKernel", &runtime::Conditions::min_kernel)};
};

template <>
struct Fields<runtime::ProfileRule> {
    static constexpr auto table = std::tuple{
        field("names", &runtime::ProfileRule::names),
        field("name", &runtime::ProfileRule::name),
        field("action", &runtime::ProfileRule::action),
        field("errnoRet", &runtime::ProfileRule::errno_ret),
        field("args", &runtime::ProfileRule::args),
        field("includes", &runtime::ProfileRule::includes),
        field("excludes", &runtime::ProfileRule::excludes)};
};

template <>
struct Fields<runtime::ArchitectureMap> {
    static constexpr auto table = std::tuple{
        field("architecture", &runtime::ArchitectureMap::architecture),
        field("subArchitectures", &runtime::ArchitectureMap::sub_architectures)};
};

template <>
struct Fields<runtime::Profile> {
    static constexpr auto table = std::tuple{
        field("defaultAction", &runtime::Profile::default_action),
        field("defaultErrnoRet", &runtime::Profile::default_errno_ret),
        field("architectures", &runtime::Profile::architectures),
        field("archMap", &runtime::Profile::arch_map),
        field("flags", &runtime::Profile::flags),
        field("syscalls", &runtime::Profile::syscalls)};
};

} // namespace berth::json

namespace berth::runtime {

namespace {

struct Machine {
    std::string go_architecture; // Go's name, as profiles use it
    std::string scmp_architecture;
    int kernel_major = 0;
    int kernel_minor = 0;
};

Machine this_machine() {
    Machine machine;
    utsname names{};
    ::uname(&names);
    std::vector<std::string_view> release = split(names.release, '.');
    auto leading_number = [](std::string_view text) {
        std::size_t digits = 0;
        while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
            ++digits;
        }
        return parse_number<int>(text.substr(0, digits)).value_or(0);
    };
    machine.kernel_major = leading_number(release[0]);
    machine.kernel_minor = release.size() > 1 ? leading_number(release[1]) : 0;
#if defined(__x86_64__)
    machine.go_architecture = "amd64";
    machine.scmp_architecture = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
    machine.go_architecture = "arm64";
    machine.scmp_architecture = "SCMP_ARCH_AARCH64";
#elif defined(__riscv) && __riscv_xlen == 64
    machine.go_architecture = "riscv64";
    machine.scmp_architecture = "SCMP_ARCH_RISCV64";
#elif defined(__powerpc64__)
    machine.go_architecture = "ppc64le";
    machine.scmp_architecture = "SCMP_ARCH_PPC64LE";
#elif defined(__s390x__)
    machine.go_architecture = "s390x";
    machine.scmp_architecture = "SCMP_ARCH_S390X";
#endif
    return machine;
}

bool kernel_at_least(const Machine& machine, const std::string& version) {
    std::vector<std::string_view> parts = split(version, '.');
    int major = parse_number<int>(parts[0]).value_or(0);
    int minor = parts.size() > 1 ? parse_number<int>(parts[1]).value_or(0) : 0;
    return machine.kernel_major != major ? machine.kernel_major > major
                                         : machine.kernel_minor >= minor;
}

// Excludes: any match drops the rule. Includes: every kind that is named must match (for
// capabilities: all of them).
bool applies(
    const ProfileRule& rule, std::span<const std::string> capabilities, const Machine& machine) {
    const Conditions& out = rule.excludes;
    const Conditions& in = rule.includes;
    if (contains(out.arches, machine.go_architecture) ||
        std::any_of(
            out.caps.begin(),
            out.caps.end(),
            [&](const std::string& cap) { return contains(capabilities, cap); }) ||
        (!out.min_kernel.empty() && kernel_at_least(machine, out.min_kernel))) {
        return false;
    }
    if (!in.arches.empty() && !contains(in.arches, machine.go_architecture)) {
        return false;
    }
    if (!in.min_kernel.empty() && !kernel_at_least(machine, in.min_kernel)) {
        return false;
    }
    return std::all_of(in.caps.begin(), in.caps.end(), [&](const std::string& cap) {
        return contains(capabilities, cap);
    });
}

Result<std::vector<std::string>> architectures_of(const Profile& profile, const Machine& machine) {
    if (!profile.architectures.empty() && !profile.arch_map.empty()) {
        return invalid_argument("'architectures' and 'archMap' were specified in the seccomp "
                                "profile, use either 'architectures' or 'archMap'");
    }
    std::vector<std::string> architectures = profile.architectures;
    for (const ArchitectureMap& entry : profile.arch_map) {
        if (entry.architecture == machine.scmp_architecture) {
            architectures.push_back(entry.architecture);
            architectures.insert(
                architectures.end(),
                entry.sub_architectures.begin(),
                entry.sub_architectures.end());
        }
    }
    return architectures;
}

} // namespace

Result<oci::Seccomp>
resolve_seccomp(std::string_view profile_text, std::span<const std::string> capabilities) {
    Profile profile =
        TRY_CONTEXT(json::decode_text<Profile>(profile_text), "decoding seccomp profile failed");
    const Machine machine = this_machine();
    auto architectures = TRY(architectures_of(profile, machine));
    oci::Seccomp resolved{
        .default_action = profile.default_action,
        .default_errno_ret = profile.default_errno_ret,
        .architectures = std::move(architectures),
        .flags = profile.flags,
        .syscalls = {}};
    for (ProfileRule& rule : profile.syscalls) {
        if (!rule.name.empty() && !rule.names.empty()) {
            return invalid_argument("'name' and 'names' were specified in the seccomp profile, use "
                                    "either 'name' or 'names'");
        }
        if (!rule.name.empty()) {
            rule.names.push_back(rule.name);
        }
        if (applies(rule, capabilities, machine)) {
            resolved.syscalls.push_back(
                {std::move(rule.names),
                 std::move(rule.action),
                 rule.errno_ret,
                 std::move(rule.args)});
        }
    }
    return resolved;
}

Result<oci::Seccomp> default_seccomp(std::span<const std::string> capabilities) {
    // Containers mostly have the same capabilities, and reading the profile takes longer than
    // copying what became of it.
    struct Resolved {
        std::vector<std::string> capabilities;
        oci::Seccomp profile;
    };

    static Synchronized<std::optional<Resolved>> last;
    auto known = last.lock();
    if (!*known || !std::ranges::equal((*known)->capabilities, capabilities)) {
        oci::Seccomp profile = TRY(resolve_seccomp(default_seccomp_profile, capabilities));
        *known = Resolved{{capabilities.begin(), capabilities.end()}, std::move(profile)};
    }
    return (*known)->profile;
}

} // namespace berth::runtime
