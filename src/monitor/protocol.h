// SPDX-License-Identifier: Apache-2.0
// Messages between the engine and a monitor: docs/formats/monitor-protocol.md. A fixed header and a
// small binary body, because a JSON parser's memory in every monitor would cost more than the rest
// of it.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "io/terminal.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <sys/types.h>

namespace berth::monitor {

inline constexpr std::uint32_t protocol_version = 2;
inline constexpr std::uint32_t oldest_monitor_version = 1; // that this engine understands
inline constexpr std::uint32_t oldest_engine_version = 1;  // that this monitor understands

// Bytes of a body; the kernel refuses arguments and environment above 2 MiB or so.
inline constexpr std::size_t message_limit = 4U << 20;
inline constexpr std::size_t message_header_size = 12;
inline constexpr std::size_t message_descriptor_limit = 16;

struct MessageHeader {
    std::uint32_t body_size = 0;
    std::uint16_t type = 0;
    std::uint16_t descriptors = 0; // that came with the header's first byte
    std::uint32_t request = 0;     // the reply repeats it; 0 for events
};

// Requests, from the engine. An empty exec_id names the container's init.

// Answered with the pid once the container is created (its init waits at the gate).
struct AwaitCreated {};

struct Start {};

// Which streams a client is attached to and how they look on its connection, which is the
// message's one descriptor.
struct AttachStreams {
    bool want_stdin = false;
    bool want_stdout = false;
    bool want_stderr = false;
    bool multiplexed = false;
    std::string detach_sequence; // bytes; empty: cannot detach
    std::string leftover;        // input that was read from the connection before
};

struct Attach {
    std::string exec_id;
    AttachStreams streams;
};

struct Exec {
    std::string exec_id;
    std::string process; // JSON of the OCI runtime specification's process
    bool terminal = false;
    bool open_stdin = false; // a pipe; else /dev/null
    bool attached = false;   // the message has a descriptor; else output is thrown away
    AttachStreams streams;
};

struct Signal {
    std::string exec_id;
    std::int32_t number = 0;
    bool everything = false; // every process of the container
};

struct Resize {
    std::string exec_id;
    io::TerminalSize size;
};

struct Pause {};

struct Resume {};

struct Status {};

struct Update {
    std::string resources; // JSON of the OCI runtime specification's linux.resources
};

// The engine has stored the exit: the monitor may go. A container that was not started is removed.
struct Release {};

// To a monitor that was started without a container: what its command line would have said. The
// descriptors are those that it names by number, in its order. Not answered.
struct Launch {
    std::vector<std::string> arguments;
};

// To the same, before that: the group that the container will be in, which it makes while the
// engine prepares the rest, and removes when nothing comes of it. Not answered.
struct Expect {
    std::string cgroup_path;
};

using Request = std::variant<
    AwaitCreated,
    Start,
    Attach,
    Exec,
    Signal,
    Resize,
    Pause,
    Resume,
    Status,
    Update,
    Release,
    Launch,
    Expect>;

// From the monitor.

struct Exited {
    std::string exec_id;
    std::int32_t code = 0;   // as Docker shows it: 128 + signal for a signal
    std::int32_t signal = 0; // 0: it ended by itself
    bool oom_killed = false; // of init: the kernel killed a process of the container for memory
    Timestamp time;
};

// A client left its session by the detach keys.
struct Detached {
    std::string exec_id;
};

struct Failed {
    Error error{ErrorKind::Internal, ""};
};

struct Done {
    pid_t pid = 0; // where the request makes or names a process
};

enum class ContainerPhase : std::uint8_t { Created, Running, Paused, Exited };

struct ExecStatus {
    std::string exec_id;
    pid_t pid = 0;
    bool running = true;
    Exited exit; // when it does not run
};

// Execs that ended are told until an engine has been told, the last 256 at most.
struct StatusReply {
    std::uint32_t version = protocol_version;
    std::string id;
    ContainerPhase phase = ContainerPhase::Created;
    pid_t pid = 0;
    Timestamp started;
    Exited exit; // in phase Exited
    std::vector<ExecStatus> execs;
    // Since version 2.
    std::uint32_t oldest_engine = oldest_engine_version; // the oldest protocol to speak with it
    std::vector<Exited> told; // exits of execs that an engine was told of, the last 32 at most
};

// NotImplemented when this engine and the monitor do not understand each other.
Result<void> check_version(const StatusReply& status);

using Notice = std::variant<Done, Failed, StatusReply, Exited, Detached>;

// Header and body, ready to send with `descriptors` descriptors.
std::string encode(const Request& request, std::uint32_t number, std::uint16_t descriptors = 0);
std::string encode(const Notice& notice, std::uint32_t number);

// `bytes` has message_header_size bytes. InvalidArgument beyond the limits above.
Result<MessageHeader> decode_header(std::string_view bytes);
Result<Request> decode_request(const MessageHeader& header, std::string_view body);
Result<Notice> decode_notice(const MessageHeader& header, std::string_view body);

} // namespace berth::monitor
