// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"
#include "cli/build_context.h"
#include "codec/tar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

namespace berth::cli {
namespace {

using testing::UnorderedElementsAre;

class BuildContextTest : public testing::Test {
  protected:
    void write(const std::string& name, std::string_view text) {
        std::string path = folder_.path() + "/" + name;
        ASSERT_TRUE(make_directories(path.substr(0, path.rfind('/'))).ok());
        ASSERT_TRUE(replace_file(path, text).ok());
    }

    std::vector<std::string> names(bool obey_ignore_file = true) {
        auto source = open_build_context(
            {.folder = folder_.path(),
             .dockerfile = "",
             .dockerfile_name = "Dockerfile",
             .obey_ignore_file = obey_ignore_file});
        tar::Reader reader(**source);
        std::vector<std::string> found;
        while (true) {
            Result<std::optional<tar::Header>> header = reader.next();
            EXPECT_TRUE(header.ok()) << header.error().message();
            if (!header.ok() || !header->has_value()) {
                return found;
            }
            EXPECT_EQ((*header)->uid, 0U);
            found.push_back((*header)->name);
        }
    }

    TemporaryDirectory folder_ = TemporaryDirectory::create(testing::TempDir()).value();
};

TEST_F(BuildContextTest, HoldsFilesFoldersAndLinks) {
    write("Dockerfile", "FROM scratch\n");
    write("src/a", "text");
    ASSERT_EQ(::symlink("a", (folder_.path() + "/src/link").c_str()), 0);
    EXPECT_THAT(names(), UnorderedElementsAre("Dockerfile", "src", "src/a", "src/link"));
}

TEST_F(BuildContextTest, LeavesOutWhatIsIgnoredButNotTheDockerfile) {
    write("Dockerfile", "FROM scratch\n");
    write(".dockerignore", "**/*.key\nlogs\n!logs/keep\nDockerfile\n.dockerignore\n");
    write("src/secret.key", "x");
    write("logs/drop", "x");
    write("logs/keep", "x");
    EXPECT_THAT(names(), UnorderedElementsAre("Dockerfile", ".dockerignore", "src", "logs/keep"));
    EXPECT_THAT(names(false), ::testing::IsSupersetOf({"src/secret.key", "logs/drop"}));
}

TEST_F(BuildContextTest, EndsWithTheErrorOfAFileThatCannotBeRead) {
    auto source = open_build_context(
        {.folder = folder_.path() + "/absent", .dockerfile = "", .dockerfile_name = "D"});
    StringSink sink;
    EXPECT_FALSE(copy(**source, sink).ok());
}

} // namespace
} // namespace berth::cli
