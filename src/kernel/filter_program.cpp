// SPDX-License-Identifier: Apache-2.0
// The proof has two halves. Until a program loads an argument it depends on the architecture and
// the number alone, and it compares these with constants only: any number of an interval between
// the constants of both programs stands for the whole interval (its first and its last are asked
// about). From the first load of an argument on, the two programs are walked in lockstep, and must
// have the same instructions.
#include "kernel/filter_program.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <set>
#include <utility>

namespace berth::kernel {

namespace {

constexpr std::uint32_t number_offset = offsetof(seccomp_data, nr);
constexpr std::uint32_t architecture_offset = offsetof(seccomp_data, arch);

// What the accumulator may hold before an instruction, by whichever way it was reached.
enum Held : std::uint8_t {
    HeldNothing = 1,
    HeldNumber = 2,
    HeldArchitecture = 4,
    HeldArgument = 8
};

std::uint8_t held_after(std::uint32_t offset) {
    return offset == number_offset         ? HeldNumber
           : offset == architecture_offset ? HeldArchitecture
                                           : HeldArgument;
}

bool is_branch(std::uint16_t code) {
    return code == JumpEqual || code == JumpGreater || code == JumpAtLeast || code == JumpAnyBit;
}

bool is_known(const sock_filter& instruction) {
    switch (instruction.code) {
    case LoadWord:
        return instruction.k % sizeof(std::uint32_t) == 0 && instruction.k < sizeof(seccomp_data);
    case MaskBits:
    case ReturnAction:
    case JumpAlways:
        return true;
    default:
        return is_branch(instruction.code);
    }
}

// Every instruction is known and stays within the program, also one that is never reached.
bool is_well_formed(const FilterProgram& program) {
    for (std::uint64_t i = 0; i < program.size(); ++i) {
        if (!is_known(program[i])) {
            return false;
        }
        const auto [yes, no] = filter_successors(program, i);
        if (program[i].code != ReturnAction && std::max(yes, no) >= program.size()) {
            return false;
        }
    }
    return !program.empty();
}

bool holds(const sock_filter& branch, std::uint32_t accumulator) {
    switch (branch.code) {
    case JumpEqual:
        return accumulator == branch.k;
    case JumpGreater:
        return accumulator > branch.k;
    case JumpAtLeast:
        return accumulator >= branch.k;
    default:
        return (accumulator & branch.k) != 0;
    }
}

// The comparisons of what is sorted into intervals or equal values must be by equality and order.
bool can_be_sorted(const sock_filter& instruction, std::uint8_t held) {
    switch (instruction.code) {
    case MaskBits:
    case JumpAnyBit:
        return held == HeldArgument;
    case JumpGreater:
    case JumpAtLeast:
        return (held & HeldArchitecture) == 0;
    default:
        return true;
    }
}

std::vector<std::uint32_t> sorted(const std::set<std::uint32_t>& numbers) {
    return {numbers.begin(), numbers.end()};
}

std::vector<std::uint32_t>
merged(std::vector<std::uint32_t> numbers, const std::vector<std::uint32_t>& more) {
    std::set<std::uint32_t> all(more.begin(), more.end());
    all.insert(numbers.begin(), numbers.end());
    return sorted(all);
}

std::uint64_t after_jumps(const FilterProgram& program, std::uint64_t index) {
    while (program[index].code == JumpAlways) {
        index = filter_successors(program, index).first;
    }
    return index;
}

// Pairs of instructions of two programs that must do the same. Where both instructions are the same
// and the accumulator was, it is afterwards, and both take the same way: so it is enough that the
// instructions are the same in all pairs that can be reached. Jumps go forward, so there are no
// more pairs than instructions of the one times those of the other.
class Lockstep {
  public:
    Lockstep(const FilterProgram& left, const FilterProgram& right)
        : left_(left)
        , right_(right) {}

    // REQUIRES: both begin with a load, so that it does not matter what the accumulator was.
    bool same(std::uint64_t left, std::uint64_t right) {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> waiting{{left, right}};
        while (!waiting.empty()) {
            const std::uint64_t l = after_jumps(left_, waiting.back().first);
            const std::uint64_t r = after_jumps(right_, waiting.back().second);
            waiting.pop_back();
            if (!seen_.emplace(l, r).second) {
                continue;
            }
            if (left_[l].code != right_[r].code || left_[l].k != right_[r].k) {
                return false;
            }
            if (left_[l].code != ReturnAction) {
                const auto [left_yes, left_no] = filter_successors(left_, l);
                const auto [right_yes, right_no] = filter_successors(right_, r);
                waiting.emplace_back(left_yes, right_yes);
                waiting.emplace_back(left_no, right_no);
            }
        }
        return true;
    }

