// SPDX-License-Identifier: Apache-2.0
// Containers: the service that the API and CRI call. `container` arguments are an id, a unique id
// prefix or a name (with or without slash). All methods are thread-safe; they block the calling
// thread, except where a callback is named.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/stream.h"
#include "engine/container.h"
#include "engine/container_paths.h"
#include "engine/container_use.h"
#include "engine/filters.h"
#include "engine/subscription.h"
#include "store/snapshotter.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::engine {

struct CreateRequest {
    std::string name; // empty: a generated one
    std::string platform;
    ContainerConfig config;
    HostConfig host_config;
    NetworkingConfig networking_config;
};

struct CreateResult {
    std::string id;
    std::vector<std::string> warnings;
};

struct AttachOptions {
    bool logs = false;   // what was written so far, first
    bool stream = false; // what comes
    bool standard_input = false;
    bool standard_output = false;
    bool standard_error = false;
    bool multiplexed = true; // where there is no terminal; a websocket is always raw
    std::string detach_keys;
};

// The client's connection, taken over from HTTP after the answer 101 or 200 was written.
struct AttachStream {
    UniqueFd connection;
    std::string leftover; // bytes the client sent behind its request
};

enum class LogStream : std::uint8_t { Output = 1, Error = 2 };

struct LogRecord {
    Timestamp time;
    LogStream stream;
    std::string bytes;
    bool continues_line = false; // goes on with a line that began in an earlier record
    std::string bookmark{};      // with LogOptions::bookmarks: to go on behind this record
};

struct LogOptions {
    bool standard_output = false;
    bool standard_error = false;
    bool follow = false;
    std::optional<Timestamp> since;
    std::optional<Timestamp> until;
    std::optional<std::int64_t> tail; // absent: all
    bool split_lines = false;         // a record is one line or a piece of one (for timestamps)
    // Records say where to go on behind them; the first has no bytes and says where they begin.
    bool bookmarks = false;
    // Where to begin instead of tail: what a record said, or "end" for behind all that is there.
    std::string bookmark{};
};

// Where the records of logs() go. record() returns false when the reader is gone. end() is called
// once, after the last record, from whichever thread delivered it.
struct LogSink {
    std::function<bool(const LogRecord&)> record;
    std::function<void()> end;
    // Optional, for a reader that may be slower than the container: asked after each record of a
    // followed log. True: it has no room, and nothing more is delivered until it calls `resume`
    // (once; from any thread but not from within record() or pause()).
    std::function<bool(std::function<void()> resume)> pause;
};

enum class WaitCondition : std::uint8_t { NotRunning, NextExit, Removed };

struct ExitResult {
    std::int64_t exit_code = 0;
    std::string error;
};

using ExitCallback = std::function<void(const ExitResult&)>;

struct ListOptions {
    bool all = false;
    std::int64_t limit = 0;
    bool size = false;
    Filters filters;
};

struct RemoveOptions {
    bool force = false;
    bool volumes = false;
    bool link = false;
    std::string asked_as; // the name or id in errors; empty: the id
};

struct PruneReport {
    std::vector<std::string> deleted;
    std::int64_t space_reclaimed = 0;
};

// Only what is set changes; NotImplemented for resources the running container cannot change.
struct UpdateRequest {
    HostConfig resources;
    std::optional<RestartPolicy> restart_policy;
};

// One of the two: --volume's or --mount's form.
struct MountRequest {
    std::string bind;
    std::optional<Mount> mount;
};

enum class Pause : bool { No, Yes };

struct CommitRequest {
    std::string repository; // may be empty: an image without a name
    std::string tag;
    std::string comment;
    std::string author;
    bool pause = true;                     // while its files are read
    std::optional<ContainerConfig> config; // what it leaves open comes from the container
};

class ContainerSupervisor;

class Containers {
  public:
    explicit Containers(ContainerSupervisor& supervisor)
        : supervisor_(supervisor) {}

    Result<CreateResult> create(CreateRequest request);

    // NotModified when it runs already. The stop is that of a client that does not wait any more:
    // a start that waits for a file server then does not either, a few seconds later.
    Result<void> start(const std::string& container, const std::stop_token& stop = {});

