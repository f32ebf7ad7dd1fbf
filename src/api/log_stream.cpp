// SPDX-License-Identifier: Apache-2.0
// docker logs: records as frames of Docker's multiplexed stream, one a line, or raw for a container
// with a terminal; followed ones go on without a thread.
#include "api/log_stream.h"

#include "api/hijack.h"
#include "api/later.h"
#include "base/log.h"
#include "engine/log_info.h"
#include "io/stream_multiplexer.h"

#include <mutex>
#include <utility>

namespace berth::api {

namespace {

// Many lines follow each other that were read from the container at one time.
const std::string& stamp(Timestamp time) {
    thread_local Timestamp last;
    thread_local std::string text;
    if (text.empty() || time != last) {
        text = format_rfc3339_fixed(time) + " ";
        last = time;
    }
    return text;
}

constexpr std::size_t batch_bytes = 64U << 10;
constexpr std::string_view bookmarked_stream_type = "application/vnd.berth.bookmarked-stream";

// Without follow: the worker writes, in large pieces, at the client's pace.
Result<void> send_existing(
    Context& context,
    const engine::LogOptions& options,
    LogFormat format,
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
                 append_log_record(batch, record, format);
                 return batch.size() < batch_bytes || flush();
             },
         .end = [] {}}));
    flush();
    TRY(std::move(written));
    return context.response().finish();
}

// With follow. What the client has no room for stays in the log on disk, and is read on when it
// has: a slow client costs one record of memory, and holds nobody up.
class Follower : public std::enable_shared_from_this<Follower> {
  public:
    Follower(std::shared_ptr<http::Stream> stream, LogFormat format, io::EventLoop& loop)
        : stream_(std::move(stream))
        , format_(std::move(format))
        , loop_(loop) {}

    engine::LogSink sink() {
        auto self = shared_from_this();
        return {
            .record = [self](const engine::LogRecord& record) { return self->record(record); },
            .end = [self] { self->stream_->finish(); },
            .pause =
                [self](std::function<void()> resume) { return self->pause(std::move(resume)); }};
    }

    void listen() {
        stream_->on_writable([weak = weak_from_this()] {
            if (auto self = weak.lock()) {
                self->writable();
            }
        });
        // Keeps this object, and with it the subscription, until the client goes.
        stream_->on_close([self = shared_from_this()] { self->closed(); });
    }

    void keep(engine::Subscription subscription) {
        const std::lock_guard lock(mutex_);
        if (!closed_) {
            subscription_ = std::move(subscription);
        }
    }

  private:
    bool record(const engine::LogRecord& record) {
        std::string bytes;
        append_log_record(bytes, record, format_);
        const std::lock_guard lock(mutex_);
        const auto outcome = stream_->send(bytes);
        if (outcome == http::Stream::Outcome::Full) {
            waiting_ = std::move(bytes);
        }
        return outcome != http::Stream::Outcome::Closed;
    }

    bool pause(std::function<void()> resume) {
        const std::lock_guard lock(mutex_);
        if (waiting_.empty()) {
            return false;
        }
        resume_ = std::move(resume);
        return true;
    }

    // In the server's loop: reading on is the engine's loop's part.
    void writable() {
        const std::lock_guard lock(mutex_);
        if (waiting_.empty() || stream_->send(waiting_) == http::Stream::Outcome::Full) {
            return;
        }
        waiting_.clear();
        if (auto resume = std::exchange(resume_, nullptr)) {
            loop_.post([resume = std::move(resume)] { resume(); });
        }
    }

    void closed() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        resume_ = nullptr;
        cancel_later(loop_, std::move(subscription_));
    }

    std::shared_ptr<http::Stream> stream_;
    LogFormat format_;
    io::EventLoop& loop_;
    std::mutex mutex_;
    std::string waiting_; // a record that the stream did not take
    std::function<void()> resume_;
    bool closed_ = false;
    engine::Subscription subscription_;
};

Result<void> follow(
    Context& context,
    const engine::LogOptions& options,
    const LogFormat& format,
    const http::Headers& headers) {
    auto stream = TRY(context.response().into_stream(
        200, headers, {.slow_reader = http::SlowReader::BackPressure}));
    auto follower = std::make_shared<Follower>(stream, format, context.engine().loop());
    follower->listen();
    auto followed =
        context.engine().containers().logs(context.parameter(), options, follower->sink());
    if (!followed.ok()) {
        log::debug("log stream broke off", {{"error", followed.error().message()}});
        stream->finish();
        return ok();
    }
    follower->keep(std::move(followed).value());
    return ok();
}

// A frame a line, as dockerd sends them: docker-py hands frames on, and its users take lines.
void append_lines(std::string& out, std::string_view prefix, const engine::LogRecord& record) {
    const io::Stream stream =
        record.stream == engine::LogStream::Error ? io::Stream::Stderr : io::Stream::Stdout;
    std::string_view rest = record.bytes;
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        const std::string_view line = rest.substr(0, end == rest.npos ? end : end + 1);
        const auto header = io::make_frame_header(stream, prefix.size() + line.size());
        out.append(header.data(), header.size());
        out += prefix;
        out += line;
        rest.remove_prefix(line.size());
    }
}

} // namespace

void append_log_record(std::string& out, const engine::LogRecord& record, const LogFormat& format) {
    std::string prefix;
    if (!record.bytes.empty() && !record.continues_line) {
        if (format.timestamps) {
            prefix = stamp(record.time);
        }
        if (format.details) {
            prefix += format.attributes + " ";
        }
    }
    if (!format.multiplexed) {
        out += prefix;
        out += record.bytes;
    } else {
        append_lines(out, prefix, record);
    }
    if (format.bookmarks) {
        io::append_frame(out, io::Stream::Bookmark, record.bookmark);
    }
}

Result<void> stream_logs(Context& context, const engine::LogOptions& options, LogFormat format) {
    const auto container = TRY(context.engine().containers().inspect(context.parameter()));
    format.bookmarks = options.bookmarks;
    format.multiplexed = !container.config.tty || format.bookmarks;
    if (format.details) {
        format.attributes = engine::log_details(
            engine::log_info_of(container), container.host_config.log_config.type);
    }
    const Streams streams = format.multiplexed ? Streams::Multiplexed : Streams::Raw;
    const http::Headers headers{
        {"Content-Type",
         std::string(format.bookmarks ? bookmarked_stream_type : stream_type(context, streams))}};
    // What does not run has nothing to follow.
    const auto status = container.state.status;
    if (!options.bookmark.empty()) {
        // While there is a way to say so.
        TRY(context.engine().containers().check_bookmark(context.parameter(), options));
    }
    if (options.follow &&
        (container.state.is_running() || status == engine::ContainerStatus::Restarting)) {
        return follow(context, options, format, headers);
    }
    engine::LogOptions once = options;
    once.follow = false;
    return send_existing(context, once, format, headers);
}

} // namespace berth::api
