// SPDX-License-Identifier: Apache-2.0
// The API as its clients meet it: a real engine behind a real server on a Unix socket.
#include "api/router.h"
#include "codec/json.h"
#include "engine/engine_test_support.h"
#include "http/client.h"
#include "http/server.h"
#include "io/stream_multiplexer.h"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::api {

namespace {

struct Answer {
    unsigned status = 0;
    std::string body;
    json::Value document;
};

// What came through a multiplexed stream.
struct Output {
    std::string standard_output;
    std::string standard_error;

    explicit Output(std::string_view frames) {
        io::StreamDemultiplexer demultiplexer;
        auto fed = demultiplexer.feed(
            frames, [this](io::Stream stream, std::string_view bytes) -> Result<void> {
                (stream == io::Stream::Stderr ? standard_error : standard_output) += bytes;
                return ok();
            });
        EXPECT_TRUE(fed.ok());
        EXPECT_TRUE(demultiplexer.at_frame_boundary());
    }
};

class ServedEngine {
  public:
    ServedEngine()
        : test_engine_(testing::TempDir() + "berth-api-test")
        , engine_(test_engine_.open())
        , services_{.engine = engine_.get()} {
        http::ServerOptions options;
        options.handler = make_handler(services_);
        options.error_body = server_error;
        options.default_headers = default_headers("test", false);
        auto server = http::Server::create(std::move(options));
        EXPECT_TRUE(server.ok());
        server_ = std::move(server).value();
        const std::string path = test_engine_.root + "/api.sock";
        EXPECT_TRUE(server_->listen_unix(path, 0600).ok());
        EXPECT_TRUE(server_->start().ok());
        client_.emplace(http::Endpoint{.path = path});
    }

    ~ServedEngine() {
        engine_->shutdown();
        server_->stop();
    }

    Result<http::Response>
    open(const std::string& method, const std::string& target, const std::string& body = {}) {
        http::ClientRequest request{.method = method, .target = "/v1.51" + target, .body = body};
        if (!body.empty()) {
            request.headers.set("Content-Type", "application/json");
        }
        return client_->request(request);
    }

    Answer ask(const std::string& method, const std::string& target, const std::string& body = {}) {
        auto response = open(method, target, body);
        EXPECT_TRUE(response.ok()) << response.error().message();
        Answer answer{.status = response->status, .body = response->read_body().value_or("")};
        if (auto document = json::parse(answer.body); document.ok()) {
            answer.document = *document;
        }
        return answer;
    }

    // A container that runs a script; its id.
    std::string create(const std::string& script, bool tty = false, bool open_stdin = false) {
        const json::Object body{
            {"Image", "busybox"},
            {"Cmd", json::Array{"sh", "-c", json::Value(script)}},
            {"Tty", tty},
            {"OpenStdin", open_stdin},
            {"StdinOnce", open_stdin},
            {"AttachStdout", true},
            {"HostConfig", json::Object{{"NetworkMode", "none"}}}};
        const Answer answer = ask("POST", "/containers/create", json::serialize(body));
        EXPECT_EQ(answer.status, 201U) << answer.body;
        return std::string(json::find_string(answer.document, "Id"));
    }

    void start(const std::string& id) {
        const Answer answer = ask("POST", "/containers/" + id + "/start");
        EXPECT_EQ(answer.status, 204U) << answer.body;
    }

    std::int64_t wait(const std::string& id) {
        return ask("POST", "/containers/" + id + "/wait").document.at("StatusCode").as_int64();
    }

    http::Upgraded upgrade(const std::string& target, const std::string& body = {}) {
        http::ClientRequest request{.method = "POST", .target = "/v1.51" + target, .body = body};
        if (!body.empty()) {
            request.headers.set("Content-Type", "application/json");
        }
        auto upgraded = client_->upgrade(std::move(request));
        EXPECT_TRUE(upgraded.ok()) << upgraded.error().message();
        EXPECT_EQ(upgraded->response.status, 101U);
        return std::move(upgraded).value();
    }

