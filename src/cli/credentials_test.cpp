// SPDX-License-Identifier: Apache-2.0
// config.json and the programs that it names.
#include "base/file.h"
#include "base/strings.h"
#include "cli/credentials.h"
#include "codec/base64.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CredentialsTest : public testing::Test {
  protected:
    std::string path() const { return folder_.path() + "/config.json"; }

    void write(std::string_view text, mode_t mode = 0600) {
        ASSERT_TRUE(replace_file(path(), text, mode).ok());
    }

    CredentialFile load() const { return std::move(CredentialFile::load(folder_.path())).value(); }

    json::Value document() const { return json::parse(*read_file(path())).value(); }

    // A helper that keeps one file a server beside its own.
    void install_helper(const std::string& name) {
        std::string program = folder_.path() + "/docker-credential-" + name;
        ASSERT_TRUE(
            replace_file(
                program,
                "#!/bin/sh\n"
                "cd \"$(dirname \"$0\")\"\n"
                "case $1 in\n"
                "store) cat > kept ;;\n"
                "get) read -r server; [ -f kept ] && grep -q \"\\\"$server\\\"\" kept ||\n"
                "  { echo credentials not found in native keychain; exit 1; }; cat kept ;;\n"
                "erase) rm -f kept ;;\n"
                "list) echo '{\"kept.example\":\"me\"}' ;;\n"
                "esac\n",
                0755)
                .ok());
        std::string path_variable = folder_.path() + ":" + ::getenv("PATH");
        ::setenv("PATH", path_variable.c_str(), 1);
    }

    void TearDown() override { ::setenv("PATH", old_path_.c_str(), 1); }

    TemporaryDirectory folder_ = std::move(TemporaryDirectory::create("/tmp")).value();
    std::string old_path_ = ::getenv("PATH");
};

TEST_F(CredentialsTest, ReadsWhatDockerWrote) {
    write(R"({"auths": {"reg.example:5000": {"auth": "bWU6czpj"}, "https://old.example/v1/":)"
          R"( {"auth": "eW91OnB3"}, "token.example": {"auth": "bWU6", "identitytoken": "T"}}})");
    CredentialFile file = load();
    EXPECT_EQ(file.get("reg.example:5000")->username, "me");
    EXPECT_EQ(file.get("reg.example:5000")->password, "s:c");
    EXPECT_EQ(file.get("old.example")->password, "pw");
    EXPECT_EQ(file.get("token.example")->identity_token, "T");
    EXPECT_TRUE(file.get("other.example")->empty());
}

TEST_F(CredentialsTest, KeepsTheFilePrivateAndOtherKeys) {
    CredentialFile fresh = load();
    EXPECT_EQ(fresh.store("a.example", {.username = "me", .password = "x"}).value(), true);

    struct stat status {};

    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    EXPECT_EQ(
        *read_file(path()),
        "{\n\t\"auths\": {\n\t\t\"a.example\": {\n\t\t\t\"auth\": \"" + base64_encode("me:x") +
            "\"\n\t\t}\n\t}\n}");
    write(R"({"HttpHeaders": {"X-A": "b"}, "auths": {"a.example": {"auth": "bWU6eA=="}}})");
    CredentialFile file = load();
    ASSERT_TRUE(file.erase("a.example").ok());
    EXPECT_EQ(json::serialize(document()), R"({"HttpHeaders":{"X-A":"b"},"auths":{}})");
}

TEST_F(CredentialsTest, WritesThroughALink) {
    write("{}", 0640);
    std::string real = folder_.path() + "/real.json";
    ASSERT_EQ(::rename(path().c_str(), real.c_str()), 0);
    ASSERT_EQ(::symlink("real.json", path().c_str()), 0);
    ASSERT_TRUE(load().store("a.example", {.username = "me", .password = "x"}).ok());

    struct stat status {};

    ASSERT_EQ(::lstat(path().c_str(), &status), 0);
    EXPECT_TRUE(S_ISLNK(status.st_mode));
    ASSERT_EQ(::stat(real.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0640U);
    EXPECT_THAT(*read_file(real), HasSubstr("a.example"));
}

TEST_F(CredentialsTest, LeavesSecretsToTheHelper) {
    install_helper("test");
    write(R"({"credsStore": "test"})");
    CredentialFile file = load();
    EXPECT_EQ(file.store("kept.example", {.username = "me", .password = "x"}).value(), false);
    EXPECT_EQ(json::serialize(document()), R"({"credsStore":"test","auths":{"kept.example":{}}})");
    EXPECT_EQ(load().get("kept.example")->password, "x");
    EXPECT_TRUE(load().get("other.example")->empty());
    auto all = load().all([](std::string_view message) { ADD_FAILURE() << message; });
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all["kept.example"].username, "me");
    ASSERT_TRUE(file.store("kept.example", {.username = "me", .identity_token = "T"}).ok());
    EXPECT_EQ(load().get("kept.example")->identity_token, "T");
    ASSERT_TRUE(file.erase("kept.example").ok());
    EXPECT_TRUE(load().get("kept.example")->empty());
    EXPECT_EQ(json::serialize(document()), R"({"credsStore":"test","auths":{}})");
}

TEST_F(CredentialsTest, PrefersTheHelperOfTheRegistry) {
    install_helper("one");
    write(R"({"credsStore": "absent", "credHelpers": {"kept.example": "one"}, "auths": {}})");
    ASSERT_TRUE(load().store("kept.example", {.username = "me", .password = "x"}).ok());
    EXPECT_EQ(load().get("kept.example")->password, "x");
    EXPECT_EQ(
        load().get("other.example").error().message(),
        "error getting credentials - err: exec: \"docker-credential-absent\": executable file not "
        "found in $PATH, out: ``");
}

TEST_F(CredentialsTest, SaysWhatIsWrongWithAFile) {
    write("[]");
    EXPECT_EQ(
        CredentialFile::load(folder_.path()).error().message(),
        path() + ": a JSON object is expected");
    write(R"({"auths": {"a.example": {"auth": "bm9jb2xvbg=="}}})");
    EXPECT_EQ(
        load().get("a.example").error().message(), path() + ": invalid auth configuration file");
}

} // namespace
} // namespace berth::cli