    // Timeout in seconds, -1 for ever; absent: the container's or 10. NotModified when stopped.
    Result<void> stop(
        const std::string& container,
        std::optional<std::int64_t> timeout,
        const std::string& signal = {});
    Result<void> restart(
        const std::string& container,
        std::optional<std::int64_t> timeout,
        const std::string& signal = {});
    Result<void> kill(const std::string& container, const std::string& signal);
    Result<void> pause(const std::string& container);
    Result<void> unpause(const std::string& container);
    Result<void> rename(const std::string& container, const std::string& new_name);
    Result<void> remove(const std::string& container, const RemoveOptions& options);
    Result<void> resize(const std::string& container, std::uint32_t height, std::uint32_t width);
    // Gives the warnings that `docker update` prints.
    Result<std::vector<std::string>>
    update(const std::string& container, const UpdateRequest& request);

    // Publishes further ports, or withdraws some, of a container that may run: port_connector.h.
    Result<PortMap> publish(const std::string& container, const PortMap& ports);
    Result<void> withdraw(const std::string& container, const PortMap& ports);

    // Calls back once with the exit; at once, from this thread, where the condition holds already
    // (NotRunning: never started or ended). Otherwise from an engine thread; must not block. The
    // Subscription must be kept for as long as the answer is wanted.
    Result<Subscription>
    on_exit(const std::string& container, WaitCondition condition, ExitCallback callback);

    // on_exit() for those who may block; Cancelled when stop is requested.
    Result<ExitResult>
    wait(std::stop_token stop, const std::string& container, WaitCondition condition);

    // An image of what the container has changed, on top of its own image; returns its id.
    Result<std::string>
    commit(std::stop_token stop, const std::string& container, const CommitRequest& request);

    // A mount that the container gets or loses, now where it runs, and for its starts to come.
    Result<void> add_mount(const std::string& container, const MountRequest& request);
    // NotFound when it has none there.
    Result<void> remove_mount(const std::string& container, const std::string& target);
    // Until the result is gone none of these containers writes anything. Conflict for one that runs
    // and may not be paused.
    Result<std::shared_ptr<void>> keep_quiet(const std::set<std::string>& ids, Pause pause) const;

    // All files of the container as a tar, without those of volumes. Conflict while it is removed.
    Result<void>
    export_files(std::stop_token stop, const std::string& container, ByteSink& sink) const;

    // docker cp: what is at a path, as a tar, and tars unpacked there, with all that is mounted in
    // the container. NotFound "Could not find the file x in container y". `begin` is called before
    // the first byte.
    Result<PathStat> stat_path(const std::string& container, const std::string& path) const;
    Result<void> read_archive(
        std::stop_token stop,
        const std::string& container,
        const std::string& path,
        const ArchiveBegin& begin,
        ByteSink& sink) const;
    Result<void> write_archive(
        std::stop_token stop,
        const std::string& container,
        const ArchiveTarget& target,
        ByteSource& tar) const;

    // docker diff, without what the engine itself made below mounts.
    Result<std::vector<store::Change>> changes(const std::string& container) const;

    // Before the connection is taken over: can attach work? Returns the container's tty flag, which
    // decides the answer's content type.
    Result<bool> check_attach(const std::string& container, const AttachOptions& options) const;

    // A stream that comes before start() is parked and handed over at start, so that no byte is
    // lost. Once handed over, the monitor serves it and the engine may die.
    Result<void>
    attach(const std::string& container, const AttachOptions& options, AttachStream stream);

    // The existing records are delivered from the calling thread, followed ones from the engine's
    // loop. Keep the Subscription as long as records are wanted (not needed without follow).
    Result<Subscription>
    logs(const std::string& container, const LogOptions& options, LogSink sink);

    // InvalidArgument when logs() could not begin at options.bookmark.
    Result<void> check_bookmark(const std::string& container, const LogOptions& options) const;

    Result<ContainerInspect> inspect(const std::string& container, bool size = false) const;
    // The newest first. With a sink they are in memory one after the other.
    Result<void> list(const ListOptions& options, const SummarySink& sink) const;
    Result<std::vector<ContainerSummary>> list(const ListOptions& options) const;

    // The full id of an id prefix or name; "No such container: x".
    Result<std::string> resolve(const std::string& container) const;

    // What the machine's ps says of its processes with these arguments; "" is "-ef".
    Result<TopResult> top(const std::string& container, const std::string& ps_arguments) const;
    Result<ContainerStats> stats(const std::string& container) const;
    Result<PruneReport> prune(const Filters& filters);

    // Containers (ids) made from the image with this id (sha256:…), running ones only or all.
    std::vector<std::string> using_image(const std::string& image_id, bool running_only) const;

  private:
    ContainerSupervisor& supervisor_;
};

} // namespace berth::engine
