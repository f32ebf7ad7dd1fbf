// SPDX-License-Identifier: Apache-2.0
// https://github.com/tonistiigi/fsutil (send.go is the other side): STAT for each entry, in order,
// and one without a stat at the end; REQUEST with an entry's number; DATA with it, and an empty one
// at its end; FIN from us, and FIN back.
#include "build/session_files.h"

#include "base/file.h"
#include "base/strings.h"
#include "build/directory_walk.h"
#include "build/proto/session.pb.h"
#include "kernel/path.h"

#include <cerrno>
#include <deque>
#include <map>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::build {

namespace {

constexpr const char* diff_copy = "/moby.filesync.v1.FileSync/DiffCopy";
// So many files are asked for at a time: requests must never fill the connection while we do not
// read, and each has a descriptor.
constexpr std::size_t requests_ahead = 64;
constexpr std::size_t path_limit = 4095;
constexpr std::uint64_t progress_step = 1U << 20;

// Go's os.FileMode.
namespace go_mode {
constexpr std::uint32_t directory = 1U << 31;
constexpr std::uint32_t link = 1U << 27;
constexpr std::uint32_t device = 1U << 26;
constexpr std::uint32_t named_pipe = 1U << 25;
constexpr std::uint32_t socket = 1U << 24;
constexpr std::uint32_t set_uid = 1U << 23;
constexpr std::uint32_t set_gid = 1U << 22;
constexpr std::uint32_t character_device = 1U << 21;
constexpr std::uint32_t sticky = 1U << 20;
constexpr std::uint32_t irregular = 1U << 19;
constexpr std::uint32_t type =
    directory | link | device | named_pipe | socket | character_device | irregular;
} // namespace go_mode

mode_t permissions_of(std::uint32_t mode) {
    mode_t bits = mode & 0777U;
    bits |= (mode & go_mode::set_uid) != 0 ? S_ISUID : 0;
    bits |= (mode & go_mode::set_gid) != 0 ? S_ISGID : 0;
    bits |= (mode & go_mode::sticky) != 0 ? S_ISVTX : 0;
    return bits;
}

timespec time_of(std::int64_t nanoseconds) {
    constexpr std::int64_t second = 1'000'000'000;
    std::int64_t seconds = nanoseconds / second;
    std::int64_t rest = nanoseconds % second;
    if (rest < 0) {
        rest += second;
        --seconds;
    }
    return {.tv_sec = seconds, .tv_nsec = rest};
}

// What url.QueryEscape does, for headers that must be ASCII.
std::string escaped(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            out += c;
        } else {
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
    return out;
}

bool is_plain_header(std::string_view text) {
    for (const char c : text) {
        if (c < ' ' || c > '~') {
            return false;
        }
    }
    return true;
}

void add_values(
    RpcMetadata& metadata, const std::string& name, const std::vector<std::string>& values) {
    bool plain = true;
    for (const std::string& value : values) {
        plain = plain && is_plain_header(value);
    }
    for (const std::string& value : values) {
        metadata.emplace_back(name, plain ? value : escaped(value));
    }
    if (!plain) {
        metadata.emplace_back(name + "-encoded", "1");
    }
}

class Receiver {
  public:
    Receiver(
        RpcStream& stream,
        FdRef root,
        const FilesLimits& limits,
        const std::function<void(std::uint64_t)>& received)
        : stream_(stream)
        , root_(root)
        , limits_(limits)
        , received_(received) {}

    Result<void> run();

  private:
    struct File {
        UniqueFd fd;
        mode_t mode = 0;
        std::int64_t time = 0;
    };

    Result<void> add_entry(const session::Stat& stat);
    Result<void> make_entry(const session::Stat& stat, FdRef parent, const std::string& name);
    Result<void> make_file(const session::Stat& stat, FdRef parent, const std::string& name);
    Result<void> take_data(const session::Packet& packet);
    Result<void> ask_for_more();
    Result<void> set_directories();
    bool send(session::Packet_Type type, std::uint32_t id);

