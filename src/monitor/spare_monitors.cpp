// SPDX-License-Identifier: Apache-2.0
// Both sides: the engine's stock and the monitor's wait.
#include "monitor/spare_monitors.h"

#include "base/file.h"
#include "base/log.h"
#include "base/rollback.h"
#include "kernel/cgroup.h"
#include "kernel/kernel_features.h"
#include "kernel/socket.h"
#include "monitor/channel.h"
#include "monitor/protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace berth::monitor {
namespace {

// The cache of freed blocks would pin a page each in a heap that is about to be given back.
constexpr const char* heap_tunables = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0";

// The container that has just been given one is served first, up to its end if it is short. What is
// started meanwhile would compete with it, and while containers are started without a pause it is
// of no use.
constexpr std::chrono::milliseconds refill_delay{6};
constexpr std::chrono::milliseconds next_delay{2};   // where more than one is missing
constexpr std::chrono::milliseconds first_delay{50}; // the engine itself starts
constexpr std::chrono::milliseconds pause_after_failure{1000};

// Room in a spare monitor's command line for what it will show.
constexpr std::size_t shown_bytes = 2048;

// Nothing of the engine's, but where the sanitizers of a test build write to.
std::vector<std::string> monitor_environment() {
    std::vector<std::string> environment{heap_tunables};
    for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
        if (const char* value = ::getenv(name)) {
            environment.push_back(std::string(name) + "=" + value);
        }
    }
    return environment;
}

} // namespace

Result<StartedMonitor> spawn_monitor(
    const std::string& program,
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<int, int>>& fds) {
    kernel::SocketPair pair = TRY(kernel::socket_pair(SOCK_STREAM | SOCK_NONBLOCK));
    const UniqueFd null = TRY(open_file("/dev/null", O_RDWR));
    kernel::SpawnOptions spawn{
        .arguments = {"berth-monitor"},
        .program = program.find('/') == std::string::npos ? "" : program,
        .environment = monitor_environment(),
        .fds =
            {{null.get(), 0},
             {null.get(), 1},
             {null.get(), 2},
             {pair.second.get(), monitor_control_fd}},
        .new_session = true};
    if (spawn.program.empty()) {
        spawn.arguments.front() = program;
    }
    spawn.fds.insert(spawn.fds.end(), fds.begin(), fds.end());
    spawn.arguments.insert(spawn.arguments.end(), arguments.begin(), arguments.end());
    kernel::Child child = TRY(kernel::spawn(spawn));
    return StartedMonitor{.child = std::move(child), .control = std::move(pair.first)};
}

namespace {

Result<StartedMonitor> start_spare(const std::string& program) {
    UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
    if (!bell) {
        return errno_error("eventfd");
    }
    StartedMonitor started = TRY(spawn_monitor(
        program,
        {std::string(spare_flag), std::string(shown_bytes, ' ')},
        {{bell.get(), spare_bell_fd}}));
    started.bell = std::move(bell);
    return started;
}

Result<void> send_and_ring(
    const StartedMonitor& spare, const std::string& message, std::span<const int> descriptors) {
    TRY(send_whole(spare.control, message, descriptors));
    const std::uint64_t once = 1;
    if (::write(spare.bell.get(), &once, sizeof once) != sizeof once) {
        return errno_error("wake a spare monitor");
    }
    return ok();
}

} // namespace

void expect(const StartedMonitor& spare, const std::string& cgroup_path) {
    Result<void> told = send_and_ring(spare, encode(Expect{cgroup_path}, 0, 0), {});
    if (!told.ok()) {
        log::debug("spare monitor not told of its group", {{"error", told.error().message()}});
    }
}

Result<void> give(
    const StartedMonitor& spare,
    const std::vector<std::string>& arguments,
    std::span<const int> descriptors) {
    const std::string message =
        encode(Launch{.arguments = arguments}, 0, static_cast<std::uint16_t>(descriptors.size()));
    return send_and_ring(spare, message, descriptors);
}

void remove_expected(const std::string& cgroup_path) {
    Result<kernel::Cgroup> made = kernel::Cgroup::open(cgroup_path);
    Result<void> removed = made.ok() ? made->remove() : std::move(made).error();
    if (!removed.ok()) {
        log::warn(
            "control group not removed, ignoring",
            {{"path", cgroup_path}, {"error", removed.error().message()}});
    }
}

SpareMonitors::SpareMonitors(Options options)
    : stock_(
          {.what = "spare monitor",
           .count = options.count,
           .make = [program = std::move(options.program)] { return start_spare(program); },
           .later = std::move(options.later),
           .delay = refill_delay,
           .between = next_delay,
           .pause_after_failure = pause_after_failure}) {
    stock_.fill(first_delay);
}

