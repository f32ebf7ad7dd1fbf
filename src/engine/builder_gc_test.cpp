// SPDX-License-Identifier: Apache-2.0
// "builder.gc" of daemon.json: what it means, and what it must not be.
#include "engine/builder_gc.h"

#include <gtest/gtest.h>

namespace berth::engine {

namespace {

using std::chrono::hours;

constexpr std::int64_t gigabyte = 1LL << 30;

Result<BuilderGc> parse(std::string_view text) {
    return parse_builder_gc(json::parse(text).value());
}

std::string age_error(std::string_view text) {
    auto parsed = parse(text);
    return parsed.ok() ? "" : parsed.error().message();
}

} // namespace

TEST(BuilderGc, ReadsDockersPolicy) {
    const auto gc = parse(R"({"enabled": true, "defaultKeepStorage": "20GB", "policy": [
        {"keepStorage": "10GB", "filter": ["unused-for=2200h"]},
        {"reservedSpace": "1gb", "maxUsedSpace": "50GB", "minFreeSpace": 1000, "keepDuration": ["2h"],
         "filter": ["type==source.local,type==exec.cachemount", "inuse=false"]},
        {"all": true}]})");
    ASSERT_TRUE(gc.ok()) << gc.error().message();
    EXPECT_TRUE(gc->enabled);
    ASSERT_EQ(gc->policy->size(), 3U);
    const BuilderGcRule& first = (*gc->policy)[0];
    EXPECT_EQ(first.sizes.reserved_space, 10 * gigabyte);
    EXPECT_EQ(first.unused_for, hours(2200));
    const BuilderGcRule& second = (*gc->policy)[1];
    EXPECT_EQ(second.sizes.reserved_space, gigabyte);
    EXPECT_EQ(second.sizes.max_used_space, 50 * gigabyte);
    EXPECT_EQ(second.sizes.min_free_space, 1000);
    EXPECT_EQ(second.unused_for, hours(2));
    ASSERT_EQ(second.filters.size(), 2U);
    EXPECT_EQ(second.filters[0].first, "type");
    EXPECT_EQ(
        second.filters[0].second, (std::vector<std::string>{"source.local", "exec.cachemount"}));
    EXPECT_EQ(second.filters[1].second, std::vector<std::string>{"false"});
    // A rule without a limit of its own takes the default: {"all": true} is not "everything".
    EXPECT_TRUE((*gc->policy)[2].all);
    EXPECT_EQ((*gc->policy)[2].sizes.max_used_space, 20 * gigabyte);
}

TEST(BuilderGc, IsOnByDefaultWithinAShareOfTheDisk) {
    EXPECT_TRUE(BuilderGc().enabled);
    EXPECT_FALSE(parse(R"({"Enabled": false})")->enabled);
    const auto rules = default_builder_gc({}, 100'000'000'000);
    ASSERT_EQ(rules.size(), 3U);
    EXPECT_EQ(rules[0].unused_for, hours(48));
    EXPECT_EQ(rules[1].unused_for, hours(60 * 24));
    EXPECT_EQ(rules[2].sizes.reserved_space, 10'000'000'000);
    EXPECT_EQ(rules[2].sizes.max_used_space, 60'000'000'000);
    EXPECT_EQ(rules[2].sizes.min_free_space, 20'000'000'000);
    const auto large = default_builder_gc({}, 10'000'000'000'000);
    EXPECT_EQ(large[2].sizes.max_used_space, 100'000'000'000);
    const auto given = default_builder_gc(parse(R"({"defaultKeepStorage": "5GB"})")->defaults, 0);
    EXPECT_EQ(given[2].sizes.reserved_space, 5 * gigabyte);
    EXPECT_EQ(given[2].sizes.max_used_space, 5 * gigabyte);
    const auto reserved = parse(R"({"defaultReservedSpace": "5GB"})")->defaults;
    EXPECT_EQ(
        default_builder_gc(reserved, 100'000'000'000)[2].sizes.max_used_space, 60'000'000'000);
}

TEST(BuilderGc, NamesTheKeyOfABadValue) {
    EXPECT_EQ(
        age_error(R"({"defaultKeepStorage": "much"})"),
        "builder.gc.defaultKeepStorage: invalid size: 'much'");
    EXPECT_EQ(
        age_error(R"({"policy": [{"all": true}, {"keepStorage": "x"}]})"),
        "builder.gc.policy[1].keepStorage: invalid size: 'x'");
    EXPECT_EQ(
        age_error(R"({"policy": [{"filter": ["unused-for=long"]}]})"),
        "builder.gc.policy[0].filter: \"long\" is not a duration such as \"48h\"");
    EXPECT_EQ(
        age_error(R"({"policy": [{"filter": ["color=red"]}]})"),
        "builder.gc.policy[0].filter: invalid filter 'color'");
    EXPECT_EQ(
        age_error(R"({"policy": [{"filter": ["inuse=maybe"]}]})"),
        "builder.gc.policy[0].filter: invalid filter 'inuse=maybe'");
    EXPECT_EQ(
        age_error(R"({"policy": [{"keepStorge": "1GB"}]})"),
        "\"builder.gc.policy[0].keepStorge\" is not a configuration option");
    EXPECT_EQ(
        age_error(R"({"enabled": "yes"})"),
        "the value of \"builder.gc.enabled\" must be true or false");
    EXPECT_EQ(age_error(R"({"policy": {}})"), "the value of \"builder.gc.policy\" must be a list");
    EXPECT_EQ(age_error("[]"), "the value of \"builder.gc\" must be an object");
    EXPECT_EQ(
        age_error(R"({"defaultMinFreeSpace": -1})"),
        "the value of \"builder.gc.defaultMinFreeSpace\" must be a size such as \"10GB\"");
}

} // namespace berth::engine