    RpcStream& stream_;
    FdRef root_;
    const FilesLimits& limits_;
    const std::function<void(std::uint64_t)>& received_;
    std::set<std::string, std::less<>> directories_{""};
    std::set<std::string, std::less<>> others_;
    std::set<std::string, std::less<>> files_; // regular ones: what a hard link may name
    std::vector<std::pair<std::string, File>> attributes_; // of directories, set at the end
    std::deque<std::pair<std::uint32_t, session::Stat>> waiting_;
    std::map<std::uint32_t, File> open_;
    std::uint32_t next_id_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t shown_ = 0;
    bool listed_ = false;
};

bool Receiver::send(session::Packet_Type type, std::uint32_t id) {
    session::Packet packet;
    packet.set_type(type);
    packet.set_id(id);
    return stream_.write(packet.SerializeAsString());
}

Error invalid_entry(const std::string& path, const std::string& why) {
    return invalid_argument("the client sent an invalid entry \"" + path + "\": " + why);
}

Result<void> Receiver::add_entry(const session::Stat& stat) {
    const std::uint32_t id = next_id_++;
    const std::string& path = stat.path();
    if (next_id_ > limits_.entries) {
        return Error(
            ErrorKind::ResourceExhausted,
            "the build context has more than " + std::to_string(limits_.entries) + " entries");
    }
    if (path.empty() || path.size() > path_limit || path.find('\0') != std::string::npos) {
        return invalid_entry(path, "no path");
    }
    std::size_t depth = 0;
    for (const std::string_view part : split(path, '/')) {
        ++depth;
        if (part.empty() || part == "." || part == "..") {
            return invalid_entry(path, "its path is not clean");
        }
    }
    if (depth > static_cast<std::size_t>(tree_depth_limit)) {
        return tree_too_deep();
    }
    const auto parts = cut_last(path, "/");
    const std::string parent(parts ? parts->before : std::string_view());
    if (!directories_.contains(parent)) {
        return invalid_entry(path, "its directory was not sent");
    }
    if (directories_.contains(path) || others_.contains(path)) {
        return invalid_entry(path, "it was sent twice");
    }
    const UniqueFd directory = TRY(
        kernel::open_in_root(root_, parent, O_PATH | O_DIRECTORY, 0, kernel::FollowLinks::Never));
    TRY(make_entry(stat, directory, std::string(parts ? parts->after : path)));
    if ((stat.mode() & go_mode::type) == 0 && stat.linkname().empty()) {
        waiting_.emplace_back(id, stat);
    }
    return ok();
}

Result<void>
Receiver::make_entry(const session::Stat& stat, FdRef parent, const std::string& name) {
    const std::string& path = stat.path();
    const std::uint32_t type = stat.mode() & go_mode::type;
    if (type == go_mode::directory) {
        if (::mkdirat(parent.get(), name.c_str(), 0700) != 0) {
            return errno_error("make directory " + path);
        }
        directories_.insert(path);
        attributes_.emplace_back(
            path, File{.fd = {}, .mode = permissions_of(stat.mode()), .time = stat.mod_time()});
        return ok();
    }
    others_.insert(path);
    if (type == 0) {
        return make_file(stat, parent, name);
    }
    const timespec times[2] = {time_of(stat.mod_time()), time_of(stat.mod_time())};
    if (type == go_mode::link) {
        if (stat.linkname().empty() || stat.linkname().size() > path_limit ||
            ::symlinkat(stat.linkname().c_str(), parent.get(), name.c_str()) != 0) {
            return errno_error("make link " + path);
        }
        ::utimensat(parent.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW);
        return ok();
    }
    if (type == go_mode::named_pipe) {
        if (::mkfifoat(parent.get(), name.c_str(), permissions_of(stat.mode())) != 0) {
            return errno_error("make pipe " + path);
        }
        ::utimensat(parent.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW);
        return ok();
    }
    if (type == go_mode::socket) {
        return ok(); // no use to anybody, and no part of an archive either
    }
    return invalid_entry(path, "a build context cannot have devices");
}

Result<void> Receiver::make_file(const session::Stat& stat, FdRef parent, const std::string& name) {
    const std::string& path = stat.path();
    if (!stat.linkname().empty()) {
        // All that leads to it are directories of ours: no link is followed.
        if (!files_.contains(stat.linkname())) {
            return invalid_entry(path, "it links to a file that was not sent");
        }
        if (::linkat(root_.get(), stat.linkname().c_str(), parent.get(), name.c_str(), 0) != 0) {
            return errno_error("make hard link " + path);
        }
        return ok();
    }
    files_.insert(path);
    return ok(); // made when its content is asked for
}

Result<void> Receiver::ask_for_more() {
    while (!waiting_.empty() && open_.size() < requests_ahead) {
        const auto [id, stat] = std::move(waiting_.front());
        waiting_.pop_front();
        UniqueFd file = TRY(kernel::open_in_root(
            root_,
            stat.path(),
            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
            0600,
            kernel::FollowLinks::Never));
        open_.emplace(
            id,
            File{
                .fd = std::move(file),
                .mode = permissions_of(stat.mode()),
                .time = stat.mod_time()});
        if (!send(session::Packet_Type_REQUEST, id)) {
            return ok(); // the next read tells
        }
    }
    return ok();
}

Result<void> Receiver::take_data(const session::Packet& packet) {
    const auto found = open_.find(packet.id());
    if (found == open_.end()) {
        return invalid_argument("the client sent data that nobody asked for");
    }
    File& file = found->second;
    if (packet.data().empty()) {
        const timespec times[2] = {time_of(file.time), time_of(file.time)};
        if (::fchmod(file.fd.get(), file.mode) != 0 || ::futimens(file.fd.get(), times) != 0) {
            return errno_error("mode and time of a file of the build context");
        }
        open_.erase(found);
        return ok();
    }
    bytes_ += packet.data().size();
    if (bytes_ > limits_.bytes) {
        return Error(
            ErrorKind::ResourceExhausted,
            "the build context has more than " + std::to_string(limits_.bytes) + " bytes");
    }
    if (received_ && bytes_ - shown_ >= progress_step) {
        shown_ = bytes_;
        received_(bytes_);
    }
    return write_all(file.fd, packet.data());
}

// Children first: making one changes its parent's time.
Result<void> Receiver::set_directories() {
    for (auto entry = attributes_.rbegin(); entry != attributes_.rend(); ++entry) {
        const UniqueFd directory = TRY(kernel::open_in_root(
            root_, entry->first, O_RDONLY | O_DIRECTORY, 0, kernel::FollowLinks::Never));
        const timespec times[2] = {time_of(entry->second.time), time_of(entry->second.time)};
        if (::fchmod(directory.get(), entry->second.mode) != 0 ||
            ::futimens(directory.get(), times) != 0) {
            return errno_error("mode and time of directory " + entry->first);
        }
    }
    return ok();
}

Result<void> Receiver::run() {
    std::string message;
    bool asked_to_end = false;
    while (stream_.read(message)) {
        session::Packet packet;
        if (!packet.ParseFromString(message)) {
            return invalid_argument("the client sent a packet that cannot be read");
        }
        switch (static_cast<int>(packet.type())) {
        case session::Packet_Type_STAT:
            if (packet.has_stat()) {
                TRY(add_entry(packet.stat()));
            } else {
                listed_ = true;
            }
            break;
        case session::Packet_Type_DATA:
            TRY(take_data(packet));
            break;
        case session::Packet_Type_ERROR:
            return invalid_argument("the client cannot send its files: " + packet.data());
        case session::Packet_Type_FIN:
            if (!asked_to_end) {
                return invalid_argument("the client ended before all of its files were sent");
            }
            if (received_) {
                received_(bytes_);
            }
            return set_directories();
        default:
            return invalid_argument("the client sent a packet of an unknown kind");
        }
        TRY(ask_for_more());
        if (listed_ && waiting_.empty() && open_.empty() && !asked_to_end) {
            asked_to_end = true;
            (void)send(session::Packet_Type_FIN, 0);
        }
    }
    return Error(ErrorKind::Unavailable, "the client's session ended while files were sent");
}

} // namespace

