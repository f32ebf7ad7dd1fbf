// SPDX-License-Identifier: Apache-2.0
// A program that was made smaller decides what libseccomp's does. The profile that containers get
// is tested in runtime/seccomp_program_test.cpp.
#include "base/file.h"
#include "kernel/seccomp.h"
#include "kernel/seccomp_optimizer.h"
#include "kernel/seccomp_test_support.h"

#include <gtest/gtest.h>
#include <seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::kernel {

namespace {

using Random = std::mt19937;

template <class T>
T one_of(Random& random, const std::vector<T>& values) {
    return values[random() % values.size()];
}

const std::vector<std::uint64_t> condition_values{
    0, 1, 2, 0x27, 0x80, 0x20008, 0xffffffff, 0x100000000, 0x1234500000001, 0xffffffffffffffff};

SeccompCondition random_condition(Random& random, std::uint32_t argument) {
    return {
        argument,
        one_of(random, condition_values),
        one_of(random, condition_values),
        one_of<std::string>(
            random,
            {"SCMP_CMP_NE",
             "SCMP_CMP_LT",
             "SCMP_CMP_LE",
             "SCMP_CMP_EQ",
             "SCMP_CMP_GE",
             "SCMP_CMP_GT",
             "SCMP_CMP_MASKED_EQ"})};
}

// Neighbors, as lists of calls have them, with gaps.
std::vector<std::string> random_calls(Random& random) {
    std::vector<std::string> names;
    const int first = static_cast<int>(random() % 450);
    const int count = 1 + static_cast<int>(random() % 60);
    for (int number = first; number < first + count; ++number) {
        char* name = ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        if (name != nullptr && random() % 5 != 0) {
            names.emplace_back(name);
        }
        std::free(name); // NOLINT(cppcoreguidelines-no-malloc): libseccomp's
    }
    return names;
}

SeccompFilter random_filter(unsigned seed) {
    Random random(seed);
    const std::vector<std::string> actions{
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_TRAP",
        "SCMP_ACT_LOG",
        "SCMP_ACT_TRACE"};
    SeccompFilter filter;
    filter.default_action = one_of(random, actions);
    if (random() % 2 == 0) {
        filter.default_errno = ENOSYS;
    }
    for (const char* architecture :
         {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"}) {
        if (random() % 2 == 0) {
            filter.architectures.emplace_back(architecture);
        }
    }
    for (std::size_t i = 4 + random() % 12; i > 0; --i) {
        SeccompFilterRule& rule = filter.rules.emplace_back();
        rule.names = random_calls(random);
        rule.action = one_of(random, actions);
        rule.errno_value = static_cast<std::uint32_t>(1 + random() % 100);
        if (random() % 2 == 0) {
            rule.names.resize(std::min<std::size_t>(rule.names.size(), 3));
            for (std::uint32_t argument = 0; argument < 6; ++argument) {
                if (random() % 4 == 0) {
                    rule.conditions.push_back(random_condition(random, argument));
                }
            }
        }
    }
    return filter;
}

std::size_t size_of(const std::string& program) {
    return program.size() / sizeof(sock_filter);
}

TEST(SeccompOptimizer, RandomProfilesDecideTheSame) {
    CallGrid grid;
    grid.add_arguments(condition_values, 300);
    int compiled = 0;
    for (unsigned seed = 0; seed < 60; ++seed) {
        const SeccompFilter filter = random_filter(seed);
        const Result<SeccompProgram> original = compile_seccomp_unoptimized(filter);
        const Result<SeccompProgram> smaller = compile_seccomp(filter);
        ASSERT_EQ(original.ok(), smaller.ok());
        if (!original.ok()) {
            continue; // libseccomp finds a contradiction in some
        }
        ++compiled;
        EXPECT_EQ(original->flags, smaller->flags);
        EXPECT_LT(smaller->instructions.size(), original->instructions.size()) << "seed " << seed;
        EXPECT_EQ(first_difference(original->instructions, smaller->instructions, grid), "")
            << "seed " << seed;
    }
    EXPECT_GE(compiled, 50);
}

// A list of calls, or a tree, for the calls of x86-64 and x32, which differ by a bit in the number.
std::string with_x32(std::uint32_t optimization) {
    scmp_filter_ctx context = ::seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    ::seccomp_arch_remove(context, SCMP_ARCH_NATIVE);
    ::seccomp_arch_add(context, SCMP_ARCH_X86_64);
    ::seccomp_arch_add(context, SCMP_ARCH_X32);
    ::seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, optimization);
    for (const char* name :
         {"read", "write", "open", "close", "execve", "ioctl", "ptrace", "brk", "rt_sigaction"}) {
        ::seccomp_rule_add(context, SCMP_ACT_ALLOW, ::seccomp_syscall_resolve_name(name), 0);
    }
    const int personality = ::seccomp_syscall_resolve_name("personality");
    ::seccomp_rule_add(
        context, SCMP_ACT_ALLOW, personality, 1, scmp_arg_cmp{0, SCMP_CMP_EQ, 0x20008, 0});
    UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
    EXPECT_EQ(::seccomp_export_bpf(context, file.get()), 0);
    ::seccomp_release(context);
    ::lseek(file.get(), 0, SEEK_SET);
    return *read_all(file, 1U << 16);
}

TEST(SeccompOptimizer, X32CallsAreDecidedAsInAList) {
    CallGrid grid;
    grid.add_arguments({0x20008}, 100);
    const std::string tree = with_x32(2);
    const std::string smaller = optimize_seccomp(tree);
    EXPECT_LT(size_of(smaller), size_of(tree));
    EXPECT_EQ(first_difference(with_x32(1), smaller, grid), "");
}

constexpr std::uint32_t number_word = offsetof(seccomp_data, nr);
constexpr std::uint32_t architecture_word = offsetof(seccomp_data, arch);
constexpr std::uint32_t argument_word = offsetof(seccomp_data, args);

// Hardly any two neighbors have the same answer, and some answers need an argument.
std::vector<sock_filter> scattered_program() {
    Random random(7);
    std::vector<sock_filter> program{
        {0x20, 0, 0, architecture_word},
        {0x15, 1, 0, AUDIT_ARCH_X86_64},
        {0x06, 0, 0, SECCOMP_RET_KILL_PROCESS},
        {0x20, 0, 0, number_word}};
    for (std::uint32_t number = 0; number < 1000; ++number) {
        program.push_back({0x15, 0, 1, number});
        if (number % 50 == 3) {
            program.push_back({0x05, 0, 0, 0}); // its target follows
        } else {
            program.push_back(
                {0x06, 0, 0, SECCOMP_RET_ERRNO + static_cast<std::uint32_t>(random() % 4)});
        }
    }
    program.push_back({0x06, 0, 0, SECCOMP_RET_ALLOW});
    // Different arguments, then the same masks and comparisons.
    std::uint32_t part = 0;
    for (std::size_t i = 0; i < program.size(); ++i) {
        if (program[i].code == 0x05) {
            program[i].k = static_cast<std::uint32_t>(program.size() - i - 1);
            program.push_back({0x20, 0, 0, argument_word + 4 * (part % 7)});
            program.push_back({0x54, 0, 0, 0xff});
            program.push_back({0x45, 1, 0, part % 3});
            program.push_back({0x06, 0, 0, SECCOMP_RET_LOG});
            program.push_back({0x06, 0, 0, SECCOMP_RET_ERRNO});
            ++part;
        }
    }
    return program;
}

TEST(SeccompOptimizer, JumpsOfAnyDistanceReachWhatTheyShould) {
    CallGrid grid;
    grid.add_arguments({0, 1, 2, 3, 4, 0x100}, 100);
    const std::string original = bytes_of(scattered_program());
    const std::string smaller = optimize_seccomp(original);
    EXPECT_LT(size_of(smaller), size_of(original));
    EXPECT_GT(size_of(smaller), 512U) << "too small to try what is tested";
    EXPECT_EQ(first_difference(original, smaller, grid), "");
}

// Long enough to be made smaller, when nothing is wrong with it.
std::vector<sock_filter> plain_program() {
    std::vector<sock_filter> program{
        {0x20, 0, 0, architecture_word},
        {0x15, 1, 0, AUDIT_ARCH_X86_64},
        {0x06, 0, 0, SECCOMP_RET_KILL_PROCESS},
        {0x20, 0, 0, number_word}};
    for (std::uint32_t number = 0; number < 20; ++number) {
        program.push_back({0x15, 0, 1, number});
        program.push_back({0x06, 0, 0, SECCOMP_RET_ALLOW});
    }
    program.push_back({0x06, 0, 0, SECCOMP_RET_ERRNO});
    return program;
}

TEST(SeccompOptimizer, NeighborsWithOneAnswerAreARange) {
    // Load and compare the architecture, load and compare the number, three actions.
    EXPECT_EQ(size_of(optimize_seccomp(bytes_of(plain_program()))), 7U);
}

TEST(SeccompOptimizer, UnknownProgramsStayAsTheyAre) {
    struct Case {
        const char* what;
        std::size_t index;
        sock_filter instruction;
    };

    const auto last = static_cast<std::uint32_t>(plain_program().size() - 1);
    for (const Case& test : std::vector<Case>{
             {"a half word", 3, {0x28, 0, 0, number_word}},
             {"a word at an index", 3, {0x40, 0, 0, number_word}},
             {"the length", 3, {0x80, 0, 0, 0}},
             {"a word that is not aligned", 3, {0x20, 0, 0, 2}},
             {"a word behind the data", 3, {0x20, 0, 0, sizeof(seccomp_data)}},
             {"the other register", 3, {0x01, 0, 0, 0}},
             {"a word of memory", 3, {0x60, 0, 0, 0}},
             {"storing a word", 4, {0x02, 0, 0, 0}},
             {"a move to the other register", 4, {0x07, 0, 0, 0}},
             {"an addition", 4, {0x04, 0, 0, 1}},
             {"bits of the number", 4, {0x54, 0, 0, 0xff}},
             {"any bit of the number", 4, {0x45, 0, 1, 4}},
             {"a comparison with the other register", 4, {0x1d, 0, 1, 0}},
             {"the order of architectures", 1, {0x25, 1, 0, AUDIT_ARCH_X86_64}},
             {"bits of the architecture", 1, {0x54, 0, 0, 0xff}},
             {"a conditional jump to nowhere", last - 2, {0x15, 0, 2, 0}},
             {"a jump to nowhere", last - 2, {0x05, 0, 0, 2}},
             {"a jump back", last - 2, {0x05, 0, 0, 0xfffffff0U}},
             {"an end without an answer", last, {0x54, 0, 0, 0}},
             {"what the register holds as the answer", last, {0x16, 0, 0, 0}}}) {
        std::vector<sock_filter> program = plain_program();
        program[test.index] = test.instruction;
        EXPECT_EQ(optimize_seccomp(bytes_of(program)), bytes_of(program)) << test.what;
    }
    const std::string whole = bytes_of(plain_program());
    for (std::size_t size : {std::size_t{0}, std::size_t{7}, whole.size() - 8, whole.size() - 1}) {
        EXPECT_EQ(optimize_seccomp(whole.substr(0, size)), whole.substr(0, size)) << size;
    }
    EXPECT_EQ(optimize_seccomp(whole + "x"), whole + "x");
}

TEST(SeccompOptimizer, WhatIsSmallAlreadyStaysAsItIs) {
    for (const std::vector<sock_filter>& program :
         {std::vector<sock_filter>{{0x06, 0, 0, SECCOMP_RET_ALLOW}},
          instructions_of(optimize_seccomp(bytes_of(plain_program())))}) {
        EXPECT_EQ(optimize_seccomp(bytes_of(program)), bytes_of(program));
    }
}

TEST(SeccompOptimizer, TheKernelTakesTheProgramAndObeysIt) {
    const SeccompFilter filter{
        .default_action = "SCMP_ACT_ALLOW",
        .default_errno = {},
        .architectures = {},
        .flags = {},
        .rules = {
            {{"mkdir", "mkdirat"}, "SCMP_ACT_ERRNO", EDOM, {}},
            {{"getsid", "getpgid", "getpgrp"}, "SCMP_ACT_ERRNO", ENOTTY, {}},
            {{"symlink", "symlinkat", "link", "linkat"}, "SCMP_ACT_KILL_PROCESS", {}, {}},
            {{"personality"}, "SCMP_ACT_ERRNO", ENOMEDIUM, {{0, PER_LINUX32, 0, "SCMP_CMP_EQ"}}}}};
    const SeccompProgram program = *compile_seccomp(filter);
    ASSERT_LT(
        program.instructions.size(), compile_seccomp_unoptimized(filter)->instructions.size());
    EXPECT_EQ(under_program(program, [] { return ::mkdir("/", 0700); }), EDOM);
    EXPECT_EQ(under_program(program, [] { return ::getsid(0); }), ENOTTY);
    EXPECT_EQ(under_program(program, [] { return ::getpid(); }), 0);
    EXPECT_EQ(under_program(program, [] { return ::chdir("/nowhere"); }), ENOENT);
    EXPECT_EQ(under_program(program, [] { return ::symlink("a", "/nowhere/a"); }), -SIGSYS);
    EXPECT_EQ(under_program(program, [] { return ::personality(PER_LINUX32); }), ENOMEDIUM);
    EXPECT_EQ(under_program(program, [] { return ::personality(0xffffffff); }), 0);
}

} // namespace

} // namespace berth::kernel