namespace {

// Exactly as many bytes: what follows belongs to the container's monitor. False at the end.
Result<bool> receive_whole(
    FdRef socket, std::string& bytes, std::size_t size, std::vector<UniqueFd>& descriptors) {
    bytes.resize(size);
    std::span<char> rest(bytes);
    while (!rest.empty()) {
        auto received = kernel::receive_with_descriptors(socket, rest);
        if (!received.ok() && received.error().error_number() == EAGAIN) {
            pollfd readable{.fd = socket.get(), .events = POLLIN, .revents = 0};
            (void)poll(&readable, 1, -1);
            continue;
        }
        kernel::Received some = TRY(std::move(received));
        if (some.size == 0) {
            return false;
        }
        rest = rest.subspan(some.size);
        std::move(
            some.descriptors.begin(), some.descriptors.end(), std::back_inserter(descriptors));
    }
    return true;
}

// In two steps: a number that is wanted may be that of another descriptor.
Result<void> place(std::vector<UniqueFd> descriptors, const MonitorOptions& options) {
    std::vector<int> numbers = options.inherited_fds;
    if (options.listener_fd) {
        numbers.insert(numbers.begin(), *options.listener_fd);
    }
    if (numbers.empty() || numbers.size() != descriptors.size()) {
        return invalid_argument("a launch names other descriptors than come with it");
    }
    const int above = *std::max_element(numbers.begin(), numbers.end()) + 1;
    for (UniqueFd& descriptor : descriptors) {
        UniqueFd moved(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, above));
        if (!moved) {
            return errno_error("move a descriptor");
        }
        descriptor = std::move(moved);
    }
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (::dup3(descriptors[i].get(), numbers[i], O_CLOEXEC) < 0) {
            return errno_error("place a descriptor");
        }
    }
    return ok();
}

// What every container's creation asks the kernel first, and the heap's first pages, each of which
// costs a page fault: while nobody waits for it.
void warm_up() {
    constexpr std::size_t usual_heap = 96U << 10;
    (void)kernel::kernel_features();
    (void)kernel::cgroup_layout();
    std::vector<char> heap(usual_heap);
    __asm__ volatile("" : : "r"(heap.data()) : "memory"); // it is used
}

// Whoever looks at the machine's processes wants to know whose monitor it is.
void show(std::span<char* const> command_line, const std::vector<std::string>& arguments) {
    char* const begin = command_line.front();
    // SAFETY: the kernel has put the arguments one behind the other on the stack.
    const std::span<char> room(begin, command_line.back() + std::strlen(command_line.back()) + 1);
    std::string text(begin, std::strlen(begin) + 1);
    for (const std::string& argument : arguments) {
        text.append(argument.c_str(), argument.size() + 1);
    }
    // What is left stays one argument of spaces.
    text.resize(std::min(text.size(), room.size() - 1));
    std::copy(text.begin(), text.end(), room.begin());
}

} // namespace

namespace {

// False when the engine is gone. Of an engine of before there is no bell.
Result<bool> await_bell(FdRef socket, FdRef bell) {
    while (bell.get() >= 0) {
        std::array<pollfd, 2> waits{
            {{.fd = bell.get(), .events = POLLIN, .revents = 0},
             {.fd = socket.get(), .events = 0, .revents = 0}}};
        if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) {
            return errno_error("wait for a container");
        }
        std::uint64_t rung = 0;
        if (::read(bell.get(), &rung, sizeof rung) == sizeof rung) {
            return true;
        }
        if (waits[1].revents != 0) {
            return false;
        }
    }
    return true;
}

// nullopt when the engine is gone.
Result<std::optional<Request>>
receive_request(FdRef socket, FdRef bell, std::vector<UniqueFd>& descriptors) {
    std::string bytes;
    if (!TRY(await_bell(socket, bell)) ||
        !TRY(receive_whole(socket, bytes, message_header_size, descriptors))) {
        return std::optional<Request>();
    }
    const MessageHeader header = TRY(decode_header(bytes));
    if (!TRY(receive_whole(socket, bytes, header.body_size, descriptors))) {
        return std::optional<Request>();
    }
    return std::optional(TRY(decode_request(header, bytes)));
}

// What cannot be made now is made, or refused, with the container.
std::optional<kernel::Cgroup> make_expected(const std::string& path) {
    Result<kernel::Cgroup> made = kernel::Cgroup::create(
        path, {}, kernel::CgroupControllers::Needed, kernel::CgroupOwner::Own);
    if (!made.ok()) {
        log::debug("control group not made ahead", {{"error", made.error().message()}});
        return std::nullopt;
    }
    return std::move(made).value();
}

} // namespace

Result<std::optional<MonitorOptions>> await_launch(std::span<char* const> command_line) {
    UniqueFd socket(monitor_control_fd);
    UniqueFd bell(::fcntl(spare_bell_fd, F_GETFD) < 0 ? -1 : spare_bell_fd);
    warm_up();
    std::optional<kernel::Cgroup> cgroup;
    Rollback rollback;
    rollback.push([&cgroup] {
        if (cgroup) {
            (void)cgroup->remove();
        }
    });
    std::vector<UniqueFd> descriptors;
    std::optional<Request> request = TRY(receive_request(socket, bell, descriptors));
    while (request && std::holds_alternative<Expect>(*request)) {
        cgroup = make_expected(std::get<Expect>(*request).cgroup_path);
        request = TRY(receive_request(socket, bell, descriptors));
    }
    if (!request) {
        return std::optional<MonitorOptions>();
    }
    const auto* launch = std::get_if<Launch>(&*request);
    if (launch == nullptr) {
        return invalid_argument("a monitor without a container was asked for something else");
    }
    std::vector<const char*> arguments;
    for (const std::string& argument : launch->arguments) {
        arguments.push_back(argument.c_str());
    }
    MonitorOptions options = TRY(parse_arguments(arguments));
    options.cgroup = cgroup;
    show(command_line, launch->arguments);
    bell.reset(); // its number is the listener's
    TRY(place(std::move(descriptors), options));
    (void)socket.release(); // it is the options' control_fd
    rollback.commit();
    return std::optional(std::move(options));
}

} // namespace berth::monitor
