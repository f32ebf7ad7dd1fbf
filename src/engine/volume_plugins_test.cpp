// SPDX-License-Identifier: Apache-2.0
// Plugins that mean no good: what they send is bounded in size and time. Those that behave are
// in tests/system/test_volume_plugins.py.
#include "base/file.h"
#include "engine/volume_plugins.h"
#include "http/test_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

namespace berth::engine {
namespace {

using std::chrono::milliseconds;

void wait_for_stop(const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait(lock, stop, [] { return false; });
}

// A volume plugin "evil" that answers as the test says.
class HostilePlugin : public testing::Test {
  protected:
    using Answer = std::function<void(
        const std::stop_token& stop, const http::Request& request, http::ResponseWriter& out)>;

    void begin(Answer answer) {
        server_ = std::make_unique<http::TestServer>([answer = std::move(answer)](
                                                         const std::stop_token& stop,
                                                         http::Request& request,
                                                         http::Body&,
                                                         http::ResponseWriter& out) {
            if (request.target == "/Plugin.Activate") {
                EXPECT_TRUE(out.respond(200, {}, R"({"Implements":["VolumeDriver"]})").ok());
            } else {
                answer(stop, request, out);
            }
        });
        ASSERT_TRUE(replace_file(folder_.path() + "/evil.spec", "unix://" + server_->path()).ok());
        plugins_ = std::make_unique<VolumePlugins>(VolumePlugins::Options{
            .sockets = folder_.path() + "/none",
            .specifications = {folder_.path()},
            .long_time = milliseconds(200),
            .short_time = milliseconds(100),
            .glance_time = milliseconds(20)});
    }

    TemporaryDirectory folder_ = TemporaryDirectory::create("/tmp").value();
    std::unique_ptr<http::TestServer> server_;
    std::unique_ptr<VolumePlugins> plugins_;
};

TEST_F(HostilePlugin, IsGivenUpWhenItIsSilent) {
    begin([](const std::stop_token& stop, const auto&, auto&) { wait_for_stop(stop); });
    EXPECT_FALSE(plugins_->create("evil", "v", {}).ok());
    EXPECT_FALSE(plugins_->list("evil", VolumePlugins::Patience::None).ok());
    EXPECT_EQ(plugins_->scope("evil"), "local");
}

TEST_F(HostilePlugin, IsNotAskedInPassingForAWhileAfterItWasSilent) {
    std::atomic<int> asked = 0;
    begin([&asked](const std::stop_token& stop, const auto&, auto&) {
        ++asked;
        wait_for_stop(stop);
    });
    const auto first = plugins_->list("evil", VolumePlugins::Patience::None);
    ASSERT_FALSE(first.ok());
    EXPECT_NE(
        first.error().message().find("VolumeDriver.List: the plugin at unix://"), std::string::npos)
        << first.error().message();
    const auto second = plugins_->list("evil", VolumePlugins::Patience::None);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().message(), "it did not answer lately");
    EXPECT_EQ(asked, 1);
    // Who names it asks it.
    EXPECT_FALSE(plugins_->get("evil", "v").ok());
    EXPECT_GT(asked, 1);
}

TEST_F(HostilePlugin, IsGivenUpWhenItDrips) {
    begin([](const std::stop_token& stop, const auto&, http::ResponseWriter& out) {
        bool goes_on = out.begin(200, {}).ok();
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any never;
        while (goes_on && !stop.stop_requested()) {
            goes_on = out.write(" ").ok();
            never.wait_for(lock, stop, milliseconds(10), [] { return false; });
        }
    });
    EXPECT_FALSE(plugins_->mount("evil", "v", "user").ok());
    EXPECT_FALSE(plugins_->get("evil", "v").ok());
}

TEST_F(HostilePlugin, IsHeardInPartWhenItTellsTooMuch) {
    begin([](const auto&, const http::Request& request, http::ResponseWriter& out) {
        const std::string words(1U << 20, 'x');
        const bool is_mount = request.target == "/VolumeDriver.Mount";
        const std::string field = is_mount ? "Mountpoint" : "Err";
        [[maybe_unused]] auto sent = out.respond(200, {}, "{\"" + field + "\":\"/" + words + "\"}");
    });
    EXPECT_LT(plugins_->remove("evil", "v").error().message().size(), 8192U);
    const auto mounted = plugins_->mount("evil", "v", "user");
    ASSERT_FALSE(mounted.ok());
    EXPECT_NE(mounted.error().message().find("no absolute path"), std::string::npos);
}

TEST_F(HostilePlugin, IsNotReadWithoutAnEnd) {
    begin([](const std::stop_token& stop, const auto&, http::ResponseWriter& out) {
        const std::string spaces(1U << 20, ' ');
        bool goes_on = out.begin(200, {}).ok();
        while (goes_on && !stop.stop_requested()) {
            goes_on = out.write(spaces).ok();
        }
    });
    EXPECT_FALSE(plugins_->unmount("evil", "v", "user").ok());
}

} // namespace
} // namespace berth::engine
