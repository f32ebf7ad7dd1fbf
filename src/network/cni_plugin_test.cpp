// SPDX-License-Identifier: Apache-2.0
// Plugins that do what they should, and such that do not.
#include "base/strings.h"
#include "network/cni_test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace berth::network {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const json::Value nothing{json::Object()};

Result<json::Value> call(
    const CniPluginFolder& folder,
    const std::string& command = "ADD",
    CniPatience limit = patience()) {
    return call_cni_plugin(
        folder.plugins(), "it", {.command = command, .container_id = "c1"}, nothing, limit);
}

bool is_alive(const std::string& pid_text) {
    const auto pid = parse_number<pid_t>(trim(pid_text));
    return pid.ok() && ::kill(*pid, 0) == 0;
}

TEST(CniPlugin, IsToldByEnvironmentAndInput) {
    const CniPluginFolder folder;
    folder.add_well_behaved("it");
    const auto answer = call_cni_plugin(
        folder.plugins(),
        "it",
        {.command = "ADD",
         .container_id = "c1",
         .netns = "/proc/1/ns/net",
         .interface_name = "eth7",
         .arguments = "A=1"},
        json::Value(json::Object{{"name", "net"}}),
        patience());
    ASSERT_TRUE(answer.ok()) << answer.error().message();
    EXPECT_EQ(json::find_string(*answer, "from"), "it");
    EXPECT_EQ(
        folder.environment("it", "ADD"),
        "CNI_ARGS=A=1\nCNI_COMMAND=ADD\nCNI_CONTAINERID=c1\nCNI_IFNAME=eth7\n"
        "CNI_NETNS=/proc/1/ns/net\nCNI_PATH=" +
            folder.path() + "\n");
    EXPECT_EQ(json::find_string(folder.input("it", "ADD"), "name"), "net");
}

TEST(CniPlugin, AnswersInItsOwnWords) {
    const CniPluginFolder folder;
    folder.add("it", R"(echo '{"code":7,"msg":"no subnet","details":"see line 3"}'; exit 1)");
    Error error = call(folder).error();
    EXPECT_EQ(error.message(), "CNI plugin it (ADD): no subnet; see line 3");
    EXPECT_EQ(error.kind(), ErrorKind::InvalidArgument);
    folder.add("it", R"(echo '{"code":11,"msg":"later"}'; exit 1)");
    EXPECT_EQ(call(folder).error().kind(), ErrorKind::Unavailable);
    folder.add("it", R"(echo '{"code":100,"msg":"mine"}'; exit 1)");
    EXPECT_EQ(call(folder).error().kind(), ErrorKind::Internal);
    folder.add("it", "echo 'the sky fell' >&2; kill -9 $$");
    EXPECT_EQ(
        call(folder).error().message(),
        "CNI plugin it (ADD): it ended with status 137: the sky fell");
}

TEST(CniPlugin, MayNotKnowWhatIsDeleted) {
    const CniPluginFolder folder;
    folder.add("it", R"(echo '{"code":3,"msg":"unknown"}'; exit 1)");
    EXPECT_TRUE(call(folder, "DEL").ok());
    EXPECT_FALSE(call(folder, "ADD").ok());
}

TEST(CniPlugin, IsKilledWithItsChildrenWhenItHangs) {
    const CniPluginFolder folder;
    folder.add("it", "sleep 1000 & echo $! > $home/child; echo $$ > $home/self; wait");
    const auto begin = std::chrono::steady_clock::now();
    const Error error = call(folder, "ADD", patience(milliseconds(500))).error();
    EXPECT_EQ(error.kind(), ErrorKind::DeadlineExceeded);
    EXPECT_EQ(error.message(), "CNI plugin it (ADD): it did not answer in time");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    EXPECT_TRUE(comes_true([&] { return !is_alive(folder.text("self")); }));
    EXPECT_TRUE(comes_true([&] { return !is_alive(folder.text("child")); }));
}

TEST(CniPlugin, IsKilledWhenNobodyWaitsAnyMore) {
    const CniPluginFolder folder;
    folder.add("it", "exec sleep 1000");
    Pipe pipe = Pipe::create().value();
    pipe.write_end.reset();
    CniPatience limit = patience();
    limit.stop = pipe.read_end;
    EXPECT_EQ(call(folder, "ADD", limit).error().kind(), ErrorKind::Cancelled);
}

TEST(CniPlugin, MayNotSayTooMuch) {
    const CniPluginFolder folder;
    folder.add("it", "exec yes '{\"a\":'");
    const Error error = call(folder).error();
    EXPECT_EQ(error.kind(), ErrorKind::ResourceExhausted);
    EXPECT_THAT(error.message(), HasSubstr("it answered more than 1 MiB"));
    // To its standard error it may: the last words are kept.
    folder.add("it", "yes nonsense | head -c 10000000 >&2; echo 'the end' >&2; exit 4");
    const std::string words = call(folder).error().message();
    EXPECT_THAT(words, AllOf(HasSubstr("status 4"), HasSubstr("the end")));
    EXPECT_LT(words.size(), 1500U);
}

TEST(CniPlugin, MayNotAnswerGarbage) {
    const CniPluginFolder folder;
    for (const char* script :
         {"echo hello", "head -c 1000 /dev/urandom", "echo '{} {}'", "echo '{\"ips\":[}'"}) {
        folder.add("it", script);
        EXPECT_THAT(call(folder).error().message(), HasSubstr("its answer cannot be read"));
    }
    folder.add("it", "head -c 20000 /dev/zero | tr '\\0' '['");
    EXPECT_FALSE(call(folder).ok()) << "nested too deep";
}

TEST(CniPlugin, IsNotWaitedForByWhatItLeavesRunning) {
    const CniPluginFolder folder;
    folder.add("it", "sleep 1000 & echo $! > $home/child; echo '{\"a\":1}'");
    const auto answer = call(folder);
    ASSERT_TRUE(answer.ok());
    EXPECT_NE(json::find(*answer, "a"), nullptr);
    const std::string child = folder.text("child");
    EXPECT_TRUE(is_alive(child)) << "a server that it has started goes on";
    ::kill(parse_number<pid_t>(trim(child)).value(), SIGKILL);
}

TEST(CniPlugin, NeedNotReadWhatItIsTold) {
    const CniPluginFolder folder;
    folder.add("it", "true");
    json::Array much;
    for (int i = 0; i < 100'000; ++i) {
        much.emplace_back("0123456789");
    }
    const auto answer =
        call_cni_plugin(folder.plugins(), "it", {.command = "DEL"}, json::Value(much), patience());
    ASSERT_TRUE(answer.ok());
    EXPECT_TRUE(answer->is_null());
}

TEST(CniPlugin, IsLookedForInTheFoldersAlone) {
    const CniPluginFolder first;
    const CniPluginFolder second;
    second.add("it", "true");
    const CniPlugins plugins{.directories = {first.path(), second.path()}};
    EXPECT_EQ(plugins.find("it").value(), second.path() + "/it");
    first.add("it", "true");
    EXPECT_EQ(plugins.find("it").value(), first.path() + "/it");
    EXPECT_EQ(
        plugins.find("none").error().message(),
        "CNI plugin \"none\" not found in " + first.path() + ", " + second.path());
    EXPECT_EQ(plugins.find("none").error().kind(), ErrorKind::NotFound);
    for (const char* name : {"", ".", "..", "../it", "/bin/sh", "a/b"}) {
        EXPECT_EQ(plugins.find(name).error().kind(), ErrorKind::InvalidArgument) << name;
    }
}

} // namespace
} // namespace berth::network
