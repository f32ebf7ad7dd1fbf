// SPDX-License-Identifier: Apache-2.0
#include "api/frontend_attributes.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(FrontendAttributes, AreABuildsRequest) {
    const auto request = parse_frontend_attributes(
        {{"build-arg:A", "b=c"},
         {"label:l", "m"},
         {"filename", "Other"},
         {"target", "stage"},
         {"no-cache", ""},
         {"image-resolve-mode", "pull"},
         {"platform", "linux/arm64"},
         {"add-hosts", "one=10.0.0.1,two=::1"},
         {"force-network-mode", "none"},
         {"shm-size", "1024"},
         {"ulimit", "nofile=5:6,nproc=7"},
         {"attest:provenance", "disabled=true"}});
    ASSERT_TRUE(request.ok()) << request.error().message();
    EXPECT_EQ(request->build_args.at("A"), "b=c");
    EXPECT_EQ(request->labels.at("l"), "m");
    EXPECT_EQ(request->dockerfile, "Other");
    EXPECT_EQ(request->target, "stage");
    EXPECT_TRUE(request->no_cache);
    EXPECT_TRUE(request->pull);
    EXPECT_EQ(request->platform, "linux/arm64");
    EXPECT_EQ(request->extra_hosts, (std::vector<std::string>{"one:10.0.0.1", "two:::1"}));
    EXPECT_EQ(request->network_mode, "none");
    EXPECT_EQ(request->shm_size, 1024);
    ASSERT_EQ(request->rlimits.size(), 2U);
    EXPECT_EQ(request->rlimits[0].type, "RLIMIT_NOFILE");
    EXPECT_EQ(request->rlimits[0].soft, 5U);
    EXPECT_EQ(request->rlimits[0].hard, 6U);
    EXPECT_EQ(request->rlimits[1].hard, 7U);
}

TEST(FrontendAttributes, NameWhatIsNotThere) {
    for (const auto& [name, value] : FrontendAttributes{
             {"context:base", "docker-image://x"},
             {"attest:sbom", ""},
             {"requestid", "frontend.lint"},
             {"context", "https://example.com/repository.git"},
             {"no-cache", "stage"},
             {"platform", "linux/amd64,linux/arm64"}}) {
        const auto request = parse_frontend_attributes({{name, value}});
        ASSERT_FALSE(request.ok()) << name;
        EXPECT_EQ(request.error().kind(), ErrorKind::NotImplemented) << name;
    }
    EXPECT_FALSE(parse_frontend_attributes({{"ulimit", "nofile"}}).ok());
    EXPECT_FALSE(parse_frontend_attributes({{"shm-size", "much"}}).ok());
}

} // namespace berth::api
