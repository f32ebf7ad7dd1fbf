// SPDX-License-Identifier: Apache-2.0
// Structs by table: what Docker's clients send must be read as Go reads it.
#include "codec/json.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace {

struct Base {
    std::string image;
    std::vector<std::string> command;
    std::vector<std::string> environment;
};

struct Limits {
    std::int64_t memory = 0;
    std::optional<int> swappiness;
};

struct Even {
    int number = 0;
};

struct Request {
    Base base;
    Limits limits;
    std::map<std::string, berth::json::Empty> ports;
    std::map<std::string, std::vector<Limits>> nested;
    std::uint16_t port = 7;
    bool tty = false;
    double ratio = 0;
    berth::Timestamp created;
    berth::json::Value extra;
    Even even;
};

} // namespace

template <>
struct berth::json::Fields<Base> {
    static constexpr auto table = std::tuple{
        field("Image", &Base::image),
        field("Cmd", &Base::command, NullWhenEmpty),
        field("Env", &Base::environment)};
};

template <>
struct berth::json::Fields<Limits> {
    static constexpr auto table = std::tuple{
        field("Memory", &Limits::memory),
        field("MemorySwappiness", &Limits::swappiness, OmitEmpty)};
};

template <>
struct berth::json::Codec<Even> {
    static Result<Even> decode(const Value& value) {
        if (!value.is_int64() || value.get_int64() % 2 != 0) {
            return invalid_argument("not an even number");
        }
        return Even{static_cast<int>(value.get_int64())};
    }

    static Value encode(const Even& even) { return even.number; }

    static bool is_empty(const Even& even) { return even.number == 0; }
};

template <>
struct berth::json::Fields<Request> {
    static constexpr auto table = std::tuple{
        embedded(&Request::base),
        field("HostConfig", &Request::limits),
        field("ExposedPorts", &Request::ports, OmitEmpty),
        field("Nested", &Request::nested, OmitEmpty),
        field("Port", &Request::port, OmitEmpty),
        field("Tty", &Request::tty, OmitEmpty),
        field("Ratio", &Request::ratio, OmitEmpty),
        field("Created", &Request::created, OmitEmpty),
        field("Extra", &Request::extra, OmitEmpty),
        field("Even", &Request::even, OmitEmpty)};
};