  private:
    const FilterProgram& left_;
    const FilterProgram& right_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> seen_;
};

} // namespace

std::pair<std::uint64_t, std::uint64_t>
filter_successors(const FilterProgram& program, std::uint64_t index) {
    const sock_filter& instruction = program[index];
    const std::uint64_t next = index + 1;
    if (instruction.code == JumpAlways) {
        return {next + instruction.k, next + instruction.k};
    }
    if (is_branch(instruction.code)) {
        return {next + instruction.jt, next + instruction.jf};
    }
    return {next, next};
}

std::optional<FilterConstants> filter_constants(const FilterProgram& program) {
    if (!is_well_formed(program)) {
        return std::nullopt;
    }
    std::set<std::uint32_t> architectures;
    std::set<std::uint32_t> bounds{0};
    std::vector<std::uint8_t> held(program.size(), 0);
    held[0] = HeldNothing;
    for (std::uint64_t i = 0; i < program.size(); ++i) {
        const sock_filter& instruction = program[i];
        if (held[i] == 0 || instruction.code == ReturnAction) {
            continue;
        }
        if (!can_be_sorted(instruction, held[i])) {
            return std::nullopt;
        }
        if (is_branch(instruction.code) && (held[i] & HeldArchitecture) != 0) {
            architectures.insert(instruction.k);
        }
        if (is_branch(instruction.code) && (held[i] & HeldNumber) != 0) {
            bounds.insert(instruction.k);
            bounds.insert(instruction.k + 1); // after the last number comes 0, which is there
        }
        const std::uint8_t after =
            instruction.code == LoadWord ? held_after(instruction.k) : held[i];
        const auto [yes, no] = filter_successors(program, i);
        held[yes] |= after;
        held[no] |= after;
    }
    return FilterConstants{sorted(architectures), sorted(bounds)};
}

std::uint32_t other_architecture(const std::vector<std::uint32_t>& architectures) {
    std::uint32_t other = 0;
    for (std::uint32_t architecture : architectures) {
        other += architecture == other ? 1 : 0;
    }
    return other;
}

FilterDecision
filter_decision(const FilterProgram& program, std::uint32_t architecture, std::uint32_t number) {
    std::uint32_t accumulator = 0;
    std::uint64_t index = 0;
    while (program[index].code != ReturnAction) {
        const sock_filter& instruction = program[index];
        const auto [yes, no] = filter_successors(program, index);
        if (instruction.code == LoadWord) {
            if (held_after(instruction.k) == HeldArgument) {
                return {false, static_cast<std::uint32_t>(index)};
            }
            accumulator = instruction.k == number_offset ? number : architecture;
        } else if (instruction.code == MaskBits) {
            accumulator &= instruction.k;
        }
        index = !is_branch(instruction.code) || holds(instruction, accumulator) ? yes : no;
    }
    return {true, program[index].k};
}

bool decide_alike(const FilterProgram& left, const FilterProgram& right) {
    const std::optional<FilterConstants> of_left = filter_constants(left);
    const std::optional<FilterConstants> of_right = filter_constants(right);
    if (!of_left || !of_right) {
        return false;
    }
    std::vector<std::uint32_t> architectures =
        merged(of_left->architectures, of_right->architectures);
    architectures.push_back(other_architecture(architectures));
    const std::vector<std::uint32_t> bounds =
        merged(of_left->number_bounds, of_right->number_bounds);
    Lockstep lockstep(left, right);
    auto alike = [&](std::uint32_t architecture, std::uint32_t number) {
        const FilterDecision l = filter_decision(left, architecture, number);
        const FilterDecision r = filter_decision(right, architecture, number);
        return l.returns == r.returns &&
               (l.returns ? l.value == r.value : lockstep.same(l.value, r.value));
    };
    for (std::uint32_t architecture : architectures) {
        for (std::size_t i = 0; i < bounds.size(); ++i) {
            const std::uint32_t last = i + 1 < bounds.size()
                                           ? bounds[i + 1] - 1
                                           : std::numeric_limits<std::uint32_t>::max();
            if (!alike(architecture, bounds[i]) || !alike(architecture, last)) {
                return false;
            }
        }
    }
    return true;
}

} // namespace berth::kernel
