// SPDX-License-Identifier: Apache-2.0
// References: the behaviour of https://github.com/distribution/reference.
#include "oci/reference.h"

#include <gtest/gtest.h>

namespace berth::oci {

namespace {

const std::string hex64 = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";

std::string reference_error(std::string_view text) {
    auto reference = Reference::parse_normalized(text);
    return reference.ok() ? "" : reference.error().message();
}

struct Case {
    std::string_view text;
    std::string_view registry;
    std::string_view path;
    std::string_view tag;
    std::string_view familiar;
};

constexpr Case cases[] = {
    {"ubuntu", "docker.io", "library/ubuntu", "", "ubuntu"},
    {"ubuntu:24.04", "docker.io", "library/ubuntu", "24.04", "ubuntu:24.04"},
    {"library/ubuntu", "docker.io", "library/ubuntu", "", "ubuntu"},
    {"docker.io/ubuntu", "docker.io", "library/ubuntu", "", "ubuntu"},
    {"index.docker.io/ubuntu", "docker.io", "library/ubuntu", "", "ubuntu"},
    {"index.docker.io/a/b", "docker.io", "a/b", "", "a/b"},
    {"docker.io/library/foo/bar", "docker.io", "library/foo/bar", "", "library/foo/bar"},
    {"team/app:v1", "docker.io", "team/app", "v1", "team/app:v1"},
    {"localhost/app", "localhost", "app", "", "localhost/app"},
    {"localhost:5000/app:x", "localhost:5000", "app", "x", "localhost:5000/app:x"},
    {"test_com/foo", "docker.io", "test_com/foo", "", "test_com/foo"},
    {"test-com:8080/foo", "test-com:8080", "foo", "", "test-com:8080/foo"},
    {"127.0.0.1:8000/a/b", "127.0.0.1:8000", "a/b", "", "127.0.0.1:8000/a/b"},
    {"[fc00::1]:5000/docker", "[fc00::1]:5000", "docker", "", "[fc00::1]:5000/docker"},
    {"Foo/bar", "Foo", "bar", "", "Foo/bar"},
    {"192.168.0.1", "docker.io", "library/192.168.0.1", "", "192.168.0.1"},
    {"192.168.0.1:80", "docker.io", "library/192.168.0.1", "80", "192.168.0.1:80"},
    {"docker---rules/docker", "docker.io", "docker---rules/docker", "", "docker---rules/docker"},
    {"dock__er/docker", "docker.io", "dock__er/docker", "", "dock__er/docker"},
};

} // namespace

TEST(Reference, NormalizesWhatPeopleType) {
    for (const Case& c : cases) {
        auto reference = Reference::parse_normalized(c.text);
        ASSERT_TRUE(reference.ok()) << c.text;
        EXPECT_EQ(reference->registry(), c.registry) << c.text;
        EXPECT_EQ(reference->path(), c.path) << c.text;
        EXPECT_EQ(reference->tag(), c.tag) << c.text;
        EXPECT_EQ(reference->familiar(), c.familiar) << c.text;
        auto again = Reference::parse_normalized(reference->to_string());
        ASSERT_TRUE(again.ok()) << reference->to_string();
        EXPECT_EQ(*again, *reference);
    }
}

TEST(Reference, RejectsInvalidNames) {
    for (const char* text :
         {"",
          "https://github.com/a/b",
          "-docker",
          "-docker/docker",
          "docker-/x",
          "docker///docker",
          "docker/",
          "-docker.io/docker/docker",
          "[fc00::1]",
          "[fc00::1]:5000",
          "fc00::1:5000/de",
          "[fe80::1%eth0]:5000/debian",
          "____/____",
          "_docker/_docker",
          "dock..er/docker",
          "dock_.er/docker",
          "a___b",
          "dock-.er/docker",
          "a:b:c",
          "a:",
          "a@",
          "a@sha256:abc",
          "a:-x",
          "host:port/x",
          "a b",
          "/a",
          "a/",
          "aa/asdf$$^/aa",
          "a@b@c",
          ":x",
          "@x",
          "a:\xc3\xa9"}) {
        EXPECT_EQ(reference_error(text), "invalid reference format") << text;
    }
}

TEST(Reference, NamesUpperCaseInDockersWords) {
    EXPECT_EQ(
        reference_error("Ubuntu"),
        "invalid reference format: repository name (library/Ubuntu) must be lowercase");
    EXPECT_EQ(
        reference_error("docker/Docker:x"),
        "invalid reference format: repository name (docker/Docker) must be lowercase");
}

TEST(Reference, TakesNoBareIdentifier) {
    EXPECT_EQ(
        reference_error(hex64),
        "invalid repository name (" + hex64 + "), cannot specify 64-byte hexadecimal strings");
    EXPECT_EQ(reference_error("docker.io/" + hex64), "");
    EXPECT_EQ(reference_error(hex64.substr(1)), "");
}

TEST(Reference, LimitsLengths) {
    EXPECT_EQ(reference_error("a/" + std::string(253, 'a')), "");
    EXPECT_EQ(
        reference_error("a/" + std::string(254, 'a')),
        "repository name must not be more than 255 characters");
    EXPECT_EQ(reference_error("a:" + std::string(128, 'x')), "");
    EXPECT_EQ(reference_error("a:" + std::string(129, 'x')), "invalid reference format");
}

TEST(Reference, KeepsTagAndDigest) {
    const std::string text = "busybox:latest@sha256:" + hex64;
    auto reference = Reference::parse_normalized(text);
    ASSERT_TRUE(reference.ok());
    EXPECT_EQ(reference->to_string(), "docker.io/library/" + text);
    EXPECT_EQ(reference->familiar(), text);
    EXPECT_EQ(reference->without_tag_and_digest().familiar(), "busybox");
    EXPECT_EQ(reference_error("a@md5:" + std::string(32, '0')), "unsupported digest algorithm");
    EXPECT_EQ(
        reference_error("a@sha256:" + std::string(40, '0')), "invalid checksum digest length");
}

TEST(Reference, AddsTheDefaultTagOnlyToABareName) {
    const auto with_default = [](std::string_view text) {
        return Reference::parse_normalized(text)->with_default_tag().familiar();
    };
    EXPECT_EQ(with_default("a"), "a:latest");
    EXPECT_EQ(with_default("a:b"), "a:b");
    EXPECT_EQ(with_default("a@sha256:" + hex64), "a@sha256:" + hex64);
}

TEST(Reference, ReplacesTheTag) {
    auto reference = Reference::parse_normalized("a:b");
    EXPECT_EQ(reference->with_tag("c")->familiar(), "a:c");
    auto invalid = reference->with_tag("-c");
    ASSERT_FALSE(invalid.ok());
    EXPECT_EQ(invalid.error().message(), "invalid tag format");
}

} // namespace berth::oci
