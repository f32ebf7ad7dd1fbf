// SPDX-License-Identifier: Apache-2.0
// Versions, unknown routes, errors and bodies, through the whole router.
#include "api/error_response.h"
#include "api/exchange_for_test.h"
#include "api/route.h"
#include "api/router.h"

#include <gtest/gtest.h>

namespace berth::api {

TEST(Router, MatchesNamesWithSlashesOnlyWhereAPatternTakesThem) {
    EXPECT_EQ(match("/images/{name...}/json", "/images/a/b/c:1/json"), "a/b/c:1");
    EXPECT_EQ(match("/images/{name...}/json", "/images/json"), std::nullopt);
    EXPECT_EQ(match("/containers/{id}/json", "/containers/abc/json"), "abc");
    EXPECT_EQ(match("/containers/{id}/json", "/containers/a/b/json"), std::nullopt);
    EXPECT_EQ(match("/containers/{id}", "/containers/abc"), "abc");
    EXPECT_EQ(match("/_ping", "/_ping"), "");
    EXPECT_EQ(match("/_ping", "/_ping/"), std::nullopt);
}

TEST(Router, AnswersPingWithAndWithoutAVersion) {
    for (const char* path : {"/_ping", "/v1.24/_ping", "/v1.51/_ping"}) {
        const auto response = exchange({.path = path});
        EXPECT_EQ(response->status, 200U);
        EXPECT_EQ(response->body, "OK");
        EXPECT_EQ(response->headers.get("Builder-Version"), "2");
    }
    EXPECT_EQ(exchange({.method = "HEAD", .path = "/_ping"})->status, 200U);
}

TEST(Router, RefusesVersionsItDoesNotSpeak) {
    const auto old = exchange({.path = "/v1.20/_ping"});
    EXPECT_EQ(old->status, 400U);
    EXPECT_EQ(
        old->body,
        "{\"message\":\"client version 1.20 is too old. Minimum supported API version is 1.24, "
        "please upgrade your client to a newer version\"}\n");
    EXPECT_EQ(exchange({.path = "/v1.99/_ping"})->status, 400U);
}

TEST(Router, SaysPageNotFoundForUnknownPathsAndMethods) {
    for (const TestRequest& request :
         {TestRequest{.path = "/nowhere"},
          TestRequest{.method = "DELETE", .path = "/v1.41/_ping"},
          TestRequest{.path = "/v1.99/nowhere"}}) {
        const auto response = exchange(request);
        EXPECT_EQ(response->status, 404U);
        EXPECT_EQ(response->body, "{\"message\":\"page not found\"}\n");
        EXPECT_EQ(response->headers.get("Content-Type"), "application/json");
    }
}

TEST(Router, SaysThatItIsNoSwarmManager) {
    const auto response = exchange({.path = "/v1.41/services"});
    EXPECT_EQ(response->status, 503U);
    EXPECT_NE(
        response->body.find("This node is not a swarm manager. Use \\\"docker swarm init"),
        std::string::npos);
}

TEST(Router, RefusesBodiesThatAreNoJson) {
    const auto create = [](std::string body, std::string type) {
        return exchange(
            {.method = "POST",
             .path = "/v1.41/containers/create",
             .query = {},
             .body = std::move(body),
             .content_type = std::move(type)});
    };
    EXPECT_EQ(
        create("", "application/json")->body,
        "{\"message\":\"invalid JSON: got EOF while reading request body\"}\n");
    EXPECT_EQ(
        create("{}", "text/plain")->body,
        "{\"message\":\"unsupported Content-Type header (text/plain): must be "
        "'application/json'\"}\n");
    EXPECT_EQ(
        create("{}", "application/json")->body,
        "{\"message\":\"config cannot be empty in order to create a container\"}\n");
    EXPECT_EQ(create("{\"Image\":", "application/json")->status, 400U);
    const auto wrong =
        create(R"({"Image":"x","HostConfig":{"Memory":"1g"}})", "application/json; charset=utf-8");
    EXPECT_EQ(wrong->status, 400U);
    EXPECT_EQ(
        wrong->body,
        "{\"message\":\"invalid JSON: HostConfig.Memory: expected an integer, found a string\"}\n");
}

TEST(Router, RefusesABodyThatIsTooLong) {
    const auto response = exchange(
        {.method = "POST",
         .path = "/v1.41/containers/create",
         .query = {},
         .body = "{\"Image\":\"" + std::string(2U << 20, 'x') + "\"}",
         .content_type = "application/json"});
    EXPECT_EQ(response->status, 413U);
}

TEST(Router, SaysWhatIsNotImplemented) {
    EXPECT_EQ(exchange({.method = "POST", .path = "/v1.41/plugins/create"})->status, 501U);
}

TEST(Router, WantsAnUpgradeForSessionsAndGrpc) {
    for (const char* path : {"/v1.41/session", "/v1.41/grpc"}) {
        const auto response = exchange({.method = "POST", .path = path});
        EXPECT_EQ(response->status, 400U);
        EXPECT_EQ(response->body, "{\"message\":\"no upgrade proto in request\"}\n");
    }
}

TEST(Router, ListsNoPlugins) {
    EXPECT_EQ(exchange({.path = "/plugins"})->body, "[]\n");
}

TEST(ErrorResponse, HasAStatusForEachKind) {
    EXPECT_EQ(status_of(ErrorKind::InvalidArgument), 400U);
    EXPECT_EQ(status_of(ErrorKind::Unauthorized), 401U);
    EXPECT_EQ(status_of(ErrorKind::Forbidden), 403U);
    EXPECT_EQ(status_of(ErrorKind::NotFound), 404U);
    EXPECT_EQ(status_of(ErrorKind::Conflict), 409U);
    EXPECT_EQ(status_of(ErrorKind::NotModified), 304U);
    EXPECT_EQ(status_of(ErrorKind::NotImplemented), 501U);
    EXPECT_EQ(status_of(ErrorKind::Unavailable), 503U);
    EXPECT_EQ(status_of(ErrorKind::ResourceExhausted), 500U);
    EXPECT_EQ(status_of(ErrorKind::Internal), 500U);
    EXPECT_EQ(error_body("say \"x\""), "{\"message\":\"say \\\"x\\\"\"}\n");
}

} // namespace berth::api
