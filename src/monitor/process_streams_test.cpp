// SPDX-License-Identifier: Apache-2.0
// Streams of a process whose part the test plays: it holds the other ends of the pipes.
#include "base/file.h"
#include "io/log_file.h"
#include "kernel/socket.h"
#include "monitor/process_streams.h"

#include <gtest/gtest.h>

#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::monitor {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""ns;
using std::chrono_literals::operator""s;

class ProcessStreamsTest : public testing::Test {
  protected:
    std::unique_ptr<io::EventLoop> loop_ = io::EventLoop::create().value();
    Scratch scratch_{*loop_};
    std::unique_ptr<ProcessStreams> streams_;
    ProcessStreams::ProcessEnds process_;
    int drained_ = 0;
    int idle_ = 0;
    int detached_ = 0;

    void open(ProcessStreams::Options options) {
        streams_ = std::make_unique<ProcessStreams>(
            *loop_,
            scratch_,
            options,
            ProcessStreams::Handlers{
                .on_drained = [this] { ++drained_; },
                .on_idle = [this] { ++idle_; },
                .on_detach = [this] { ++detached_; }});
        if (options.terminal) {
            auto pair = io::PseudoTerminal::open().value();
            process_.in = std::move(pair.slave);
            streams_->set_terminal(std::move(pair.master));
        } else {
            process_ = streams_->make_pipes().value();
        }
        ASSERT_TRUE(streams_->open().ok());
    }

    UniqueFd attach(AttachStreams streams) {
        kernel::SocketPair pair = kernel::socket_pair(SOCK_STREAM).value();
        EXPECT_TRUE(streams_->attach(std::move(pair.first), std::move(streams)).ok());
        return std::move(pair.second);
    }

    void settle() {
        for (int i = 0; i < 20; ++i) {
            loop_->run_once(0ns);
        }
    }

    // What can be read now.
    static std::string take(const UniqueFd& fd) {
        std::string all;
        std::array<char, 65536> bytes;
        pollfd readable{.fd = fd.get(), .events = POLLIN, .revents = 0};
        while (poll(&readable, 1, 0) == 1) {
            const ssize_t count = read(fd.get(), bytes.data(), bytes.size());
            if (count <= 0) {
                break;
            }
            all.append(bytes.data(), static_cast<std::size_t>(count));
        }
        return all;
    }

    // A terminal passes bytes on in a kernel worker: they come soon, not at once.
    template <class Condition>
    void wait_until(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + 5s;
        while (!condition() && std::chrono::steady_clock::now() < deadline) {
            loop_->run_once(1ms);
        }
    }

    std::string wait_for(const UniqueFd& fd, std::size_t size) {
        std::string all;
        wait_until([&] { return (all += take(fd)).size() >= size; });
        return all;
    }

