// SPDX-License-Identifier: Apache-2.0
// libseccomp builds the program; in front of it goes a few instructions that answer ENOSYS for
// system calls newer than any that the profile names. A C library that meets ENOSYS falls back to
// the older call; with EPERM it would give up. What comes out is then made smaller.
#include "kernel/seccomp.h"

#include "base/file.h"
#include "kernel/seccomp_optimizer.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

// BPF_MAXINSNS of the kernel.
constexpr std::size_t max_instructions = 4096;
constexpr std::uint32_t x32_bit = 0x40000000U;
constexpr std::size_t max_arguments = 6; // of a system call

struct ReleaseContext {
    void operator()(void* context) const { ::seccomp_release(context); }
};

using Context = std::unique_ptr<void, ReleaseContext>;

Result<std::uint32_t>
parse_action(const std::string& name, std::optional<std::uint32_t> errno_value) {
    std::uint32_t number = errno_value.value_or(EPERM) & 0xffffU;
    if (name == "SCMP_ACT_ALLOW") {
        return SCMP_ACT_ALLOW;
    }
    if (name == "SCMP_ACT_ERRNO") {
        return SCMP_ACT_ERRNO(number);
    }
    if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") {
        return SCMP_ACT_KILL_THREAD;
    }
    if (name == "SCMP_ACT_KILL_PROCESS") {
        return SCMP_ACT_KILL_PROCESS;
    }
    if (name == "SCMP_ACT_TRAP") {
        return SCMP_ACT_TRAP;
    }
    if (name == "SCMP_ACT_TRACE") {
        return SCMP_ACT_TRACE(number);
    }
    if (name == "SCMP_ACT_LOG") {
        return SCMP_ACT_LOG;
    }
    if (name == "SCMP_ACT_NOTIFY") {
        return SCMP_ACT_NOTIFY;
    }
    return invalid_argument("unknown action \"" + name + "\"");
}

