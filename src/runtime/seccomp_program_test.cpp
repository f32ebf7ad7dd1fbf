// SPDX-License-Identifier: Apache-2.0
// The program of Docker's default profile: a fraction of what libseccomp makes, with the same
// decisions.
#include "kernel/seccomp_test_support.h"
#include "runtime/defaults.h"
#include "runtime/seccomp_filter.h"
#include "runtime/socket_families.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

namespace berth::runtime {

namespace {

// What the profile compares arguments with, and some that it does not.
kernel::CallGrid profile_grid() {
    constexpr std::uint64_t namespaces = 0x7e020000; // clone's flags that the profile refuses
    std::vector<std::uint64_t> constants{
        0, 0x8, 0x20000, 0x20008, 0xffffffff, AF_UNIX, AF_INET, AF_ALG, AF_VSOCK, namespaces};
    for (std::uint64_t bit = 1; bit != 0; bit <<= 1) {
        constants.push_back(bit);
    }
    kernel::CallGrid grid;
    grid.add_arguments(constants, 2000);
    return grid;
}

std::string difference(const oci::Seccomp& profile) {
    const kernel::SeccompFilter filter = seccomp_filter(profile);
    return kernel::first_difference(
        kernel::compile_seccomp_unoptimized(filter)->instructions,
        kernel::compile_seccomp(filter)->instructions,
        profile_grid());
}

TEST(SeccompProgram, DefaultProfileDecidesAsLibseccompCompilesIt) {
    const std::vector<std::string> some{"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_TIME"};
    for (const std::vector<std::string>& capabilities :
         {default_capabilities(), std::vector<std::string>{}, some, all_capabilities()}) {
        EXPECT_EQ(difference(*default_seccomp(capabilities)), "") << capabilities.size();
    }
}

TEST(SeccompProgram, LimitedSocketFamiliesAreTheSameFamilies) {
    oci::Seccomp profile = *default_seccomp(default_capabilities());
    ASSERT_TRUE(limit_socket_families(profile).ok());
    EXPECT_EQ(difference(profile), "");
}

// A start waits for the kernel's translation of each instruction (docs/performance.md).
TEST(SeccompProgram, DefaultProfileIsSmall) {
    const kernel::SeccompFilter filter = seccomp_filter(*default_seccomp(default_capabilities()));
    const std::size_t original = kernel::compile_seccomp_unoptimized(filter)->instructions.size();
    const std::size_t smaller = kernel::compile_seccomp(filter)->instructions.size();
    EXPECT_LE(smaller, original / 4);
    EXPECT_LE(smaller / sizeof(sock_filter), 240U);
}

} // namespace

} // namespace berth::runtime
