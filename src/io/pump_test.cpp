// SPDX-License-Identifier: Apache-2.0
// Pumps between pipes and sockets: bytes, half-close, back-pressure, broken sinks.
#include "base/file.h"
#include "io/pump.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::io {
namespace {

struct SocketPair {
    UniqueFd ours;
    UniqueFd theirs;

    SocketPair() {
        std::array<int, 2> fds{};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
        ours.reset(fds[0]);
        theirs.reset(fds[1]);
    }
};

class PumpTest : public testing::Test {
  protected:
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::optional<Result<std::uint64_t>> result_;

    Pump::Done done() {
        return [this](Result<std::uint64_t> result) {
            result_ = std::move(result);
            loop_->stop();
        };
    }
};

TEST_F(PumpTest, CopiesEverythingAndHalfClosesASocket) {
    Pipe source = Pipe::create().value();
    SocketPair sink;
    const int sink_number = sink.ours.get();
    const UniqueFd kept = sink.ours.duplicate().value();
    ASSERT_TRUE(write_all(source.write_end, "hello").ok());
    source.write_end.reset();
    const auto pump = Pump::start(
        *loop_, std::move(source.read_end), std::move(sink.ours), {.prefix = ">> "}, done());
    ASSERT_TRUE(pump.ok());
    loop_->run();
    EXPECT_EQ(result_->value(), 8U);
    EXPECT_EQ(read_all(sink.theirs, 100).value(), ">> hello");
    // The other direction still works: it was only closed for writing.
    ASSERT_TRUE(write_all(sink.theirs, "back").ok());
    std::array<char, 8> answer{};
    EXPECT_EQ(read(kept.get(), answer.data(), answer.size()), 4);
    EXPECT_EQ(fcntl(sink_number, F_GETFD), -1) << "the pump closes what it owned";
}

TEST_F(PumpTest, WaitsForASlowSinkWithoutHoldingMoreThanItsBuffer) {
    constexpr std::size_t total = 4U << 20;
    SocketPair source;
    SocketPair sink;
    const auto pump = Pump::start(
        *loop_, std::move(source.ours), std::move(sink.ours), {.buffer_size = 4096}, done());
    ASSERT_TRUE(pump.ok());
    std::thread writer([&] {
        EXPECT_TRUE(write_all(source.theirs, std::string(total, 'x')).ok());
        source.theirs.reset();
    });
    std::string received;
    std::thread reader([&] { received = read_all(sink.theirs, total * 2).value(); });
    loop_->run();
    writer.join();
    reader.join();
    EXPECT_EQ(result_->value(), total);
    EXPECT_EQ(received.size(), total);
}

TEST_F(PumpTest, DeliversWhatWasReadWhenTheSourceHangsUpBeforeTheSinkIsReady) {
    SocketPair source;
    Pipe sink = Pipe::create().value();
    const std::string much(256U << 10, 'y');
    const auto pump = Pump::start(
        *loop_,
        std::move(source.ours),
        std::move(sink.write_end),
        {.buffer_size = much.size()},
        done());
    ASSERT_TRUE(pump.ok());
    int buffer = 1 << 20;
    setsockopt(source.theirs.get(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    ASSERT_TRUE(write_all(source.theirs, much).ok());
    source.theirs.reset();
    // The pipe takes 64 KiB: the pump is stuck while its source has hung up.
    for (int i = 0; i < 5; ++i) {
        loop_->run_once(std::chrono::nanoseconds(0));
    }
    std::string received;
    std::thread reader([&] { received = read_all(sink.read_end, 1U << 20).value(); });
    loop_->run();
    reader.join();
    EXPECT_EQ(received.size(), much.size());
}

TEST_F(PumpTest, TellsThatTheSinkIsGoneEvenWhenTheSourceIsSilent) {
    SocketPair source;
    SocketPair sink;
    const auto pump = Pump::start(*loop_, std::move(source.ours), std::move(sink.ours), {}, done());
    ASSERT_TRUE(pump.ok());
    sink.theirs.reset();
    loop_->run();
    EXPECT_EQ(result_->error().error_number(), EPIPE);
}

} // namespace
} // namespace berth::io
