// SPDX-License-Identifier: Apache-2.0
// COPY, ADD and the context in whole builds.
#include "build/builder_test_support.h"

#include <map>

namespace berth::build {

TEST_F(BuilderTest, CopiesBetweenStagesAndSkipsStagesThatNobodyNeeds) {
    const oci::Digest id =
        must_build("FROM busybox AS make\nRUN mkdir /out && echo x > /out/x && touch /out/y\n"
                   "FROM busybox AS unused\nRUN false\n"
                   "FROM scratch\nCOPY --from=make /out /\nCOPY --from=0 /out/x /z/\n"
                   "COPY --from=busybox /etc/passwd /p\n");
    EXPECT_EQ(content(id, "/x"), "x\n");
    EXPECT_EQ(content(id, "/y"), "");
    EXPECT_EQ(content(id, "/z/x"), "x\n");
    EXPECT_EQ(content(id, "/bin/sh"), "absent");
    EXPECT_TRUE(content(id, "/p").starts_with("root:"));
    EXPECT_EQ(output_.find("unused"), std::string::npos);
    EXPECT_NE(output_.find("Step 1/6 : "), std::string::npos) << output_;
}

TEST_F(BuilderTest, CopiesFilesAsDockerDoes) {
    const std::vector<File> files{
        directory("dir"),
        directory("dir/sub"),
        {.name = "dir/sub/deep", .content = "deep", .mode = 0600},
        {.name = "dir/link", .type = tar::EntryType::SymbolicLink, .link = "sub/deep"},
        {.name = "one.txt", .content = "1"},
        {.name = "two.txt", .content = "2", .mode = 04755},
        {.name = "three.md", .content = "3"}};

    struct stat status {};

    const oci::Digest id = must_build(
        "FROM busybox\nWORKDIR /work\nCOPY *.txt ./\nCOPY dir /copied\nCOPY one.txt renamed\n"
        "COPY --chown=app:staff --chmod=640 three.md /owned/\nCOPY dir/link /followed\n"
        "COPY [\"one.txt\", \"/with space/\"]\n",
        files);
    EXPECT_EQ(content(id, "/work/one.txt"), "1");
    EXPECT_EQ(content(id, "/work/two.txt", &status), "2");
    EXPECT_EQ(status.st_mode & 07777U, 04755U);
    EXPECT_EQ(status.st_uid, 0U);
    EXPECT_EQ(content(id, "/work/three.md"), "absent");
    EXPECT_EQ(content(id, "/copied/sub/deep", &status), "deep");
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
    EXPECT_EQ(content(id, "/copied/link"), "deep");
    EXPECT_EQ(content(id, "/work/renamed"), "1");
    EXPECT_EQ(content(id, "/owned/three.md", &status), "3");
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_EQ(status.st_gid, 50U);
    EXPECT_EQ(status.st_mode & 07777U, 0640U);
    EXPECT_EQ(content(id, "/owned", &status), "directory");
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_EQ(content(id, "/followed"), "deep");
    EXPECT_EQ(content(id, "/with space/one.txt"), "1");
}

TEST_F(BuilderTest, ReportsWrongSources) {
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY nope /\n"),
        "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: "
        "file does not exist");
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY ../x /\n"),
        "COPY failed: forbidden path outside the build context: ../x ()");
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY *.no /\n"), "COPY failed: no source files were specified");
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY Dockerfile Dockerfile /x\n"),
        "COPY failed: When using COPY with more than one source file, the destination must be a "
        "directory and end with a /");
    EXPECT_EQ(
        error_of("FROM busybox\nFROBNICATE\n"),
        "dockerfile parse error on line 2: unknown instruction: FROBNICATE");
}

TEST_F(BuilderTest, TakesNumbersInFromForStages) {
    const std::string two = "FROM busybox\nRUN true\nFROM busybox\nCOPY --from=";
    for (const auto& [number, cause] : std::map<std::string, std::string>{
             {"5", "index out of bounds"},
             {"-1", "index out of bounds"},
             {"1", "refers to current build stage"}}) {
        EXPECT_EQ(
            error_of(two + number + " /a /b\n"),
            "invalid from flag value " + number + ": " + cause);
    }
}

TEST_F(BuilderTest, NeverWritesOutsideOfTheRoot) {
    const std::string outside = directory_->path() + "/outside";
    ASSERT_TRUE(make_directories(outside).ok());
    // Links in the image and in the context that lead to the host.
    const std::vector<File> files{
        {.name = "f", .content = "payload"},
        {.name = "abs", .type = tar::EntryType::SymbolicLink, .link = "/etc/hostname"},
        {.name = "up",
         .type = tar::EntryType::SymbolicLink,
         .link = "../../../../../../etc/hostname"}};
    const oci::Digest id = must_build(
        "FROM busybox\nRUN ln -s " + outside + " /evil || /bin/busybox ln -s " + outside +
            " /evil\nRUN /bin/busybox ln -s ../../../../../.." + outside +
            " /evil2\nRUN mkdir -p " + outside + "\nCOPY f /evil/f\nCOPY f /evil2/g\n",
        files);
    EXPECT_TRUE(list_directory(outside)->empty());
    EXPECT_EQ(content(id, outside + "/f"), "payload");
    EXPECT_NE(error_of("FROM busybox\nCOPY abs /x\n", files), "");
    EXPECT_NE(error_of("FROM busybox\nCOPY up /x\n", files), "");
}

TEST_F(BuilderTest, UnpacksArchivesOfAddOnly) {
    const std::string archive = make_tar({{.name = "in/side", .content = "packed"}});
    const std::vector<File> files{
        {.name = "a.tar", .content = archive}, {.name = "plain", .content = "text"}};
    const oci::Digest id =
        must_build("FROM busybox\nADD a.tar /un\nADD plain /un/\nCOPY a.tar /kept/\n", files);
    EXPECT_EQ(content(id, "/un/in/side"), "packed");
    EXPECT_EQ(content(id, "/un/plain"), "text");
    EXPECT_EQ(content(id, "/kept/a.tar"), archive);
    EXPECT_EQ(
        error_of("FROM busybox\nADD git://example.com/x /\n"),
        "ADD failed: ADD from a git repository (git://example.com/x) is not implemented");
    EXPECT_EQ(
        error_of("FROM busybox\nCOPY https://example.com/x /\n"),
        "COPY failed: source can't be a URL for COPY");
    const std::string checksum = "--checksum=sha256:" + std::string(64, '0');
    EXPECT_EQ(
        error_of("FROM busybox\nADD " + checksum + " plain /\n", files),
        "ADD failed: checksum can't be specified for non-HTTP(S) sources");
}

TEST_F(BuilderTest, HonoursDockerignore) {
    const std::vector<File> files{
        {.name = ".dockerignore", .content = "*.log\nDockerfile\n.dockerignore\n!keep.log\n"},
        {.name = "a.log", .content = "1"},
        {.name = "keep.log", .content = "2"},
        {.name = "b", .content = "3"}};
    const oci::Digest id = must_build("FROM busybox\nCOPY . /all/\n", files);
    EXPECT_EQ(content(id, "/all/a.log"), "absent");
    EXPECT_EQ(content(id, "/all/keep.log"), "2");
    EXPECT_EQ(content(id, "/all/b"), "3");
    EXPECT_EQ(content(id, "/all/Dockerfile"), "absent");
}

} // namespace berth::build