    engine::Engine& engine() { return *engine_; }

  private:
    engine::TestEngine test_engine_;
    std::unique_ptr<engine::Engine> engine_;
    Services services_;
    std::unique_ptr<http::Server> server_;
    std::optional<http::Client> client_;
};

// The stream to its end.
std::string read_stream(http::Upgraded& stream) {
    FdSource source(std::move(stream.connection));
    return stream.leftover + read_to_end(source, 1U << 20).value_or("");
}

} // namespace

TEST(ApiServer, RunsAContainerAndTellsItsExitToWhoeverWaitedBefore) {
    EXPECT_TRUE(engine::run_isolated([] {
        ServedEngine served;
        const std::string id = served.create("echo out; echo err >&2; exit 7");
        // The head comes at once, before the container is started.
        auto waiting = served.open("POST", "/containers/" + id + "/wait?condition=next-exit");
        ASSERT_TRUE(waiting.ok());
        EXPECT_EQ(waiting->status, 200U);
        served.start(id);
        EXPECT_EQ(waiting->read_body().value_or(""), "{\"StatusCode\":7}\n");

        const Output output(
            served.ask("GET", "/containers/" + id + "/logs?stdout=1&stderr=1").body);
        EXPECT_EQ(output.standard_output, "out\n");
        EXPECT_EQ(output.standard_error, "err\n");
        const Answer inspected = served.ask("GET", "/containers/" + id + "/json");
        EXPECT_EQ(inspected.document.at("State").at("Status").as_string(), "exited");
        EXPECT_EQ(inspected.document.at("State").at("ExitCode").as_int64(), 7);
        EXPECT_EQ(served.ask("DELETE", "/containers/" + id).status, 204U);
        EXPECT_EQ(
            served.ask("GET", "/containers/" + id + "/json").body,
            "{\"message\":\"No such container: " + id + "\"}\n");
    }));
}

TEST(ApiServer, CarriesAnAttachedSession) {
    EXPECT_TRUE(engine::run_isolated([] {
        ServedEngine served;
        const std::string id = served.create("cat; echo end >&2", false, true);
        auto stream =
            served.upgrade("/containers/" + id + "/attach?stream=1&stdin=1&stdout=1&stderr=1");
        EXPECT_EQ(
            stream.response.headers.get("Content-Type"),
            "application/vnd.docker.multiplexed-stream");
        served.start(id);
        ASSERT_EQ(write(stream.connection.get(), "hello\n", 6), 6);
        shutdown(stream.connection.get(), SHUT_WR);
        const Output output(read_stream(stream));
        EXPECT_EQ(output.standard_output, "hello\n");
        EXPECT_EQ(output.standard_error, "end\n");
        EXPECT_EQ(served.wait(id), 0);
    }));
}

TEST(ApiServer, KnowsAnExecsExitCodeWhenItsStreamHasEnded) {
    EXPECT_TRUE(engine::run_isolated([] {
        ServedEngine served;
        const std::string id = served.create("sleep 100");
        served.start(id);
        for (int i = 0; i < 10; ++i) {
            const Answer created = served.ask(
                "POST",
                "/containers/" + id + "/exec",
                R"({"AttachStdout":true,"AttachStderr":true,"Cmd":["sh","-c","echo x; exit 3"]})");
            ASSERT_EQ(created.status, 201U) << created.body;
            const std::string exec(json::find_string(created.document, "Id"));
            auto stream = served.upgrade("/exec/" + exec + "/start", R"({"Detach":false})");
            EXPECT_EQ(Output(read_stream(stream)).standard_output, "x\n");
            const Answer inspected = served.ask("GET", "/exec/" + exec + "/json");
            EXPECT_FALSE(inspected.document.at("Running").as_bool());
            ASSERT_TRUE(inspected.document.at("ExitCode").is_int64());
            EXPECT_EQ(inspected.document.at("ExitCode").as_int64(), 3);
        }
    }));
}

