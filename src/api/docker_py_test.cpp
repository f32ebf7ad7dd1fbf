// SPDX-License-Identifier: Apache-2.0
// docker-py is known by its name and by its library's habits; other clients are not taken for it.
#include "api/docker_py.h"

#include <gtest/gtest.h>

namespace berth::api {

namespace {

http::Request request_of(const http::Headers& headers) {
    http::Request request;
    request.headers = headers;
    return request;
}

} // namespace

TEST(DockerPy, IsKnownByItsName) {
    EXPECT_TRUE(is_docker_py(request_of({{"User-Agent", "docker-sdk-python/7.2.0"}})));
    EXPECT_TRUE(is_docker_py(request_of({{"User-Agent", "docker-py/1.10.6"}})));
    EXPECT_FALSE(is_docker_py(request_of({{"User-Agent", "Docker-Client/28.5.2 (linux)"}})));
}

TEST(DockerPy, IsKnownUnderAnotherName) {
    const http::Headers testcontainers{
        {"User-Agent", "tc-python/4.15.0"},
        {"Accept-Encoding", "gzip, deflate, br"},
        {"Accept", "*/*"}};
    EXPECT_TRUE(is_docker_py(request_of(testcontainers)));
    EXPECT_FALSE(is_docker_py(request_of({{"User-Agent", "curl/8.0"}, {"Accept", "*/*"}})));
    EXPECT_FALSE(is_docker_py(request_of({{"Accept-Encoding", "gzip"}})));
}

} // namespace berth::api
