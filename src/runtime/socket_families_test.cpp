// SPDX-License-Identifier: Apache-2.0
// What becomes of a profile's rules for sockets; what a process in a container then gets is in
// security_calls_test.cpp.
#include "runtime/defaults.h"
#include "runtime/socket_families.h"

#include <gmock/gmock.h>

#include <cerrno>

#include <sys/socket.h>

namespace berth::runtime {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

oci::Seccomp profile_of(std::vector<oci::SeccompRule> rules) {
    return {
        .default_action = "SCMP_ACT_ERRNO",
        .default_errno_ret = {},
        .architectures = {},
        .flags = {},
        .syscalls = std::move(rules)};
}

// "call family[,protocol]" for each rule about sockets.
std::vector<std::string> limited(std::vector<oci::SeccompRule> rules) {
    oci::Seccomp profile = profile_of(std::move(rules));
    EXPECT_TRUE(limit_socket_families(profile).ok());
    std::vector<std::string> found;
    for (const oci::SeccompRule& rule : profile.syscalls) {
        std::string text = rule.names[0] + (rule.action == "SCMP_ACT_ALLOW" ? "" : "!");
        for (const oci::SeccompArgument& condition : rule.args) {
            text += " " + std::to_string(condition.index) + "=" + std::to_string(condition.value);
        }
        found.push_back(text);
    }
    return found;
}

TEST(SocketFamilies, OnlyTheListIsLeftOfARuleWithoutConditions) {
    EXPECT_THAT(
        limited({{{"read", "socket", "socketcall"}, "SCMP_ACT_ALLOW", {}, {}}}),
        ElementsAre(
            "socketcall!",
            "socket 0=1",
            "socket 0=2",
            "socket 0=10",
            "socket 0=16 2=0",
            "socket 0=16 2=15",
            "read"));
}

TEST(SocketFamilies, ARuleThatIsNarrowerStaysNarrower) {
    EXPECT_THAT(
        limited(
            {{{"socket"},
              "SCMP_ACT_ALLOW",
              {},
              {{.index = 0, .value = AF_INET, .op = "SCMP_CMP_LE"},
               {.index = 1, .value = SOCK_STREAM, .op = "SCMP_CMP_EQ"}}},
             {{"socket"},
              "SCMP_ACT_ALLOW",
              {},
              {{.index = 0, .value = AF_NETLINK, .op = "SCMP_CMP_EQ"},
               {.index = 2, .value = 15, .op = "SCMP_CMP_NE"}}}}),
        ElementsAre("socketcall!", "socket 0=1 1=1", "socket 0=2 1=1", "socket 0=16 2=0"));
}

TEST(SocketFamilies, ConditionsOnOneArgumentAreAlternatives) {
    EXPECT_THAT(
        limited(
            {{{"socket"},
              "SCMP_ACT_ALLOW",
              {},
              {{.index = 0, .value = AF_INET, .op = "SCMP_CMP_EQ"},
               {.index = 0, .value = AF_ALG, .op = "SCMP_CMP_EQ"}}}}),
        ElementsAre("socketcall!", "socket 0=2"));
}

TEST(SocketFamilies, PairsAreOfOneFamilyAndRefusalsStay) {
    EXPECT_THAT(
        limited(
            {{{"socketpair"}, "SCMP_ACT_ALLOW", {}, {}},
             {{"socket"},
              "SCMP_ACT_ERRNO",
              EAFNOSUPPORT,
              {{.index = 0, .value = AF_PACKET, .op = "SCMP_CMP_EQ"}}}}),
        ElementsAre("socketcall!", "socketpair 0=1", "socket! 0=17"));
}

TEST(SocketFamilies, AProfileThatAllowsByDefaultIsNamed) {
    oci::Seccomp profile = profile_of({});
    profile.default_action = "SCMP_ACT_ALLOW";
    auto done = limit_socket_families(profile);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_THAT(done.error().message(), HasSubstr("SCMP_ACT_ALLOW"));
}

} // namespace

} // namespace berth::runtime
