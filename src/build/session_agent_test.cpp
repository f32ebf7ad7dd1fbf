// SPDX-License-Identifier: Apache-2.0
// A step's socket, and an agent at the other end of a client's session.
#include "base/file.h"
#include "build/proto/session.pb.h"
#include "build/session_agent.h"
#include "build/session_test_support.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <thread>

#include <sys/socket.h>
#include <sys/time.h>

namespace berth::build {

namespace {

constexpr std::size_t agent_connections = 16; // of one step at a time

// As the agent's protocol has it: a length of four bytes, then that many.
std::string framed(const std::string& body) {
    std::string frame(4, '\0');
    for (std::size_t i = 0; i < 4; ++i) {
        frame[i] = static_cast<char>(body.size() >> (8 * (3 - i)) & 0xffU);
    }
    return frame + body;
}

// The first whole frame's body, taken out of the bytes.
std::optional<std::string> take_frame(std::string& bytes) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4 && i < bytes.size(); ++i) {
        size = size << 8U | static_cast<unsigned char>(bytes[i]);
    }
    if (bytes.size() < 4 || bytes.size() < 4 + size) {
        return std::nullopt;
    }
    std::string body = bytes.substr(4, size);
    bytes.erase(0, 4 + size);
    return body;
}

bool send_bytes(RpcCall& call, const std::string& bytes) {
    session::BytesMessage message;
    message.set_data(bytes);
    return call.write(message.SerializeAsString());
}

// False: the step has said all.
bool receive_bytes(RpcCall& call, std::string& bytes) {
    std::string text;
    session::BytesMessage message;
    if (!call.read(text)) {
        return false;
    }
    EXPECT_TRUE(message.ParseFromString(text));
    bytes += message.data();
    return true;
}

// Answers every frame until the step has said all.
Result<void> answer_frames(RpcCall& call) {
    std::string bytes;
    while (receive_bytes(call, bytes)) {
        while (const auto body = take_frame(bytes)) {
            if (!send_bytes(call, framed("answer to " + *body))) {
                return ok();
            }
        }
    }
    return ok();
}

class SessionAgent : public SessionTest {
  protected:
    void start(RpcHandler agent) {
        open_session({"/moby.sshforward.v1.SSH/ForwardAgent"}, std::move(agent));
        directory_.emplace(TemporaryDirectory::create("/tmp").value());
        forward_ =
            start_agent_forward(session_, "work", kernel::listen_unix(socket_path(), 0600).value())
                .value();
    }

    std::string socket_path() const { return directory_->path() + "/agent"; }

