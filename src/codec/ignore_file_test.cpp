// SPDX-License-Identifier: Apache-2.0
// The patterns that github.com/moby/patternmatcher documents and tests.
#include "codec/ignore_file.h"

#include <gtest/gtest.h>

namespace berth {

namespace {

bool excludes(std::string_view file, std::string_view path) {
    auto parsed = IgnoreFile::parse(file);
    EXPECT_TRUE(parsed.ok()) << parsed.error().message();
    return parsed->excludes(path);
}

struct Case {
    const char* pattern;
    const char* path;
    bool matches;
};

constexpr Case cases[] = {
    {"**", "file", true},
    {"**", "dir/file", true},
    {"**/", "file", true},
    {"**/file", "dir/dir/file", true},
    {"**/file", "file", true},
    {"**/*.txt", "dir/file.txt", true},
    {"**/**/*.txt", "dir/dir/file.txt", true},
    {"dir/**", "dir/a/b", true},
    {"dir/**", "dir", false},
    {"a/**/b", "a/b", true},
    {"a/**/b", "a/x/y/b", true},
    {"a/**/b", "ab", false},
    {"abc.def", "abcdef", false},
    {"abc.def", "abcZdef", false},
    {"*", "a", true},
    {"*", "a/b", true}, // the parent matches
    {"*.go", "a/b.go", false},
    {"a?c", "abc", true},
    {"a?c", "a/c", false},
    {"a[b-d]e", "ace", true},
    {"a[b-d]e", "aze", false},
    {"a[^b-d]e", "aze", true},
    {"a[^b-d]e", "ace", false},
    {"a\\*b", "a*b", true},
    {"a\\*b", "axb", false},
    {"a[\\]]b", "a]b", true},
    {"dir", "dir/deep/file", true},
    {"/dir", "dir/file", true},
    {"./dir/", "dir", true},
    {"dir/../other", "other", true},
    {"docs", "docsx", false},
    {"**/.git", "sub/.git/config", true},
    {"*/temp*", "a/temporary.txt", true},
    {"*/temp*", "temporary.txt", false},
    {"*/*/temp*", "a/b/temp", true},
    {"**/foo/bar", "x/foo/bar", true},
    {"$a.+(b)", "$a.+(b)", true},
};

} // namespace

TEST(IgnoreFile, MatchesAsDockerDoes) {
    for (const Case& c : cases) {
        EXPECT_EQ(excludes(c.pattern, c.path), c.matches) << c.pattern << " " << c.path;
    }
}

TEST(IgnoreFile, TheLastMatchingPatternWins) {
    EXPECT_FALSE(excludes("*.md\n!README.md", "README.md"));
    EXPECT_TRUE(excludes("!README.md\n*.md", "README.md"));
    EXPECT_TRUE(excludes("*.md\n!README*.md\nREADME-secret.md", "README-secret.md"));
    EXPECT_FALSE(excludes("dir\n!dir/keep", "dir/keep/file"));
}

TEST(IgnoreFile, SkipsCommentsAndWhiteSpace) {
    EXPECT_FALSE(excludes("# a\n\n   \n", "a"));
    EXPECT_TRUE(excludes("\xef\xbb\xbf  a  \r\n", "a"));
    EXPECT_FALSE(excludes("*\n! a ", "a"));
    EXPECT_TRUE(IgnoreFile::parse("# x\n")->empty());
}

TEST(IgnoreFile, RejectsBadPatterns) {
    for (const char* text : {"!", "a[", "a[b", "a\\", "[]a]x["}) {
        EXPECT_FALSE(IgnoreFile::parse(text).ok()) << text;
    }
}

TEST(IgnoreFile, WalksAnExcludedDirectoryOnlyForExceptions) {
    EXPECT_TRUE(IgnoreFile::parse("dir")->may_skip_directory("dir"));
    EXPECT_FALSE(IgnoreFile::parse("dir\n!dir/keep")->may_skip_directory("dir"));
    EXPECT_TRUE(IgnoreFile::parse("dir\n!other/keep")->may_skip_directory("dir"));
    EXPECT_FALSE(IgnoreFile::parse("dir")->may_skip_directory("other"));
}

TEST(IgnoreFile, IsNotSlowedByStars) {
    EXPECT_FALSE(excludes(std::string(100, '*') + "x", std::string(2000, 'a')));
    std::string pattern;
    for (int i = 0; i < 500; ++i) {
        pattern += "*a";
    }
    EXPECT_FALSE(excludes(pattern + "b", std::string(2000, 'a')));
}

} // namespace berth
