// SPDX-License-Identifier: Apache-2.0
// A client's session as it is, over gRPC on both ends of a connection: a test answers its calls.
#pragma once

#include "base/result.h"
#include "build/builder_test_support.h"
#include "build/client_sessions.h"
#include "build/rpc.h"
#include "kernel/socket.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace berth::build {

inline constexpr std::chrono::seconds session_deadline{20};

// Something that happens on another thread.
class Event {
  public:
    void happen() {
        const std::lock_guard lock(mutex_);
        ++times_;
        changed_.notify_all();
    }

    bool wait(int times = 1) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, session_deadline, [&] { return times_ >= times; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int times_ = 0;
};

class SessionTest : public testing::Test {
  protected:
    // What the client exposes, and how it answers. REQUIRES: before other calls.
    void open_session(std::vector<std::string> methods, RpcHandler answer) {
        auto transport =
            load_rpc_transport(program_directory() + "/" + std::string(rpc_module_name));
        ASSERT_TRUE(transport.ok()) << transport.error().message();
        auto [ours, theirs] = kernel::socket_pair(SOCK_STREAM).value();
        client_ = (*transport)->serve(std::move(answer)).value();
        ASSERT_TRUE(client_->add_connection(std::move(theirs)).ok());
        session_ = std::make_shared<ClientSession>(
            SessionInfo{.id = "one", .name = {}, .methods = std::move(methods)},
            (*transport)->connect(std::move(ours)).value());
    }

    std::unique_ptr<RpcServer> client_;
    std::shared_ptr<ClientSession> session_;
};

} // namespace berth::build
