// SPDX-License-Identifier: Apache-2.0
#include "build/remote_file.h"
#include "codec/sha256.h"
#include "kernel/path.h"
#include "registry/test_registry.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::build {

namespace {

// /file answers with ten bytes, /there leads to it, /loop to itself, everything else is absent.
void serve(std::stop_token, http::Request& request, http::Body&, http::ResponseWriter& out) {
    Result<void> sent = ok();
    if (request.path == "/file") {
        sent = out.respond(200, {{"Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT"}}, "0123456789");
    } else if (request.path == "/there") {
        sent = out.respond(302, {{"Location", "/file"}}, "");
    } else if (request.path == "/loop") {
        sent = out.respond(302, {{"Location", "/loop"}}, "");
    } else {
        sent = out.respond(404, {}, "no such page\n");
    }
    EXPECT_TRUE(sent.ok());
}

class RemoteFiles : public testing::Test {
  protected:
    std::string url(const std::string& path) const { return "http://" + server_.host() + path; }

    Result<RemoteFile> download(const std::string& path, std::uint64_t limit = remote_file_limit) {
        return RemoteFile::download(
            {}, {.url = url(path), .parent = directory_.path(), .limit = limit});
    }

    std::string error_of(const std::string& path, std::uint64_t limit = remote_file_limit) {
        auto file = download(path, limit);
        return file.ok() ? "" : file.error().message();
    }

    registry::LoopbackServer server_{serve};
    TemporaryDirectory directory_ = std::move(TemporaryDirectory::create("/tmp")).value();
};

} // namespace

TEST_F(RemoteFiles, HaveTheServersTimeAndAreTheOwnersAlone) {
    const auto file = download("/there");
    ASSERT_TRUE(file.ok()) << file.error().message();
    EXPECT_TRUE(file->is_named());
    EXPECT_EQ(file->path().path, "there"); // as it was asked for
    EXPECT_EQ(file->digest(), "sha256:" + sha256_hex("0123456789"));

    struct stat status {};

    const auto opened = file->tree().open(file->path(), O_RDONLY);
    ASSERT_TRUE(opened.ok());
    ASSERT_EQ(fstat(opened->get(), &status), 0);
    EXPECT_EQ(status.st_mode, S_IFREG | 0600U);
    EXPECT_EQ(status.st_mtim.tv_sec, 1577836800);
}

TEST_F(RemoteFiles, SayWhyTheyDoNotCome) {
    EXPECT_EQ(
        error_of("/absent"),
        "failed to GET " + url("/absent") + " with status 404 Not Found: no such page");
    EXPECT_EQ(error_of("/loop"), "Get \"" + url("/loop") + "\": stopped after 10 redirects");
    EXPECT_EQ(error_of("/file", 10), "");
    EXPECT_EQ(
        error_of("/file", 9), url("/file") + " exceeds the limit of 9 bytes for a remote file");
    EXPECT_TRUE(list_directory(directory_.path())->empty());
}

TEST_F(RemoteFiles, StopWhenTheBuildDoes) {
    std::stop_source stop;
    stop.request_stop();
    const auto file =
        RemoteFile::download(stop.get_token(), {.url = url("/file"), .parent = directory_.path()});
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.error().kind(), ErrorKind::Cancelled);
}

TEST(RemoteFileName, IsTheLastComponentOfTheAddress) {
    EXPECT_EQ(remote_file_name("http://h/a/b.tar?x=/y#z", "attachment; filename=\"n\""), "b.tar");
    EXPECT_EQ(remote_file_name("https://h/a%20b", ""), "a b");
    EXPECT_EQ(remote_file_name("http://h", ""), "");
    EXPECT_EQ(remote_file_name("http://h/a/", "attachment; filename=\"dir/n.bin\""), "n.bin");
    EXPECT_EQ(remote_file_name("http://h/?f=a", "inline; Filename=n"), "n");
}

TEST(RemoteFileName, NeverLeavesItsDirectory) {
    for (const char* url :
         {"http://h/..", "http://h/a/%2e%2e", "http://h/.", "http://h/x%2f..", "http://h/a%00b"}) {
        EXPECT_EQ(remote_file_name(url, "attachment; filename=\"../..\""), "") << url;
    }
    EXPECT_EQ(remote_file_name("http://h/x%2f..%2fpasswd", ""), "passwd");
    EXPECT_EQ(remote_file_name("http://h/" + std::string(256, 'a'), ""), "");
}

} // namespace berth::build
