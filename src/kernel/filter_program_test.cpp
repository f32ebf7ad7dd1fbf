// SPDX-License-Identifier: Apache-2.0
// The proof that two filters decide the same never holds for two that do not.
#include "kernel/filter_program.h"
#include "kernel/seccomp.h"
#include "kernel/seccomp_test_support.h"

#include <gtest/gtest.h>

#include <utility>

namespace berth::kernel {

namespace {

// Every kind of instruction, for two architectures.
SeccompFilter varied_filter() {
    return {
        .default_action = "SCMP_ACT_ERRNO",
        .default_errno = {},
        .architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"},
        .flags = {},
        .rules = {
            {{"read", "write", "open", "close", "brk"}, "SCMP_ACT_ALLOW", {}, {}},
            {{"stat", "ptrace"}, "SCMP_ACT_LOG", {}, {}},
            {{"socket"}, "SCMP_ACT_ALLOW", {}, {{0, 38, 0, "SCMP_CMP_LT"}}},
            {{"clone"}, "SCMP_ACT_ALLOW", {}, {{0, 0x7e020000, 0, "SCMP_CMP_MASKED_EQ"}}},
            {{"personality"}, "SCMP_ACT_ALLOW", {}, {{0, 0x20008, 0, "SCMP_CMP_EQ"}}}}};
}

std::vector<FilterProgram> mutants(const FilterProgram& program) {
    std::vector<FilterProgram> made;
    for (std::size_t i = 0; i < program.size(); ++i) {
        auto change = [&](auto edit) { edit(made.emplace_back(program)[i]); };
        change([](sock_filter& instruction) { ++instruction.k; });
        change([](sock_filter& instruction) { --instruction.k; });
        change([](sock_filter& instruction) { instruction.k ^= 4; }); // another word of the data
        change([](sock_filter& instruction) { std::swap(instruction.jt, instruction.jf); });
        change([](sock_filter& instruction) { ++instruction.jt; });
        change([](sock_filter& instruction) { ++instruction.jf; });
        for (FilterCode code :
             {JumpEqual, JumpGreater, JumpAtLeast, JumpAnyBit, MaskBits, ReturnAction}) {
            change([&](sock_filter& instruction) { instruction.code = code; });
        }
    }
    return made;
}

TEST(FilterProgram, NoChangeOfADecisionPassesAsTheSame) {
    CallGrid grid;
    grid.architectures = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, 0};
    grid.add_arguments({38, 0x7e020000, 0x20008}, 0);
    for (const SeccompProgram& program :
         {*compile_seccomp_unoptimized(varied_filter()), *compile_seccomp(varied_filter())}) {
        const FilterProgram original = instructions_of(program.instructions);
        EXPECT_TRUE(decide_alike(original, original));
        std::size_t different = 0;
        for (const FilterProgram& mutant : mutants(original)) {
            if (!filter_constants(mutant)) {
                EXPECT_FALSE(decide_alike(original, mutant));
                continue;
            }
            const std::string difference =
                first_difference(program.instructions, bytes_of(mutant), grid);
            if (!difference.empty()) {
                ++different;
                EXPECT_FALSE(decide_alike(original, mutant)) << difference;
                EXPECT_FALSE(decide_alike(mutant, original)) << difference;
            }
        }
        EXPECT_GT(different, 4 * original.size());
    }
}

TEST(FilterProgram, OtherArchitectureIsNoneOfThem) {
    EXPECT_EQ(other_architecture({}), 0U);
    EXPECT_EQ(other_architecture({1, 2}), 0U);
    EXPECT_EQ(other_architecture({0, 1, 3}), 2U);
}

TEST(FilterProgram, ConstantsAreThoseOfNumbersAndArchitecturesAlone) {
    const std::optional<FilterConstants> constants = filter_constants(
        {{0x20, 0, 0, 4},
         {0x15, 0, 4, 77},
         {0x20, 0, 0, 0},
         {0x15, 2, 0, 0xffffffffU},
         {0x35, 1, 0, 10},
         {0x06, 0, 0, 1},
         {0x20, 0, 0, 16},
         {0x15, 0, 1, 1234},
         {0x06, 0, 0, 2},
         {0x06, 0, 0, 3}});
    ASSERT_TRUE(constants);
    EXPECT_EQ(constants->architectures, std::vector<std::uint32_t>{77});
    EXPECT_EQ(constants->number_bounds, (std::vector<std::uint32_t>{0, 10, 11, 0xffffffffU}));
}

} // namespace

} // namespace berth::kernel
