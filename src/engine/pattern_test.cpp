// SPDX-License-Identifier: Apache-2.0
#include "engine/pattern.h"

#include <gtest/gtest.h>

namespace berth::engine {
namespace {

// What dockerd 28.5 lists for each of these filters.
TEST(NamePatterns, MatchAsDockers) {
    const std::vector<std::string> all = {"db_1", "other", "web-1", "web-2"};
    using Names = std::vector<std::string>;
    for (const auto& [asked, wanted] : {
             std::pair{"web|db", Names{"db_1", "web-1", "web-2"}},
             std::pair{"web-.*", Names{"web-1", "web-2"}},
             std::pair{"^web-[0-9]+$", Names{"web-1", "web-2"}},
             std::pair{"^web-\\d$", Names{"web-1", "web-2"}},
             std::pair{"^\\D+$", Names{"other"}},
             std::pair{"^[\\w\\-]+$", all},
             std::pair{"w.b", Names{"web-1", "web-2"}},
             std::pair{"web-(?:1|x)", Names{"web-1"}},
             std::pair{"(?i)WEB-1", Names{"web-1"}},
             std::pair{"^/?web-1$", Names{"web-1"}},
             std::pair{"\\-", Names{"web-1", "web-2"}},
             std::pair{"[]w]e", Names{"web-1", "web-2"}},
             std::pair{"e{1}b", Names{"web-1", "web-2"}},
             std::pair{"1$", Names{"db_1", "web-1"}},
             std::pair{"^", all},
             std::pair{"WEB", Names{}},
             std::pair{"(", Names{}},
             std::pair{"*", Names{}},
             std::pair{"[", Names{}},
         }) {
        const NamePatterns patterns({asked});
        Names found;
        for (const std::string& name : all) {
            if (patterns.match(name)) {
                found.push_back(name);
            }
        }
        EXPECT_EQ(found, wanted) << asked;
    }
}

TEST(NamePatterns, MatchOneOfSeveralAndAllWhereNoneIsAskedFor) {
    EXPECT_TRUE(NamePatterns({"x", "^b"}).match("bc"));
    EXPECT_FALSE(NamePatterns({"x", "^b"}).match("ab"));
    EXPECT_TRUE(NamePatterns().match("any"));
    EXPECT_TRUE(NamePatterns({"a("}).match("a(")); // the name itself
}

TEST(Pattern, RefusesWhatWouldTakeTheEnginesMemoryOrTime) {
    for (const std::string& bad : {
             std::string("((a{30}){30}){30}"),
             std::string("a{1,20000}"),
             std::string("(a*)\\1"),
             std::string(100'000, 'a'),
             std::string(5000, '('),
         }) {
        const auto pattern = Pattern::compile(bad);
        ASSERT_FALSE(pattern.ok()) << bad;
        EXPECT_EQ(pattern.error().message().substr(0, 22), "error parsing regexp: ");
    }
    EXPECT_TRUE(Pattern::compile("[0-9]{3}(-[a-z]{2,8})?").ok());
    // Whoever looks for another way at each character would never come to an end.
    EXPECT_FALSE(Pattern::compile("^(a+)+$")->matches(std::string(30'000, 'a') + "b"));
}

} // namespace
} // namespace berth::engine
