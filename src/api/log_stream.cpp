// SPDX-License-Identifier: Apache-2.0
// docker logs: records as frames of Docker's multiplexed stream, or raw for a container with a
// terminal; followed ones go on without a thread.
#include "api/log_stream.h"

#include "api/hijack.h"
#include "base/log.h"
#include "io/stream_multiplexer.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace berth::api {

namespace {

constexpr std::size_t batch_bytes = 64U << 10;

// What a follower may be behind before it is cut off. The log is on disk: it can ask again.
constexpr std::size_t follower_buffer = 8U << 20;

// Without follow: the worker writes, in large pieces, at the client's pace.
Result<void> send_existing(
    Context& context,
    const engine::LogOptions& options,
    LogFormatter formatter,
    const http::Headers& headers) {
    std::string batch;
    Result<void> written = ok();
    const auto flush = [&] {
        if (!context.response().begun()) {
            written = context.response().begin(200, headers);
        }
        if (written.ok() && !batch.empty()) {
            written = context.response().write(batch);
        }
        batch.clear();
        return written.ok();
    };
    TRY(context.engine().containers().logs(
        context.parameter(),
        options,
        {.record =
             [&](const engine::LogRecord& record) {
                 formatter.append(batch, record);
                 return batch.size() < batch_bytes || flush();
             },
         .end = [] {}}));
    flush();
    TRY(std::move(written));
    return context.response().finish();
}

// With follow. What exists comes on the request's thread, which may wait for the client; what is
// added comes on the engine's loop, which may not.
class Follower : public std::enable_shared_from_this<Follower> {
  public:
    Follower(std::shared_ptr<http::Stream> stream, LogFormatter formatter)
        : stream_(std::move(stream))
        , formatter_(formatter) {}

    void listen() {
        stream_->on_writable([weak = weak_from_this()] {
            if (auto self = weak.lock()) {
                self->wake();
            }
        });
        // Keeps this object, and with it the subscription, until the client goes.
        stream_->on_close([self = shared_from_this()] { self->closed(); });
    }

    void keep(engine::Subscription subscription) {
        std::unique_lock lock(mutex_);
        if (!closed_) {
            subscription_ = std::move(subscription);
        }
    }

    bool record(const engine::LogRecord& record) {
        std::string bytes;
        formatter_.append(bytes, record);
        while (true) {
            std::unique_lock lock(mutex_);
            const std::size_t seen = wakes_;
            lock.unlock();
            const auto outcome = stream_->send(bytes);
            if (outcome != http::Stream::Outcome::Full) {
                return outcome == http::Stream::Outcome::Sent;
            }
            if (std::this_thread::get_id() != requester_) {
                log::warn("log follower does not read, cutting it off");
                end();
                return false;
            }
            lock.lock();
            writable_.wait(lock, [&] { return wakes_ != seen || closed_; });
        }
    }

    void end() { stream_->finish(); }

  private:
    void closed() {
        engine::Subscription ended; // cancelled without the lock
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            ended = std::move(subscription_);
            writable_.notify_all();
        }
    }

    void wake() {
        const std::lock_guard lock(mutex_);
        ++wakes_;
        writable_.notify_all();
    }

    std::shared_ptr<http::Stream> stream_;
    LogFormatter formatter_;
    std::thread::id requester_ = std::this_thread::get_id();
    std::mutex mutex_;
    std::condition_variable writable_;
    std::size_t wakes_ = 0;
    bool closed_ = false;
    engine::Subscription subscription_;
};

Result<void> follow(
    Context& context,
    const engine::LogOptions& options,
    LogFormatter formatter,
    const http::Headers& headers) {
    auto stream = TRY(context.response().into_stream(
        200,
        headers,
        {.buffer_limit = follower_buffer, .slow_reader = http::SlowReader::BackPressure}));
    auto follower = std::make_shared<Follower>(stream, formatter);
    follower->listen();
    auto followed = context.engine().containers().logs(
        context.parameter(),
        options,
        {.record = [follower](const engine::LogRecord& record) { return follower->record(record); },
         .end = [follower] { follower->end(); }});
    if (!followed.ok()) {
        log::debug("log stream broke off", {{"error", followed.error().message()}});
        stream->finish();
        return ok();
    }
    follower->keep(std::move(followed).value());
    return ok();
}

} // namespace

void LogFormatter::append(std::string& out, const engine::LogRecord& record) {
    bool& in_line = in_line_[record.stream == engine::LogStream::Error ? 1 : 0];
    std::string prefix;
    if (!in_line) {
        if (format_.timestamps) {
            prefix = format_rfc3339_fixed(record.time) + " ";
        }
        if (format_.details) {
            prefix += " ";
        }
    }
    in_line = !record.bytes.ends_with('\n');
    if (format_.multiplexed) {
        const io::Stream stream =
            record.stream == engine::LogStream::Error ? io::Stream::Stderr : io::Stream::Stdout;
        const auto header = io::make_frame_header(stream, prefix.size() + record.bytes.size());
        out.append(header.data(), header.size());
    }
    out += prefix;
    out += record.bytes;
}

Result<void> stream_logs(Context& context, const engine::LogOptions& options, LogFormat format) {
    const auto container = TRY(context.engine().containers().inspect(context.parameter()));
    format.multiplexed = !container.config.tty;
    const Streams streams = format.multiplexed ? Streams::Multiplexed : Streams::Raw;
    const http::Headers headers{{"Content-Type", std::string(stream_type(context, streams))}};
    // What does not run has nothing to follow.
    const auto status = container.state.status;
    if (options.follow &&
        (container.state.is_running() || status == engine::ContainerStatus::Restarting)) {
        return follow(context, options, LogFormatter(format), headers);
    }
    engine::LogOptions once = options;
    once.follow = false;
    return send_existing(context, once, LogFormatter(format), headers);
}

} // namespace berth::api
