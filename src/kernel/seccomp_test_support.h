// SPDX-License-Identifier: Apache-2.0
// Runs system call filters on calls that nobody makes, and on calls of a child. The interpreter is
// written from the kernel's description of classic BPF and shares nothing with what is tested.
#pragma once

#include "kernel/seccomp.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::kernel {

using CallArguments = std::array<std::uint64_t, 6>;

struct FilterAnswer {
    std::uint32_t action = 0;
    bool looks_at_arguments = false;
};

inline std::vector<sock_filter> instructions_of(std::string_view bytes) {
    std::vector<sock_filter> instructions(bytes.size() / sizeof(sock_filter));
    std::memcpy(instructions.data(), bytes.data(), instructions.size() * sizeof(sock_filter));
    return instructions;
}

inline std::string bytes_of(const std::vector<sock_filter>& instructions) {
    return {
        reinterpret_cast<const char*>(instructions.data()),
        instructions.size() * sizeof(sock_filter)};
}

// https://www.kernel.org/doc/html/latest/networking/filter.html
inline FilterAnswer
filter_answer(const std::vector<sock_filter>& program, const seccomp_data& data) {
    std::array<std::uint32_t, sizeof data / sizeof(std::uint32_t)> words;
    std::memcpy(words.data(), &data, sizeof data);
    FilterAnswer answer;
    std::uint32_t a = 0;
    for (std::size_t pc = 0; pc < program.size(); ++pc) {
        const auto [code, jt, jf, k] = program[pc];
        if (code == 0x20) { // ld [k]
            a = words.at(k / sizeof(std::uint32_t));
            answer.looks_at_arguments |= k > 4;
        } else if (code == 0x54) { // and #k
            a &= k;
        } else if (code == 0x05) { // ja k
            pc += k;
        } else if (code == 0x15) { // jeq #k
            pc += a == k ? jt : jf;
        } else if (code == 0x25) { // jgt #k
            pc += a > k ? jt : jf;
        } else if (code == 0x35) { // jge #k
            pc += a >= k ? jt : jf;
        } else if (code == 0x45) { // jset #k
            pc += (a & k) != 0 ? jt : jf;
        } else if (code == 0x06) { // ret #k
            answer.action = k;
            return answer;
        } else {
            ADD_FAILURE() << "instruction " << code;
            return answer;
        }
    }
    ADD_FAILURE() << "the program has no end";
    return answer;
}

// Calls to try: each architecture with each number, and with each of the arguments where a program
// looks at these.
struct CallGrid {
    std::vector<std::uint32_t> architectures{
        AUDIT_ARCH_X86_64,
        AUDIT_ARCH_I386,
        AUDIT_ARCH_AARCH64,
        AUDIT_ARCH_ARM,
        0,
        AUDIT_ARCH_X86_64 + 1,
        AUDIT_ARCH_I386 - 1,
        0xffffffffU};
    std::vector<std::uint32_t> numbers;
    std::vector<CallArguments> arguments;

    CallGrid() {
        for (std::uint32_t number = 0; number < 1024; ++number) {
            numbers.push_back(number);
            numbers.push_back(0x40000000U + number); // x32
        }
        for (std::uint32_t power = 10; power < 32; ++power) {
            numbers.insert(
                numbers.end(), {(1U << power) - 1, 1U << power, (1U << power) + 1, -(1U << power)});
        }
        numbers.insert(numbers.end(), {0xfffffffeU, 0xffffffffU});
    }

    // All that a comparison with these constants can tell apart, in all arguments at once and
    // mixed.
    void add_arguments(const std::vector<std::uint64_t>& constants, std::size_t mixtures) {
        std::vector<std::uint64_t> values{0, ~std::uint64_t{0}, 0xffffffffU, 0xffffffff00000000U};
        for (std::uint64_t constant : constants) {
            const std::uint64_t low = constant & 0xffffffffU;
            values.insert(
                values.end(),
                {constant - 1,
                 constant,
                 constant + 1,
                 ~constant,
                 low,
                 low + (1ULL << 32),
                 constant + (1ULL << 32),
                 constant - (1ULL << 32),
                 constant << 32});
        }
        for (std::uint64_t value : values) {
            arguments.push_back({value, value, value, value, value, value});
        }
        std::mt19937_64 random(1); // NOLINT(cert-msc51-cpp): the same in each run
        for (std::size_t i = 0; i < mixtures; ++i) {
            CallArguments& mixture = arguments.emplace_back();
            for (std::uint64_t& argument : mixture) {
                argument = values[random() % values.size()];
            }
        }
    }
};

// "" when the two programs answer all these calls in the same way.
inline std::string
first_difference(std::string_view left_bytes, std::string_view right_bytes, const CallGrid& grid) {
    const std::vector<sock_filter> left = instructions_of(left_bytes);
    const std::vector<sock_filter> right = instructions_of(right_bytes);
    seccomp_data data{};
    auto differ = [&] {
        const FilterAnswer l = filter_answer(left, data);
        const FilterAnswer r = filter_answer(right, data);
        return l.action != r.action;
    };
    auto tell = [&] {
        std::ostringstream text;
        text << std::hex << "architecture " << data.arch << " number " << data.nr << " arguments";
        for (std::uint64_t argument : data.args) {
            text << " " << argument;
        }
        text << ": " << filter_answer(left, data).action << " and "
             << filter_answer(right, data).action;
        return text.str();
    };
    for (std::uint32_t architecture : grid.architectures) {
        for (std::uint32_t number : grid.numbers) {
            data = {static_cast<int>(number), architecture, 0, {}};
            if (differ()) {
                return tell();
            }
            if (!filter_answer(left, data).looks_at_arguments &&
                !filter_answer(right, data).looks_at_arguments) {
                continue;
            }
            for (const CallArguments& arguments : grid.arguments) {
                std::memcpy(data.args, arguments.data(), sizeof data.args);
                data.instruction_pointer = arguments[5];
                if (differ()) {
                    return tell();
                }
            }
        }
    }
    return "";
}

// errno of the call under `program` in a child, 0 without one; -SIGSYS where it was killed.
template <class Call>
int under_program(const SeccompProgram& program, const Call& call) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !install_seccomp(program).ok()) {
            ::_exit(255);
        }
        errno = 0;
        ::_exit(call() < 0 ? errno : 0);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

} // namespace berth::kernel
