// SPDX-License-Identifier: Apache-2.0
// System call filters: rules compiled by libseccomp to a BPF program, which is made smaller and
// installed. Compiling takes milliseconds, installing a compiled program does not.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::kernel {

struct SeccompCondition {
    std::uint32_t argument = 0;
    std::uint64_t value = 0;
    std::uint64_t value_two = 0;
    std::string operation; // SCMP_CMP_*
};

struct SeccompFilterRule {
    std::vector<std::string> names;
    std::string action; // SCMP_ACT_*
    std::optional<std::uint32_t> errno_value;
    std::vector<SeccompCondition> conditions;
};

struct SeccompFilter {
    std::string name = "seccomp"; // what errors call it: "seccomp.flags[0]: …"
    std::string default_action;
    std::optional<std::uint32_t> default_errno;
    std::vector<std::string> architectures; // SCMP_ARCH_*; the native one is always in
    std::vector<std::string> flags;         // SECCOMP_FILTER_FLAG_*
    std::vector<SeccompFilterRule> rules;
};

struct SeccompProgram {
    std::string instructions; // array of sock_filter
    std::uint32_t flags = 0;  // of seccomp(2)
};

// System calls that this libseccomp does not know are left out.
Result<SeccompProgram> compile_seccomp(const SeccompFilter& filter);

// As libseccomp makes it, before it is made smaller.
Result<SeccompProgram> compile_seccomp_unoptimized(const SeccompFilter& filter);

// For the calling thread. Needs no_new_privs or CAP_SYS_ADMIN. A program with SCMP_ACT_NOTIFY
// yields the descriptor of its listener.
Result<UniqueFd> install_seccomp(const SeccompProgram& program);

// SECCOMP_FILTER_FLAG_* that this kernel takes.
std::vector<std::string> known_seccomp_flags();

// compile_seccomp() with a cache of compiled programs in `directory` (made 0700), keyed by the
// filter's whole content, the kernel release and this library's version. "": no cache.
Result<SeccompProgram>
compile_seccomp_cached(const SeccompFilter& filter, const std::string& directory);

} // namespace berth::kernel