    static bool at_end(const UniqueFd& fd) {
        char byte = 0;
        return recv(fd.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
    }

    void end_process() {
        process_ = {};
        streams_->process_ended();
        settle();
    }

    static AttachStreams all() {
        return {.want_stdin = true, .want_stdout = true, .want_stderr = true};
    }
};

TEST_F(ProcessStreamsTest, OutputGoesToEveryClientThatAskedForIt) {
    open({});
    const UniqueFd multiplexed =
        attach({.want_stdout = true, .want_stderr = true, .multiplexed = true});
    const UniqueFd only_out = attach({.want_stdout = true});
    ASSERT_TRUE(write_all(process_.out, "out").ok());
    settle();
    ASSERT_TRUE(write_all(process_.err, "err").ok());
    settle();
    std::string expected;
    io::append_frame(expected, io::Stream::Stdout, "out");
    io::append_frame(expected, io::Stream::Stderr, "err");
    EXPECT_EQ(take(multiplexed), expected);
    EXPECT_EQ(take(only_out), "out");
}

TEST_F(ProcessStreamsTest, InputEndsWithTheFirstClientOnlyIfThatWasAskedFor) {
    open({.open_stdin = true, .close_stdin_with_client = true});
    AttachStreams streams = all();
    streams.leftover = "first ";
    const UniqueFd client = attach(streams);
    ASSERT_TRUE(write_all(client, "then").ok());
    settle();
    EXPECT_EQ(take(process_.in), "first then");
    shutdown(client.get(), SHUT_WR);
    settle();
    std::array<char, 8> bytes{};
    EXPECT_EQ(read(process_.in.get(), bytes.data(), bytes.size()), 0);
    // Output still reaches the half-closed client.
    ASSERT_TRUE(write_all(process_.out, "answer").ok());
    settle();
    EXPECT_EQ(take(client), "answer");
}

TEST_F(ProcessStreamsTest, AClientThatEndsItsInputLeavesWhereStdinStaysOpen) {
    open({.open_stdin = true});
    const UniqueFd client = attach(all());
    const UniqueFd other = attach(all());
    shutdown(client.get(), SHUT_WR);
    settle();
    EXPECT_TRUE(at_end(client));
    ASSERT_TRUE(write_all(other, "more").ok());
    settle();
    EXPECT_EQ(take(process_.in), "more");
}

TEST_F(ProcessStreamsTest, InputOfAClientThatVanishedAtOnceStillArrives) {
    open({.open_stdin = true, .close_stdin_with_client = true});
    UniqueFd client = attach(all());
    const std::string much(150'000, 'i'); // more than the pipe takes
    ASSERT_TRUE(write_all(client, much).ok());
    client.reset();
    settle();
    std::string received;
    std::thread process([&] { received = read_all(process_.in, 1U << 20).value(); });
    for (int i = 0; i < 200; ++i) {
        loop_->run_once(1ms);
    }
    process.join();
    EXPECT_EQ(received.size(), much.size());
    EXPECT_FALSE(streams_->has_clients());
}

TEST_F(ProcessStreamsTest, ASlowClientHoldsTheOutputBackWithinABound) {
    open({});
    const UniqueFd slow = attach({.want_stdout = true});
    ASSERT_TRUE(io::set_nonblocking(process_.out).ok());
    const std::string block(4096, 'x');
    std::size_t written = 0;
    while (true) {
        const ssize_t count = write(process_.out.get(), block.data(), block.size());
        if (count < 0) {
            const std::size_t before = written;
            settle();
            const ssize_t again = write(process_.out.get(), block.data(), block.size());
            if (again < 0) {
                EXPECT_EQ(before, written);
                break;
            }
            written += static_cast<std::size_t>(again);
            continue;
        }
        written += static_cast<std::size_t>(count);
    }
    EXPECT_GT(written, client_queue_limit);
    EXPECT_LT(written, client_queue_limit + (1U << 20));
    // The process ends; everything is still delivered, and only then the connection ends.
    end_process();
    EXPECT_EQ(drained_, 1);
    EXPECT_EQ(idle_, 0);
    std::size_t received = 0;
    while (!at_end(slow) && received < written) {
        received += take(slow).size();
        settle();
    }
    settle();
    EXPECT_EQ(received, written);
    EXPECT_TRUE(at_end(slow));
    EXPECT_EQ(idle_, 1);
}

TEST_F(ProcessStreamsTest, AClientThatGoesAwayFreesTheOthers) {
    open({});
    UniqueFd slow = attach({.want_stdout = true});
    const UniqueFd quick = attach({.want_stdout = true});
    ASSERT_TRUE(io::set_nonblocking(process_.out).ok());
    const std::string block(65536, 'x');
    std::size_t received = 0;
    for (int i = 0; i < 60; ++i) {
        (void)!write(process_.out.get(), block.data(), block.size());
        settle();
        received += take(quick).size();
    }
    EXPECT_LT(received, std::size_t{60} * 65536);
    slow.reset();
    const std::size_t before = received;
    for (int i = 0; i < 60; ++i) {
        settle();
        (void)!write(process_.out.get(), block.data(), block.size());
        settle();
        received += take(quick).size();
    }
    EXPECT_GT(received, before + std::size_t{50} * 65536);
}

TEST_F(ProcessStreamsTest, DetachKeysEndTheSessionOfATerminalOnly) {
    open({.terminal = true, .open_stdin = true});
    AttachStreams streams = all();
    streams.detach_sequence = "\x10\x11";
    const UniqueFd client = attach(streams);
    ASSERT_TRUE(write_all(client, "ls\n\x10\x11").ok());
    settle();
    EXPECT_EQ(detached_, 1);
    EXPECT_FALSE(streams_->has_clients());
    EXPECT_EQ(wait_for(process_.in, 3), "ls\n");
}

TEST_F(ProcessStreamsTest, TheTerminalsOutputIsRawAndItsSizeCanBeSet) {
    open({.terminal = true, .open_stdin = true});
    AttachStreams streams = all();
    streams.multiplexed = true;
    const UniqueFd client = attach(streams);
    ASSERT_TRUE(write_all(process_.in, "hi").ok());
    ASSERT_TRUE(streams_->resize({.rows = 5, .columns = 7}).ok());
    EXPECT_EQ(wait_for(client, 2), "hi");
    EXPECT_EQ(io::terminal_size(process_.in).value().columns, 7);
    end_process();
    wait_until([&] { return idle_ == 1; });
    EXPECT_EQ(drained_, 1);
    EXPECT_EQ(idle_, 1);
    EXPECT_TRUE(at_end(client));
}

TEST_F(ProcessStreamsTest, WhatIsInThePipesAtTheEndIsDeliveredAndLogged) {
    const auto directory = TemporaryDirectory::create("/tmp").value();
    auto log = io::LogWriter::open({.directory = directory.path()}).value();
    open({.log = &log});
    const UniqueFd client = attach({.want_stdout = true, .want_stderr = true});
    ASSERT_TRUE(write_all(process_.out, "last words").ok());
    ASSERT_TRUE(write_all(process_.err, "!").ok());
    process_ = {};
    streams_->process_ended(); // without a round of the loop
    EXPECT_EQ(drained_, 1);
    EXPECT_EQ(take(client), "last words!");
    auto reader = io::LogReader::open({.directory = directory.path()}).value();
    EXPECT_EQ(reader.next().value()->bytes, "last words");
    EXPECT_EQ(reader.next().value()->bytes, "!");
    EXPECT_FALSE(
        streams_->attach(std::move(kernel::socket_pair(SOCK_STREAM).value().first), {}).ok());
}

// Has room when it is told so.
class NarrowLog final : public io::LogOutput {
  public:
    Result<void> append(io::Stream, Timestamp, std::string_view bytes) override {
        text += bytes;
        return ok();
    }

    Result<void> finish(io::Stream) override {
        text += '$';
        return ok();
    }

    bool has_room(std::size_t) override { return roomy; }

    bool roomy = true;
    std::string text;
};

TEST_F(ProcessStreamsTest, AProcessWaitsWhileItsLogHasNoRoom) {
    NarrowLog log;
    open({.log = &log});
    const UniqueFd client = attach({.want_stdout = true});
    ASSERT_TRUE(write_all(process_.out, "one").ok());
    settle();
    log.roomy = false;
    ASSERT_TRUE(write_all(process_.out, "two").ok());
    settle();
    EXPECT_EQ(log.text, "one");
    EXPECT_EQ(take(client), "one");
    log.roomy = true;
    wait_until([&] { return log.text == "onetwo"; });
    EXPECT_EQ(take(client), "two");
    // At its end nothing is left behind for want of room.
    log.roomy = false;
    ASSERT_TRUE(write_all(process_.out, "three").ok());
    settle();
    EXPECT_EQ(log.text, "onetwo");
    end_process();
    EXPECT_EQ(drained_, 1);
    EXPECT_EQ(log.text, "onetwothree$$");
}

TEST_F(ProcessStreamsTest, OutputOfSurvivingChildrenIsWaitedForOnlySoLong) {
    open({});
    const UniqueFd client = attach({.want_stdout = true});
    const auto begin = std::chrono::steady_clock::now();
    streams_->process_ended(); // its pipe is still open elsewhere
    settle();
    EXPECT_EQ(drained_, 0);
    ASSERT_TRUE(write_all(process_.out, "late").ok());
    while (drained_ == 0) {
        loop_->run_once(std::nullopt);
    }
    EXPECT_GE(std::chrono::steady_clock::now() - begin, drain_limit);
    EXPECT_EQ(take(client), "late");
    EXPECT_TRUE(at_end(client));
}

TEST_F(ProcessStreamsTest, WhatIsNoStreamSocketIsRefused) {
    open({});
    EXPECT_FALSE(streams_->attach(open_file("/dev/null", O_RDWR).value(), {}).ok());
    EXPECT_FALSE(streams_->has_clients());
}

TEST_F(ProcessStreamsTest, UnreadInputDoesNotTurnTheEndIntoAnError) {
    open({.open_stdin = true});
    const UniqueFd client = attach(all());
    ASSERT_TRUE(write_all(process_.out, "bye").ok());
    settle();
    ASSERT_TRUE(write_all(client, "nobody reads this").ok());
    end_process();
    EXPECT_EQ(take(client), "bye");
    EXPECT_TRUE(at_end(client));
}

} // namespace
} // namespace berth::monitor