TEST(ApiServer, FollowsALogUntilTheContainerEnds) {
    EXPECT_TRUE(engine::run_isolated([] {
        ServedEngine served;
        const std::string id = served.create("echo first; read line; echo second", true, true);
        auto stream = served.upgrade("/containers/" + id + "/attach?stream=1&stdin=1&stdout=1");
        served.start(id);
        // The terminal echoes what is typed when it comes, so the program's line has to be there.
        char byte = 0;
        ASSERT_EQ(::read(stream.connection.get(), &byte, 1), 1);
        auto log = served.open("GET", "/containers/" + id + "/logs?stdout=1&follow=1");
        ASSERT_TRUE(log.ok());
        EXPECT_EQ(log->headers.get("Content-Type"), "application/vnd.docker.raw-stream");
        ASSERT_EQ(write(stream.connection.get(), "go\n", 3), 3);
        const std::string text = log->read_body().value_or("");
        EXPECT_EQ(text.substr(0, 7), "first\r\n");
        EXPECT_TRUE(text.ends_with("second\r\n")) << text;
    }));
}

// A client that asks for a long log and does not read it must not hold anybody up.
TEST(ApiServer, LetsASlowReaderOfALogWaitAlone) {
    EXPECT_TRUE(engine::run_isolated([] {
        ServedEngine served;
        const std::string id =
            served.create("busybox seq 1 400000; read line; echo last", false, true);
        served.start(id);
        auto log = served.open("GET", "/containers/" + id + "/logs?stdout=1&follow=1");
        ASSERT_TRUE(log.ok());
        for (int i = 0; i < 3; ++i) {
            const std::string other = served.create("exit 5");
            served.start(other);
            EXPECT_EQ(served.wait(other), 5);
        }
        auto stream = served.upgrade("/containers/" + id + "/attach?stream=1&stdin=1");
        ASSERT_EQ(write(stream.connection.get(), "go\n", 3), 3);
        const Output output(log->read_body().value_or(""));
        EXPECT_TRUE(output.standard_output.starts_with("1\n2\n3\n"));
        EXPECT_TRUE(output.standard_output.ends_with("399999\n400000\nlast\n"));
    }));
}

TEST(ApiServer, TellsEventsToWhoeverListens) {
    EXPECT_TRUE(engine::run_isolated([] {
        ServedEngine served;
        auto events = served.open("GET", "/events?filters=%7B%22type%22%3A%5B%22volume%22%5D%7D");
        ASSERT_TRUE(events.ok());
        EXPECT_EQ(served.ask("POST", "/volumes/create", R"({"Name":"some"})").status, 201U);
        std::array<char, 4096> buffer{};
        auto size = events->body->read(buffer);
        ASSERT_TRUE(size.ok());
        const auto event = json::parse(std::string_view(buffer.data(), *size));
        ASSERT_TRUE(event.ok());
        EXPECT_EQ(json::find_string(*event, "Type"), "volume");
        EXPECT_EQ(json::find_string(*event, "Action"), "create");
        EXPECT_EQ(json::find_string(event->at("Actor"), "ID"), "some");
    }));
}

TEST(ApiServer, ListsAndRemovesImages) {
    EXPECT_TRUE(engine::run_isolated([] {
        ServedEngine served;
        EXPECT_EQ(served.ask("POST", "/images/busybox/tag?repo=a/b/c&tag=1").status, 201U);
        const Answer inspected = served.ask("GET", "/images/a/b/c:1/json");
        EXPECT_EQ(
            json::serialize(inspected.document.at("RepoTags")), R"(["a/b/c:1","busybox:latest"])");
        EXPECT_EQ(served.ask("DELETE", "/images/a/b/c:1").body, "[{\"Untagged\":\"a/b/c:1\"}]\n");
        EXPECT_EQ(served.ask("GET", "/images/json").document.as_array().size(), 1U);
        EXPECT_EQ(
            served.ask("GET", "/images/none/get").body, "{\"message\":\"No such image: none\"}\n");
    }));
}

} // namespace berth::api
