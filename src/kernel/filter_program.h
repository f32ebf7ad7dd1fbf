// SPDX-License-Identifier: Apache-2.0
// What a system call filter (classic BPF over seccomp_data) decides, told without running it in the
// kernel, for the programs that libseccomp makes: words of seccomp_data are loaded, masked and
// compared with constants, and all jumps go forward.
#pragma once

#include <linux/filter.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace berth::kernel {

using FilterProgram = std::vector<sock_filter>;

// The instructions of such programs; every other code makes a program an unknown one.
enum FilterCode : std::uint16_t {
    LoadWord = BPF_LD | BPF_W | BPF_ABS,
    MaskBits = BPF_ALU | BPF_AND | BPF_K,
    ReturnAction = BPF_RET | BPF_K,
    JumpAlways = BPF_JMP | BPF_JA,
    JumpEqual = BPF_JMP | BPF_JEQ | BPF_K,
    JumpGreater = BPF_JMP | BPF_JGT | BPF_K,
    JumpAtLeast = BPF_JMP | BPF_JGE | BPF_K,
    JumpAnyBit = BPF_JMP | BPF_JSET | BPF_K,
};

// The indices of what may come after the instruction at `index`: where its condition holds, and
// where not. Both are the same without a condition; those of a return mean nothing.
std::pair<std::uint64_t, std::uint64_t>
filter_successors(const FilterProgram& program, std::uint64_t index);

// The values that a program tells apart.
struct FilterConstants {
    std::vector<std::uint32_t> architectures; // it is asked for, sorted
    // Sorted, the first is 0: system call numbers from one up to the next are all the same to each
    // comparison of the program.
    std::vector<std::uint32_t> number_bounds;
};

// nullopt: not a program that the functions below understand.
std::optional<FilterConstants> filter_constants(const FilterProgram& program);

// One that is none of `architectures`. REQUIRES: they are sorted.
std::uint32_t other_architecture(const std::vector<std::uint32_t>& architectures);

// What architecture and number alone decide: an action, or that the program goes on at the
// instruction `value`, which loads something else (an argument) over all that was loaded before.
struct FilterDecision {
    bool returns = false;
    std::uint32_t value = 0; // the action, or the instruction's index

    friend auto operator<=>(const FilterDecision&, const FilterDecision&) = default;
};

// REQUIRES: filter_constants(program).
FilterDecision
filter_decision(const FilterProgram& program, std::uint32_t architecture, std::uint32_t number);

// Proves that two programs answer every system call in the same way. False: they do not, or there
// is no proof.
bool decide_alike(const FilterProgram& left, const FilterProgram& right);

} // namespace berth::kernel
