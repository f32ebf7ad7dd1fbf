// SPDX-License-Identifier: Apache-2.0
// Messages there and back, in pieces and broken; exit.json; the monitor's flags.
#include "base/file.h"
#include "kernel/socket.h"
#include "monitor/channel.h"
#include "monitor/exit_record.h"
#include "monitor/monitor_options.h"
#include "monitor/protocol.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

namespace berth::monitor {
namespace {

template <class T>
T round_trip(const Request& request) {
    const std::string bytes = encode(request, 7);
    const MessageHeader header =
        decode_header(std::string_view(bytes).substr(0, message_header_size)).value();
    EXPECT_EQ(header.request, 7U);
    return std::get<T>(
        decode_request(header, std::string_view(bytes).substr(message_header_size)).value());
}

TEST(MonitorProtocol, CarriesEveryFieldOfARequest) {
    const Exec exec = round_trip<Exec>(Exec{
        .exec_id = "e1",
        .process = "{\"args\":[]}",
        .terminal = true,
        .open_stdin = true,
        .attached = true,
        .streams = {
            .want_stdin = true,
            .want_stdout = true,
            .want_stderr = true,
            .multiplexed = true,
            .detach_sequence = std::string("\x10\0", 2),
            .leftover = "typed"}});
    EXPECT_EQ(exec.exec_id, "e1");
    EXPECT_EQ(exec.process, "{\"args\":[]}");
    EXPECT_TRUE(exec.terminal && exec.open_stdin && exec.attached && exec.streams.multiplexed);
    EXPECT_EQ(exec.streams.detach_sequence, std::string("\x10\0", 2));
    EXPECT_EQ(exec.streams.leftover, "typed");
    const auto signal = round_trip<Signal>(Signal{.number = -5, .everything = true});
    EXPECT_EQ(signal.number, -5);
    EXPECT_EQ(round_trip<Resize>(Resize{.size = {.rows = 24, .columns = 80}}).size.columns, 80);
    (void)round_trip<Release>(Release{});
    EXPECT_EQ(
        round_trip<Launch>(Launch{.arguments = {"--id", ""}}).arguments,
        (std::vector<std::string>{"--id", ""}));
    EXPECT_EQ(round_trip<Expect>(Expect{.cgroup_path = "/a/b"}).cgroup_path, "/a/b");
}

TEST(MonitorProtocol, CarriesStatusWithExecs) {
    StatusReply status{.id = "c1", .phase = ContainerPhase::Paused, .pid = 42};
    status.execs.push_back(
        {.exec_id = "e1", .running = false, .exit = {.exec_id = "e1", .code = 137, .signal = 9}});
    const std::string bytes = encode(Notice(status), 0);
    const MessageHeader header =
        decode_header(std::string_view(bytes).substr(0, message_header_size)).value();
    const auto decoded = std::get<StatusReply>(
        decode_notice(header, std::string_view(bytes).substr(message_header_size)).value());
    EXPECT_EQ(decoded.phase, ContainerPhase::Paused);
    EXPECT_EQ(decoded.execs.at(0).exit.code, 137);
}

TEST(MonitorProtocol, UnderstandsMonitorsOfTheVersionBefore) {
    StatusReply status{.version = 1, .id = "c1", .phase = ContainerPhase::Running, .pid = 42};
    status.execs.push_back({.exec_id = "e1", .pid = 43});
    const std::string bytes = encode(Notice(status), 0);
    MessageHeader header =
        decode_header(std::string_view(bytes).substr(0, message_header_size)).value();
    // Version 1 ended behind the execs: before oldest_engine and an empty list.
    header.body_size -= 8;
    const auto decoded = std::get<StatusReply>(
        decode_notice(header, std::string_view(bytes).substr(message_header_size, header.body_size))
            .value());
    EXPECT_EQ(decoded.version, 1U);
    EXPECT_EQ(decoded.oldest_engine, 1U);
    EXPECT_EQ(decoded.execs.at(0).pid, 43);
    EXPECT_TRUE(decoded.told.empty());
    EXPECT_TRUE(check_version(decoded).ok());
}

TEST(MonitorProtocol, IgnoresWhatANewerMonitorSaysBeyondIt) {
    StatusReply status{.version = protocol_version + 1, .id = "c1"};
    status.told.push_back({.exec_id = "e1", .code = 3});
    const std::string bytes = encode(Notice(status), 0) + "more";
    const MessageHeader header =
        decode_header(std::string_view(bytes).substr(0, message_header_size)).value();
    const auto decoded = std::get<StatusReply>(
        decode_notice(header, std::string_view(bytes).substr(message_header_size)).value());
    EXPECT_EQ(decoded.told.at(0).code, 3);
    EXPECT_TRUE(check_version(decoded).ok());
}

TEST(MonitorProtocol, RefusesMonitorsThatWantANewerEngineInWords) {
    StatusReply status{.version = 9, .oldest_engine = protocol_version + 1};
    const Result<void> refused = check_version(status);
    EXPECT_EQ(refused.error().kind(), ErrorKind::NotImplemented);
    EXPECT_NE(refused.error().message().find("version 9"), std::string::npos);
    status = {.version = 0, .oldest_engine = 1};
    EXPECT_FALSE(check_version(status).ok());
}

TEST(MonitorProtocol, CarriesErrorsWithTheirKind) {
    const std::string bytes = encode(Notice(Failed{not_found("no such thing")}), 1);
    const MessageHeader header =
        decode_header(std::string_view(bytes).substr(0, message_header_size)).value();
    const auto failed = std::get<Failed>(
        decode_notice(header, std::string_view(bytes).substr(message_header_size)).value());
    EXPECT_EQ(failed.error.kind(), ErrorKind::NotFound);
    EXPECT_EQ(failed.error.message(), "no such thing");
}

TEST(MonitorProtocol, RejectsBodiesThatAreCutOrTooLongAndUnknownTypes) {
    const std::string bytes = encode(Request(Update{.resources = "abc"}), 1);
    const MessageHeader header =
        decode_header(std::string_view(bytes).substr(0, message_header_size)).value();
    const std::string_view body = std::string_view(bytes).substr(message_header_size);
    EXPECT_FALSE(decode_request(header, body.substr(0, 5)).ok());
    EXPECT_FALSE(decode_request(header, std::string(body) + "x").ok());
    MessageHeader unknown = header;
    unknown.type = 60;
    EXPECT_EQ(decode_request(unknown, body).error().kind(), ErrorKind::NotImplemented);
    unknown.type = 0;
    EXPECT_FALSE(decode_request(unknown, body).ok());
    EXPECT_FALSE(decode_header(std::string(message_header_size, '\xff')).ok());
}

TEST(MonitorChannel, CollectsMessagesThatArriveInPiecesWithTheirDescriptors) {
    const kernel::SocketPair pair = kernel::socket_pair(SOCK_STREAM | SOCK_NONBLOCK).value();
    const Pipe pipe = Pipe::create().value();
    const int descriptor = pipe.write_end.get();
    const std::string first = encode(Request(Start{}), 1);
    const std::string second = encode(Request(Attach{.exec_id = "e"}), 2, 1);
    MessageReceiver receiver;
    ASSERT_TRUE(send_whole(pair.first, first + second.substr(0, 0), {}).ok());
    ASSERT_TRUE(send_whole(pair.first, second.substr(0, 3), std::span(&descriptor, 1)).ok());
    ASSERT_TRUE(receiver.receive(pair.second).value());
    EXPECT_EQ(receiver.next().value()->header.request, 1U);
    while (receiver.receive(pair.second).value() && !receiver.next().value()) {
        ASSERT_TRUE(send_whole(pair.first, second.substr(3), {}).ok());
        ASSERT_TRUE(receiver.receive(pair.second).value());
        break;
    }
    const auto message = receiver.next().value();
    ASSERT_TRUE(message.has_value());
    ASSERT_EQ(message->descriptors.size(), 1U);
    ASSERT_TRUE(write_all(message->descriptors[0], "through").ok());
    std::array<char, 16> bytes{};
    EXPECT_EQ(read(pipe.read_end.get(), bytes.data(), bytes.size()), 7);
}

TEST(MonitorChannel, AMessageWithoutItsDescriptorsIsRefused) {
    const kernel::SocketPair pair = kernel::socket_pair(SOCK_STREAM | SOCK_NONBLOCK).value();
    MessageReceiver receiver;
    ASSERT_TRUE(send_whole(pair.first, encode(Request(Attach{}), 2, 1), {}).ok());
    ASSERT_TRUE(receiver.receive(pair.second).value());
    EXPECT_FALSE(receiver.next().ok());
}

TEST(ExitRecord, IsReadAsItWasWritten) {
    const auto directory = TemporaryDirectory::create("/tmp").value();
    const std::string path = directory.path() + "/exit.json";
    EXPECT_FALSE(read_exit_record(path).value().has_value());
    const Exited exit{.code = 137, .signal = 9, .oom_killed = true, .time = {1234567890123}};
    ASSERT_TRUE(write_exit_record(path, exit).ok());
    const Exited read = read_exit_record(path).value().value();
    EXPECT_EQ(read.code, 137);
    EXPECT_EQ(read.signal, 9);
    EXPECT_TRUE(read.oom_killed);
    EXPECT_EQ(read.time, exit.time);
}

TEST(ExitRecord, DamageIsDataLossAndNotAnExit) {
    const auto directory = TemporaryDirectory::create("/tmp").value();
    const std::string path = directory.path() + "/exit.json";
    for (const char* text : {"", "{}", "{\"exit_code\":}", "{\"exit_code\":1,\"signal\":x}"}) {
        ASSERT_TRUE(replace_file(path, text).ok());
        EXPECT_EQ(read_exit_record(path).error().kind(), ErrorKind::DataLoss) << text;
    }
}

TEST(MonitorOptions, FlagsSayAllThatIsInTheOptions) {
    const MonitorOptions options{
        .id = "c1",
        .bundle = "/b",
        .runtime_root = "/r",
        .socket_path = "/s",
        .exit_path = "/e",
        .log =
            io::LogOptions{
                .directory = "/l",
                .max_file_size = 5,
                .max_files = 2,
                .form = io::LogForm::Json,
                .json_file = "/j",
                .backlog = io::LogBacklog::Wait},
        .terminal = true,
        .stdin_once = true,
        .control_fd = 3,
        .inherited_fds = {8, 9},
        .empty_mounts_fd = 9};
    const std::vector<std::string> arguments = to_arguments(options);
    std::vector<const char*> pointers;
    for (const std::string& argument : arguments) {
        pointers.push_back(argument.c_str());
    }
    const MonitorOptions parsed = parse_arguments(pointers).value();
    EXPECT_EQ(to_arguments(parsed), arguments);
    EXPECT_FALSE(parsed.open_stdin);
    EXPECT_EQ(parsed.log->form, io::LogForm::Json);
    EXPECT_EQ(parsed.log->backlog, io::LogBacklog::Wait);
    EXPECT_FALSE(parse_arguments(std::vector<const char*>{"--id"}).ok());
    EXPECT_FALSE(parse_arguments(std::vector<const char*>{"--what", "x"}).ok());
}

} // namespace
} // namespace berth::monitor