    UniqueFd connect() const {
        UniqueFd socket = kernel::connect_unix(socket_path()).value();
        const timeval limit{.tv_sec = session_deadline.count(), .tv_usec = 0};
        EXPECT_EQ(setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
        return socket;
    }

    static void say(FdRef socket, const std::string& bytes) {
        EXPECT_EQ(
            ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
    }

    // The next frame's body; "the end" when there is none.
    static std::string hear(FdRef socket) {
        std::string bytes = take(socket, 4);
        std::size_t size = 0;
        for (const char byte : bytes) {
            size = size << 8U | static_cast<unsigned char>(byte);
        }
        bytes += bytes.size() == 4 ? take(socket, size) : "";
        return take_frame(bytes).value_or("the end");
    }

    // Less when the connection ends before.
    static std::string take(FdRef socket, std::size_t size) {
        std::string bytes(size, '\0');
        std::size_t taken = 0;
        while (taken < size) {
            const ssize_t count = ::read(socket.get(), bytes.data() + taken, size - taken);
            if (count <= 0) {
                EXPECT_FALSE(count < 0 && errno != ECONNRESET) << "no answer in time";
                break;
            }
            taken += static_cast<std::size_t>(count);
        }
        bytes.resize(taken);
        return bytes;
    }

    // What agents use is there until the last of their calls has ended.
    void TearDown() override {
        forward_.reset();
        session_.reset();
        client_.reset();
    }

    Event began_;
    Event ended_;
    Event released_;
    std::string seen_;
    int calls_ = 0;
    std::optional<TemporaryDirectory> directory_;
    std::unique_ptr<AgentForward> forward_;
};

} // namespace

TEST_F(SessionAgent, AnswersAsTheOneThatWasAskedFor) {
    start([this](RpcCall& call) -> Result<void> {
        seen_ = call.method();
        for (const auto& [name, value] : call.metadata()) {
            seen_ += name == "buildkit.ssh.id" ? " " + value : "";
        }
        return answer_frames(call);
    });
    const UniqueFd step = connect();
    for (const char* question : {"first", "second", ""}) {
        say(step, framed(question));
        EXPECT_EQ(hear(step), std::string("answer to ") + question);
    }
    EXPECT_EQ(seen_, "/moby.sshforward.v1.SSH/ForwardAgent work");
}

TEST_F(SessionAgent, GetsMessagesInWhateverPiecesTheyCome) {
    start([this](RpcCall& call) -> Result<void> {
        while (receive_bytes(call, seen_)) {
            began_.happen();
            while (const auto body = take_frame(seen_)) {
                const std::string answer = framed("answer to " + *body);
                EXPECT_TRUE(send_bytes(call, answer.substr(0, 3)));
                EXPECT_TRUE(send_bytes(call, ""));
                EXPECT_TRUE(send_bytes(call, answer.substr(3)));
            }
        }
        return ok();
    });
    const UniqueFd step = connect();
    const std::string question = framed("slow");
    say(step, question.substr(0, 2));
    ASSERT_TRUE(began_.wait(1)); // the half goes on at once
    say(step, question.substr(2, 3));
    ASSERT_TRUE(began_.wait(2));
    // The rest, and the beginning of the next one.
    say(step, question.substr(5) + framed("next").substr(0, 5));
    EXPECT_EQ(hear(step), "answer to slow");
    say(step, framed("next").substr(5));
    EXPECT_EQ(hear(step), "answer to next");
}

TEST_F(SessionAgent, CarriesMoreThanOneMessageHolds) {
    start(answer_frames);
    const UniqueFd step = connect();
    std::string large(1U << 20, 'x');
    for (std::size_t i = 0; i < large.size(); i += 1000) {
        large[i] = static_cast<char>(i / 1000);
    }
    std::thread writer([&] { EXPECT_TRUE(write_all(step, framed(large)).ok()); });
    EXPECT_EQ(hear(step), "answer to " + large);
    writer.join();
}

TEST_F(SessionAgent, ServesSeveralAtOnce) {
    start(answer_frames);
    std::vector<UniqueFd> steps;
    for (std::size_t i = 0; i < agent_connections; ++i) {
        steps.push_back(connect());
        say(steps.back(), framed(std::to_string(i)).substr(0, 3));
    }
    for (std::size_t i = agent_connections; i-- > 0;) {
        say(steps[i], framed(std::to_string(i)).substr(3));
        EXPECT_EQ(hear(steps[i]), "answer to " + std::to_string(i));
    }
    // One more is turned away, and takes nothing from the others.
    EXPECT_EQ(hear(connect()), "the end");
    say(steps[0], framed("still"));
    EXPECT_EQ(hear(steps[0]), "answer to still");
    // When one has gone, there is room again.
    steps.pop_back();
    const auto end = std::chrono::steady_clock::now() + session_deadline;
    std::string answer = "the end";
    while (answer == "the end" && std::chrono::steady_clock::now() < end) {
        const UniqueFd next = connect();
        ::send(next.get(), "\0\0\0\1n", 5, MSG_NOSIGNAL);
        answer = hear(next);
    }
    EXPECT_EQ(answer, "answer to n");
}

TEST_F(SessionAgent, HearsWhenTheStepHasSaidAll) {
    start([this](RpcCall& call) -> Result<void> {
        std::string bytes;
        while (receive_bytes(call, bytes)) {
        }
        EXPECT_TRUE(send_bytes(call, framed("after all")));
        ended_.happen();
        return ok();
    });
    // The other direction stays open.
    const UniqueFd half = connect();
    ASSERT_EQ(::shutdown(half.get(), SHUT_WR), 0);
    EXPECT_EQ(hear(half), "after all");
    EXPECT_EQ(hear(half), "the end");
    connect().reset();
    EXPECT_TRUE(ended_.wait(2));
}

TEST_F(SessionAgent, MayBeGoneInTheMidst) {
    start([this](RpcCall& call) -> Result<void> {
        std::string bytes;
        if (++calls_ == 1) {
            EXPECT_TRUE(receive_bytes(call, bytes));
            EXPECT_TRUE(send_bytes(call, framed("half").substr(0, 6)));
            return Error(ErrorKind::Unavailable, "the agent has gone");
        }
        return answer_frames(call);
    });
    const UniqueFd step = connect();
    say(step, framed("first"));
    EXPECT_EQ(hear(step), "the end");
    // It may come back.
    const UniqueFd next = connect();
    say(next, framed("second"));
    EXPECT_EQ(hear(next), "answer to second");
}

TEST_F(SessionAgent, MayTalkToAStepThatHasGone) {
    start([this](RpcCall& call) -> Result<void> {
        std::string bytes;
        EXPECT_TRUE(receive_bytes(call, bytes));
        EXPECT_TRUE(released_.wait());
        while (send_bytes(call, std::string(64U << 10, 'x')) && receive_bytes(call, bytes)) {
        }
        (void)send_bytes(call, std::string(64U << 10, 'x'));
        ended_.happen();
        return ok();
    });
    UniqueFd step = connect();
    say(step, "x");
    step.reset();
    released_.happen();
    EXPECT_TRUE(ended_.wait());
}

TEST_F(SessionAgent, EndsAConnectionThatIsNone) {
    start([](RpcCall& call) -> Result<void> {
        EXPECT_TRUE(call.write("\xff\xff\xff no message"));
        std::string bytes;
        EXPECT_FALSE(receive_bytes(call, bytes));
        return ok();
    });
    EXPECT_EQ(hear(connect()), "the end");
}

TEST_F(SessionAgent, EndsWithTheStepWhateverItsClientDoes) {
    start([this](RpcCall& call) -> Result<void> {
        const std::stop_callback on_stop(call.stop(), [this] { ended_.happen(); });
        began_.happen();
        EXPECT_TRUE(released_.wait()); // neither reads nor ends
        return ok();
    });
    const UniqueFd silent = connect();
    const UniqueFd eager = connect();
    ASSERT_TRUE(began_.wait(2));
    std::thread writer([&] { // until nobody takes any more
        const std::string much(1U << 20, 'x');
        while (::send(eager.get(), much.data(), much.size(), MSG_NOSIGNAL) > 0) {
        }
    });
    forward_.reset();
    EXPECT_EQ(hear(silent), "the end");
    writer.join();
    EXPECT_TRUE(ended_.wait(2));
    released_.happen();
    // Nobody listens any more.
    EXPECT_FALSE(kernel::connect_unix(socket_path()).ok());
}

TEST_F(SessionAgent, IsGoneWithItsClient) {
    start([this](RpcCall& call) -> Result<void> {
        began_.happen();
        return answer_frames(call);
    });
    const UniqueFd step = connect();
    ASSERT_TRUE(began_.wait());
    client_.reset();
    EXPECT_EQ(hear(step), "the end");
    EXPECT_EQ(hear(connect()), "the end");
}

} // namespace berth::build
