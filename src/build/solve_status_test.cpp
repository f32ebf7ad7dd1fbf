// SPDX-License-Identifier: Apache-2.0
// What a client is told of a build's steps, message by message.
#include "build/proto/control.pb.h"
#include "build/solve_status.h"

#include <gtest/gtest.h>

#include <thread>

namespace berth::build {

namespace {

using Outcome = BuildObserver::Outcome;

constexpr std::size_t log_limit = 2U << 20;

std::int64_t nanoseconds(const control::Time& time) {
    return time.seconds() * 1'000'000'000 + time.nanos();
}

class SolveStatusTest : public testing::Test {
  protected:
    control::StatusResponse last() const {
        EXPECT_FALSE(told_.empty());
        return told_.empty() ? control::StatusResponse() : told_.back();
    }

    // All that was logged of a vertex.
    std::string logged(const std::string& digest) const {
        std::string text;
        for (const control::StatusResponse& response : told_) {
            for (const control::VertexLog& log : response.logs()) {
                text += log.vertex() == digest ? log.msg() : "";
            }
        }
        return text;
    }

    std::vector<control::StatusResponse> told_;
    SolveStatus status_{"ref", [this](const std::string& message) {
                            control::StatusResponse response;
                            EXPECT_TRUE(response.ParseFromString(message)); // and so by a client
                            told_.push_back(std::move(response));
                        }};
};

std::string message_of_logs(std::size_t bytes) {
    control::StatusResponse response;
    response.add_logs()->set_msg(std::string(bytes, 'x'));
    return response.SerializeAsString();
}

std::string message_of_vertex(const std::string& name) {
    control::StatusResponse response;
    response.add_vertexes()->set_name(name);
    return response.SerializeAsString();
}

// Names of vertices, and the number of messages with output.
struct Followed {
    std::string names;
    int logs = 0;
};

// From the beginning until there are no more.
Followed follow(StatusLog& log) {
    Followed followed;
    std::string message;
    for (std::size_t number = 0; log.read({}, number, message); ++number) {
        control::StatusResponse response;
        EXPECT_TRUE(response.ParseFromString(message));
        for (const control::Vertex& vertex : response.vertexes()) {
            followed.names += vertex.name();
        }
        followed.logs += response.logs_size() > 0 ? 1 : 0;
    }
    return followed;
}

} // namespace

TEST_F(SolveStatusTest, TellsOfAStepsBeginningAndEnd) {
    const auto vertex = status_.begin("[1/2] FROM busybox");
    ASSERT_EQ(last().vertexes_size(), 1);
    const control::Vertex begun = last().vertexes(0);
    EXPECT_EQ(begun.name(), "[1/2] FROM busybox");
    EXPECT_TRUE(begun.digest().starts_with("sha256:"));
    EXPECT_EQ(begun.digest().size(), 71U);
    EXPECT_EQ(begun.inputs_size(), 0);
    EXPECT_TRUE(begun.has_started());
    EXPECT_FALSE(begun.has_completed());
    status_.end(vertex, Outcome::Done, "");
    ASSERT_EQ(last().vertexes_size(), 1);
    const control::Vertex ended = last().vertexes(0);
    EXPECT_EQ(ended.digest(), begun.digest());
    EXPECT_EQ(ended.name(), begun.name());
    EXPECT_EQ(nanoseconds(ended.started()), nanoseconds(begun.started()));
    EXPECT_GE(nanoseconds(ended.completed()), nanoseconds(ended.started()));
    EXPECT_FALSE(ended.cached());
    EXPECT_EQ(ended.error(), "");
    EXPECT_EQ(told_.size(), 2U);
}

TEST_F(SolveStatusTest, SaysWhatWasCachedAndWhatFailed) {
    status_.end(status_.begin("one"), Outcome::Cached, "");
    EXPECT_TRUE(last().vertexes(0).cached());
    EXPECT_TRUE(last().vertexes(0).has_completed());
    EXPECT_EQ(last().vertexes(0).error(), "");
    status_.end(status_.begin("two"), Outcome::Failed, "exit code: 7");
    EXPECT_FALSE(last().vertexes(0).cached());
    EXPECT_TRUE(last().vertexes(0).has_completed());
    EXPECT_EQ(last().vertexes(0).error(), "exit code: 7");
}

TEST_F(SolveStatusTest, KeepsStepsApartAndInOrder) {
    std::set<std::string> digests;
    std::string before;
    for (const char* name : {"RUN true", "RUN true", "RUN false"}) {
        status_.begin(name);
        const control::Vertex vertex = last().vertexes(0);
        EXPECT_TRUE(digests.insert(vertex.digest()).second) << "the same digest again";
        ASSERT_EQ(vertex.inputs_size(), before.empty() ? 0 : 1);
        EXPECT_EQ(before.empty() ? "" : vertex.inputs(0), before);
        before = vertex.digest();
    }
    // Another build's are others.
    SolveStatus other("other", [&digests](const std::string& message) {
        control::StatusResponse response;
        EXPECT_TRUE(response.ParseFromString(message));
        EXPECT_TRUE(digests.insert(response.vertexes(0).digest()).second);
    });
    other.begin("RUN true");
    EXPECT_EQ(digests.size(), 4U);
}

TEST_F(SolveStatusTest, GivesOutputToTheStepThatWroteIt) {
    const auto outer = status_.begin("outer");
    const std::string outer_digest = last().vertexes(0).digest();
    const auto inner = status_.begin("inner");
    const std::string inner_digest = last().vertexes(0).digest();
    status_.log(outer, "1\n");
    ASSERT_EQ(last().logs_size(), 1);
    EXPECT_EQ(last().logs(0).stream(), 1);
    EXPECT_GT(nanoseconds(last().logs(0).timestamp()), 0);
    status_.log(inner, std::string_view("\0\xff\xe9", 3)); // output is bytes
    status_.log(outer, "2\n");
    status_.end(inner, Outcome::Done, "");
    status_.log(outer, "3\n");
    EXPECT_EQ(logged(outer_digest), "1\n2\n3\n");
    EXPECT_EQ(logged(inner_digest), std::string("\0\xff\xe9", 3));
}

TEST_F(SolveStatusTest, ClipsTheOutputOfOneStep) {
    const std::string sentence = "\n[output clipped, log limit 2MiB reached]\n";
    const auto loud = status_.begin("loud");
    const std::string loud_digest = last().vertexes(0).digest();
    const std::string line(1U << 10, 'x');
    for (std::size_t i = 0; i < log_limit / line.size() + 100; ++i) {
        status_.log(loud, line);
    }
    status_.log(loud, "");
    EXPECT_EQ(logged(loud_digest).size(), log_limit + sentence.size());
    EXPECT_TRUE(logged(loud_digest).ends_with("x" + sentence));
    // Others have their own.
    const auto next = status_.begin("next");
    const std::string next_digest = last().vertexes(0).digest();
    status_.log(next, std::string(3 * log_limit, 'y')); // also at once
    EXPECT_EQ(logged(next_digest), std::string(log_limit, 'y') + sentence);
    // Nothing is said of output that fits.
    const auto full = status_.begin("full");
    const std::string full_digest = last().vertexes(0).digest();
    status_.log(full, std::string(log_limit, 'z'));
    EXPECT_EQ(logged(full_digest), std::string(log_limit, 'z'));
    status_.log(full, "z");
    EXPECT_TRUE(logged(full_digest).ends_with("z" + sentence));
}

TEST_F(SolveStatusTest, CountsBytesForTheInnermostOpenStep) {
    status_.progress("nobody's", 1, 2);
    EXPECT_TRUE(told_.empty());
    const auto outer = status_.begin("outer");
    const std::string outer_digest = last().vertexes(0).digest();
    const auto inner = status_.begin("inner");
    const control::Vertex begun = last().vertexes(0);
    status_.progress("layer", 1, 2);
    ASSERT_EQ(last().statuses_size(), 1);
    const control::VertexStatus half = last().statuses(0);
    EXPECT_EQ(half.id() + " " + half.vertex(), "layer " + begun.digest());
    EXPECT_EQ(half.current() * 10 + half.total(), 12);
    EXPECT_EQ(nanoseconds(half.started()), nanoseconds(begun.started()));
    EXPECT_FALSE(half.has_completed());
    status_.progress("layer", 2, 2);
    EXPECT_TRUE(last().statuses(0).has_completed());
    // Without a total, nobody knows whether it is complete.
    status_.progress("context", 1'000'000, 0);
    EXPECT_FALSE(last().statuses(0).has_completed());
    status_.end(inner, Outcome::Done, "");
    status_.progress("more", 1, 2);
    EXPECT_EQ(last().statuses(0).vertex(), outer_digest);
    status_.end(outer, Outcome::Done, "");
    const std::size_t messages = told_.size();
    status_.progress("late", 1, 2);
    EXPECT_EQ(told_.size(), messages);
}

TEST_F(SolveStatusTest, TellsOfSoManyKindsOfProgressOnly) {
    status_.begin("one");
    for (int i = 0; i < 1100; ++i) {
        status_.progress("layer " + std::to_string(i), 1, 2);
    }
    EXPECT_EQ(told_.size(), 1001U);
    EXPECT_EQ(last().statuses(0).id(), "layer 999");
    status_.progress("layer 5", 2, 2); // those go on
    EXPECT_EQ(last().statuses(0).id(), "layer 5");
    status_.begin("two");
    status_.progress("layer 1050", 1, 2);
    EXPECT_EQ(last().statuses(0).id(), "layer 1050");
}

// protobuf's strings are UTF-8: a client may give up a message that has others.
TEST_F(SolveStatusTest, TellsNamesThatAreNoUtf8) {
    const auto vertex = status_.begin("RUN echo caf\xe9 \xe2\x82\xac \xe2\x82");
    EXPECT_EQ(
        last().vertexes(0).name(),
        "RUN echo caf\xef\xbf\xbd \xe2\x82\xac \xef\xbf\xbd\xef\xbf\xbd");
    status_.progress("naming \xff", 1, 1);
    EXPECT_EQ(last().statuses(0).id(), "naming \xef\xbf\xbd");
    status_.end(vertex, Outcome::Failed, "\xc0\xaf did not complete");
    EXPECT_EQ(
        last().vertexes(0).name(),
        "RUN echo caf\xef\xbf\xbd \xe2\x82\xac \xef\xbf\xbd\xef\xbf\xbd");
    EXPECT_EQ(last().vertexes(0).error(), "\xef\xbf\xbd\xef\xbf\xbd did not complete");
}

TEST_F(SolveStatusTest, IsToldBySeveralThreads) {
    const auto vertex = status_.begin("FROM busybox");
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; ++number) {
        threads.emplace_back([this, vertex, number] {
            for (int i = 0; i < 200; ++i) {
                status_.progress("layer " + std::to_string(number), i, 200);
                status_.log(vertex, "x");
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(told_.size(), 1U + 4U * 200U * 2U);
    EXPECT_EQ(logged(told_.front().vertexes(0).digest()), std::string(800, 'x'));
}

TEST(StatusLog, GivesEveryFollowerAllInOrder) {
    StatusLog log;
    log.add(message_of_vertex("a"));
    log.add(message_of_logs(1));
    std::vector<std::thread> followers;
    std::vector<Followed> seen(3);
    for (Followed& one : seen) {
        followers.emplace_back([&log, &one] { one = follow(log); });
    }
    for (const char* name : {"b", "c", "d"}) {
        log.add(message_of_vertex(name));
    }
    log.close();
    for (std::thread& follower : followers) {
        follower.join();
    }
    for (const Followed& one : seen) {
        EXPECT_EQ(one.names, "abcd");
        EXPECT_EQ(one.logs, 1);
    }
    EXPECT_EQ(follow(log).names, "abcd"); // after the end, too
}

TEST(StatusLog, StopsAFollowerWhoWaits) {
    StatusLog log;
    log.add(message_of_vertex("a"));
    std::stop_source stop;
    std::thread follower([&] {
        std::string message;
        EXPECT_TRUE(log.read(stop.get_token(), 0, message));
        EXPECT_FALSE(log.read(stop.get_token(), 1, message));
    });
    stop.request_stop();
    follower.join();
    StatusLog empty;
    std::string message;
    empty.close();
    EXPECT_FALSE(empty.read({}, 0, message));
}

TEST(StatusLog, ForgetsOutputBeforeSteps) {
    StatusLog log;
    const std::string output = message_of_logs(log_limit);
    for (int i = 0; i < 40; ++i) { // 80 MiB, of which 64 are kept
        log.add(output);
    }
    log.add(message_of_vertex("a"));
    log.add(message_of_logs(1));
    log.add(message_of_vertex("b"));
    log.close();
    const Followed seen = follow(log);
    EXPECT_EQ(seen.names, "ab");
    EXPECT_EQ(seen.logs, 31);
}

} // namespace berth::build