namespace berth::json {

namespace {

std::string error_of(std::string_view text) {
    auto request = decode_text<Request>(text);
    return request.ok() ? "" : request.error().message();
}

} // namespace

TEST(JsonTable, DecodesEveryShape) {
    auto request = decode_text<Request>(R"({
        "Image": "busybox", "Cmd": ["a", "b"],
        "HostConfig": {"Memory": 1024, "MemorySwappiness": 5},
        "ExposedPorts": {"80/tcp": {}},
        "Nested": {"x": [{"Memory": 1}, {"Memory": 2}]},
        "Port": 65535, "Tty": true, "Ratio": 1.5, "Created": "1970-01-01T00:00:01.5Z",
        "Extra": {"any": [1]}, "Even": 4})");
    ASSERT_TRUE(request.ok()) << request.error().message();
    EXPECT_EQ(request->base.image, "busybox");
    EXPECT_EQ(request->base.command, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(request->limits.memory, 1024);
    EXPECT_EQ(request->limits.swappiness, 5);
    EXPECT_TRUE(request->ports.contains("80/tcp"));
    EXPECT_EQ(request->nested["x"][1].memory, 2);
    EXPECT_EQ(request->port, 65535);
    EXPECT_TRUE(request->tty);
    EXPECT_DOUBLE_EQ(request->ratio, 1.5);
    EXPECT_EQ(request->created.nanoseconds, 1'500'000'000);
    EXPECT_EQ(serialize(request->extra), R"({"any":[1]})");
    EXPECT_EQ(request->even.number, 4);
}

TEST(JsonTable, MatchesNamesWithoutCaseAndIgnoresUnknownOnes) {
    auto request = decode_text<Request>(R"({"image":"x","hostconfig":{"MEMORY":3},"Nope":[{}]})");
    ASSERT_TRUE(request.ok());
    EXPECT_EQ(request->base.image, "x");
    EXPECT_EQ(request->limits.memory, 3);
}

TEST(JsonTable, NullAndAbsenceLeaveTheDefault) {
    auto request = decode_text<Request>(
        R"({"Port":null,"Cmd":null,"HostConfig":null,"Created":null,"Even":null,"Nested":null})");
    ASSERT_TRUE(request.ok()) << request.error().message();
    EXPECT_EQ(request->port, 7);
    EXPECT_TRUE(decode_text<Request>("null").ok());
}

TEST(JsonTable, NamesThePathOfAWrongType) {
    EXPECT_EQ(
        error_of(R"({"HostConfig":{"Memory":"1g"}})"),
        "HostConfig.Memory: expected an integer, found a string");
    EXPECT_EQ(error_of(R"({"Cmd":["a",5]})"), "Cmd[1]: expected a string, found a number");
    EXPECT_EQ(
        error_of(R"({"Nested":{"x":[{},{"Memory":true}]}})"),
        "Nested.x[1].Memory: expected an integer, found a boolean");
    EXPECT_EQ(error_of(R"({"Cmd":"sh"})"), "Cmd: expected an array, found a string");
    EXPECT_EQ(error_of(R"({"Even":3})"), "Even: not an even number");
    EXPECT_EQ(error_of("[]"), "expected an object, found an array");
}

TEST(JsonTable, RejectsNumbersThatDoNotFit) {
    EXPECT_EQ(error_of(R"({"Port":65536})"), "Port: the number is out of range");
    EXPECT_EQ(error_of(R"({"Port":-1})"), "Port: the number is out of range");
    EXPECT_EQ(
        error_of(R"({"HostConfig":{"Memory":18446744073709551615}})"),
        "HostConfig.Memory: the number is out of range");
    EXPECT_EQ(error_of(R"({"Port":1.5})"), "Port: expected an integer, found a number");
    EXPECT_EQ(error_of(R"({"Port":2e3})"), "");
}

TEST(JsonTable, WritesByPresence) {
    EXPECT_EQ(
        encode_text(Request{.port = 0}),
        R"({"Image":"","Cmd":null,"Env":[],"HostConfig":{"Memory":0}})");
    Request request;
    request.base.command = {"x"};
    request.limits.swappiness = 0;
    request.ports["80/tcp"] = {};
    request.created = Timestamp::from_seconds(1);
    EXPECT_EQ(
        encode_text(request),
        R"({"Image":"","Cmd":["x"],"Env":[],"HostConfig":{"Memory":0,"MemorySwappiness":0},)"
        R"("ExposedPorts":{"80/tcp":{}},"Port":7,"Created":"1970-01-01T00:00:01Z"})");
}

TEST(JsonTable, ReplacesElementsWhenDecodingIntoAFilledObject) {
    Request request;
    request.base.command = {"old", "older"};
    request.base.image = "kept";
    ASSERT_TRUE(decode_into(request, *parse(R"({"Cmd":["new"]})")).ok());
    EXPECT_EQ(request.base.command, std::vector<std::string>{"new"});
    EXPECT_EQ(request.base.image, "kept");
}

TEST(JsonTable, WritesTheTextOfTheDocument) {
    Request request;
    EXPECT_EQ(encode_text(request), serialize(encode(request)));
    request.base = {.image = "a\"b", .command = {}, .environment = {"x", "\n"}};
    request.limits = {.memory = std::numeric_limits<std::int64_t>::min(), .swappiness = 5};
    request.ports["80/tcp"] = {};
    request.nested["\t"] = {{.memory = 1, .swappiness = {}}, {}};
    request.nested["none"] = {};
    request.port = 65535;
    request.tty = true;
    request.ratio = 1.5;
    request.created = Timestamp::from_seconds(5);
    request.extra = Object{{"any", Array{1, nullptr, "x"}}};
    request.even = {4};
    EXPECT_EQ(encode_text(request), serialize(encode(request)));
}

TEST(JsonTable, EscapesWhatTheDocumentsWriterEscapes) {
    for (int byte = 0; byte < 256; ++byte) {
        for (const std::size_t place : {0U, 3U, 7U, 8U, 19U}) { // in a word, behind the last
            std::string text(20, 'a');
            text[place] = static_cast<char>(byte);
            EXPECT_EQ(encode_text(text), serialize(encode(text))) << byte << " at " << place;
        }
    }
}

TEST(JsonTable, LeavesHiddenMembersOut) {
    constexpr auto hidden = std::to_array<std::string_view>({"Memory"});
    std::string text = "[";
    append_text_without(text, Limits{.memory = 1, .swappiness = 2}, hidden);
    EXPECT_EQ(text, R"([{"MemorySwappiness":2})");
}

TEST(JsonTable, TakesRawTextAsItIs) {
    EXPECT_EQ(encode_text(std::vector<Raw>{{"[1]"}, {}}), "[[1],null]");
    EXPECT_EQ(encode(Raw{"[1]"}), parse("[1]").value());
    EXPECT_EQ(decode_text<Raw>(R"( {"a" : 1} )")->text, R"({"a":1})");
}

} // namespace berth::json