Result<void> receive_files(
    const std::stop_token& stop,
    ClientSession& session,
    const FilesWanted& wanted,
    FdRef root,
    const FilesLimits& limits,
    const std::function<void(std::uint64_t bytes)>& received) {
    RpcMetadata metadata;
    add_values(metadata, "dir-name", {wanted.directory});
    add_values(metadata, "include-patterns", wanted.include);
    add_values(metadata, "exclude-patterns", wanted.exclude);
    add_values(metadata, "followpaths", wanted.follow);
    const auto stream = session.channel().open(diff_copy, metadata, std::nullopt);
    const std::stop_callback on_stop(stop, [&stream] { stream->cancel(); });
    auto outcome = Receiver(*stream, root, limits, received).run();
    if (outcome.ok()) {
        stream->end_writes();
    } else {
        stream->cancel();
    }
    const auto finished = stream->finish();
    if (stop.stop_requested()) {
        return Error(ErrorKind::Cancelled, "build cancelled");
    }
    // The client's own reason says more than ours that there is no more to read.
    if (!outcome.ok() && outcome.error().kind() == ErrorKind::Unavailable && !finished.ok() &&
        finished.error().kind() != ErrorKind::Cancelled) {
        return finished.error();
    }
    return outcome;
}

} // namespace berth::build