Result<scmp_compare> parse_operation(const std::string& name) {
    static const std::map<std::string, scmp_compare> operations{
        {"SCMP_CMP_NE", SCMP_CMP_NE},
        {"SCMP_CMP_LT", SCMP_CMP_LT},
        {"SCMP_CMP_LE", SCMP_CMP_LE},
        {"SCMP_CMP_EQ", SCMP_CMP_EQ},
        {"SCMP_CMP_GE", SCMP_CMP_GE},
        {"SCMP_CMP_GT", SCMP_CMP_GT},
        {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
    auto found = operations.find(name);
    if (found == operations.end()) {
        return invalid_argument("unknown operator \"" + name + "\"");
    }
    return found->second;
}

Result<std::uint32_t> parse_architecture(const std::string& name) {
    constexpr std::string_view prefix = "SCMP_ARCH_";
    if (name.starts_with(prefix)) {
        std::string lower;
        for (char c : name.substr(prefix.size())) {
            lower += (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
        }
        if (std::uint32_t token = ::seccomp_arch_resolve_name(lower.c_str()); token != 0) {
            return token;
        }
    }
    return invalid_argument("unknown architecture \"" + name + "\"");
}

struct FlagName {
    std::string_view name;
    std::uint32_t flag;
};

// TSYNC is about other threads, of which init has none.
constexpr auto flag_names = std::to_array<FlagName>(
    {{"SECCOMP_FILTER_FLAG_TSYNC", 0},
     {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
     {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
     {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV}});

bool notifies(const SeccompFilter& filter) {
    return std::any_of(filter.rules.begin(), filter.rules.end(), [](const SeccompFilterRule& rule) {
        return rule.action == "SCMP_ACT_NOTIFY";
    });
}

Result<std::uint32_t> parse_flags(const SeccompFilter& filter) {
    std::uint32_t flags = notifies(filter) ? std::uint32_t{SECCOMP_FILTER_FLAG_NEW_LISTENER} : 0U;
    for (std::size_t i = 0; i < filter.flags.size(); ++i) {
        const auto* found =
            std::find_if(flag_names.begin(), flag_names.end(), [&](const FlagName& entry) {
                return entry.name == filter.flags[i];
            });
        if (found == flag_names.end()) {
            return invalid_argument(
                filter.name + ".flags[" + std::to_string(i) + "]: unknown flag \"" +
                filter.flags[i] + "\"");
        }
        flags |= found->flag;
    }
    if ((flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) != 0 && !notifies(filter)) {
        return invalid_argument(
            filter.name +
            ".flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY");
    }
    return flags;
}

// Most kernels have no x32 calls; a filter for them would be a third of the program, which the
// kernel checks and compiles for each container.
bool has_x32_calls() {
#if defined(__x86_64__)
    static const bool there = ::syscall(x32_bit | SYS_getpid) >= 0;
    return there;
#else
    return false;
#endif
}

Result<void> add_architectures(scmp_filter_ctx context, const SeccompFilter& filter) {
    for (std::size_t i = 0; i < filter.architectures.size(); ++i) {
        const std::string& name = filter.architectures[i];
        std::uint32_t token = TRY_CONTEXT(
            parse_architecture(name), filter.name + ".architectures[" + std::to_string(i) + "]");
        if (token == SCMP_ARCH_X32 && !has_x32_calls()) {
            // What remains of such calls (the bit in a number) is answered as the kernel does.
            ::seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
            continue;
        }
        int failed = ::seccomp_arch_add(context, token);
        if (failed < 0 && failed != -EEXIST) {
            return Error::from_errno("seccomp architecture " + name, -failed);
        }
    }
    return ok();
}

Result<void> check_conditions(const SeccompFilterRule& rule) {
    for (std::size_t i = 0; i < rule.conditions.size(); ++i) {
        const std::string member = "args[" + std::to_string(i) + "]";
        if (rule.conditions[i].argument >= max_arguments) {
            return invalid_argument(
                member + ".index: a system call has no argument " +
                std::to_string(rule.conditions[i].argument));
        }
        TRY_CONTEXT(parse_operation(rule.conditions[i].operation), member + ".op");
    }
    return ok();
}

// REQUIRES: checked conditions.
Result<void>
add_call(scmp_filter_ctx context, std::uint32_t action, int call, const SeccompFilterRule& rule) {
    std::vector<scmp_arg_cmp> conditions;
    std::array<int, max_arguments> uses{};
    for (const SeccompCondition& condition : rule.conditions) {
        ++uses[condition.argument];
        const auto operation = TRY(parse_operation(condition.operation));
        conditions.push_back({condition.argument, operation, condition.value, condition.value_two});
    }
    auto check = [&](int failed) -> Result<void> {
        // EEXIST: another rule said the same already.
        return failed < 0 && failed != -EEXIST
                   ? Result<void>(Error::from_errno("seccomp rule for " + rule.names[0], -failed))
                   : ok();
    };
    // libseccomp takes one condition for each argument; the specification means "or" when there
    // are more (runc: matchCall).
    if (std::any_of(uses.begin(), uses.end(), [](int count) { return count > 1; })) {
        for (const scmp_arg_cmp& condition : conditions) {
            TRY(check(::seccomp_rule_add_array(context, action, call, 1, &condition)));
        }
        return ok();
    }
    return check(::seccomp_rule_add_array(
        context, action, call, static_cast<unsigned>(conditions.size()), conditions.data()));
}

Result<void>
add_rules(scmp_filter_ctx context, const SeccompFilter& filter, std::uint32_t default_action) {
    for (std::size_t i = 0; i < filter.rules.size(); ++i) {
        const SeccompFilterRule& rule = filter.rules[i];
        const std::string member = filter.name + ".syscalls[" + std::to_string(i) + "]";
        std::uint32_t action =
            TRY_CONTEXT(parse_action(rule.action, rule.errno_value), member + ".action");
        TRY_CONTEXT(check_conditions(rule), member);
        if (action == default_action) {
            continue; // libseccomp refuses what says nothing new
        }
        for (const std::string& name : rule.names) {
            int call = ::seccomp_syscall_resolve_name(name.c_str());
            if (call != __NR_SCMP_ERROR) {
                TRY_CONTEXT(add_call(context, action, call, rule), member + ": " + name);
            }
        }
    }
    return ok();
}

Result<std::string> export_program(scmp_filter_ctx context) {
    UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) {
        return errno_error("memfd_create");
    }
    if (int failed = ::seccomp_export_bpf(context, file.get()); failed < 0) {
        return Error::from_errno("compile seccomp filter", -failed);
    }
    if (::lseek(file.get(), 0, SEEK_SET) < 0) {
        return errno_error("seccomp filter");
    }
    return read_all(file, max_instructions * sizeof(sock_filter));
}

// The highest system call of `architecture` that the profile names; -1 without one.
int highest_call(const SeccompFilter& filter, std::uint32_t architecture) {
    int highest = -1;
    for (const SeccompFilterRule& rule : filter.rules) {
        for (const std::string& name : rule.names) {
            highest =
                std::max(highest, ::seccomp_syscall_resolve_name_arch(architecture, name.c_str()));
        }
    }
    return highest;
}

// For each architecture:  if (arch == A && nr > highest && nr < x32_bit) return ENOSYS.
std::string unknown_call_stub(const SeccompFilter& filter) {
    constexpr std::uint16_t load = BPF_LD | BPF_W | BPF_ABS;
    constexpr std::uint16_t equal = BPF_JMP | BPF_JEQ | BPF_K;
    constexpr std::uint16_t greater = BPF_JMP | BPF_JGT | BPF_K;
    std::vector<std::uint32_t> tokens{::seccomp_arch_native()};
    for (const std::string& name : filter.architectures) {
        Result<std::uint32_t> token = parse_architecture(name);
        if (token.ok() && *token != SCMP_ARCH_X32 &&
            std::find(tokens.begin(), tokens.end(), *token) == tokens.end()) {
            tokens.push_back(*token);
        }
    }
    std::string program;
    auto emit = [&program](sock_filter instruction) {
        std::array<char, sizeof instruction> bytes;
        std::memcpy(bytes.data(), &instruction, sizeof instruction);
        program.append(bytes.data(), bytes.size());
    };
    for (std::uint32_t token : tokens) {
        int highest = highest_call(filter, token);
        if (highest < 0) {
            continue;
        }
        emit({load, 0, 0, offsetof(seccomp_data, arch)});
        emit({equal, 0, 4, token});
        emit({load, 0, 0, offsetof(seccomp_data, nr)});
        emit({greater, 0, 2, static_cast<std::uint32_t>(highest)});
        emit({greater, 1, 0, x32_bit - 1});
        emit({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS});
    }
    return program;
}

bool refuses_by_default(std::uint32_t action) {
    std::uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
    return action != SCMP_ACT_ERRNO(ENOSYS) &&
           (kind == SECCOMP_RET_ERRNO || kind == SECCOMP_RET_TRAP ||
            kind == SECCOMP_RET_KILL_THREAD || kind == SECCOMP_RET_KILL_PROCESS);
}

} // namespace

Result<SeccompProgram> compile_seccomp(const SeccompFilter& filter) {
    SeccompProgram program = TRY(compile_seccomp_unoptimized(filter));
    program.instructions = optimize_seccomp(program.instructions);
    return program;
}

Result<SeccompProgram> compile_seccomp_unoptimized(const SeccompFilter& filter) {
    std::uint32_t default_action = TRY_CONTEXT(
        parse_action(filter.default_action, filter.default_errno), filter.name + ".defaultAction");
    SeccompProgram program;
    program.flags = TRY(parse_flags(filter));
    Context context(::seccomp_init(default_action));
    if (!context) {
        return internal_error("libseccomp cannot start a filter");
    }
    TRY(add_architectures(context.get(), filter));
    // A binary tree instead of a list: fewer instructions on each system call.
    ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    TRY(add_rules(context.get(), filter, default_action));
    if (refuses_by_default(default_action)) {
        program.instructions = unknown_call_stub(filter);
    }
    program.instructions += TRY(export_program(context.get()));
    if (program.instructions.size() > max_instructions * sizeof(sock_filter)) {
        return Error(
            ErrorKind::ResourceExhausted,
            "seccomp profile compiles to more than " + std::to_string(max_instructions) +
                " instructions");
    }
    return program;
}

Result<UniqueFd> install_seccomp(const SeccompProgram& program) {
    sock_fprog raw{
        static_cast<unsigned short>(program.instructions.size() / sizeof(sock_filter)),
        // The kernel only reads; a std::string's storage is aligned for any scalar.
        const_cast<sock_filter*>(
            reinterpret_cast<const sock_filter*>(program.instructions.data()))};
    long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program.flags, &raw);
    if (result < 0) {
        return errno == EINVAL && program.flags != 0
                   ? errno_error("install seccomp filter (one of its flags or SCMP_ACT_NOTIFY is "
                                 "unknown to this kernel)")
                   : errno_error("install seccomp filter");
    }
    const bool listens = (program.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
    return listens ? UniqueFd(static_cast<int>(result)) : UniqueFd();
}

std::vector<std::string> known_seccomp_flags() {
    std::vector<std::string> known;
    for (const FlagName& entry : flag_names) {
        // Without a program the kernel gets as far as EFAULT when it knows the flags.
        const std::uint32_t flags =
            entry.flag == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
                ? entry.flag | std::uint32_t{SECCOMP_FILTER_FLAG_NEW_LISTENER}
                : entry.flag;
        if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, nullptr) < 0 &&
            errno == EFAULT) {
            known.emplace_back(entry.name);
        }
    }
    return known;
}

} // namespace berth::kernel
