// SPDX-License-Identifier: Apache-2.0
// A batch is read, sent, and then the cursor is saved: an engine that is killed in between sends
// that batch once more, and never leaves one out.
#include "engine/log_forwarder.h"

#include "base/log.h"
#include "base/worker_pool.h"
#include "engine/log_compression.h"

#include <algorithm>
#include <utility>

namespace berth::engine {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t batch_limit = 256U << 10;
constexpr milliseconds longest_wait{30'000};

} // namespace

LogForwarder::LogForwarder(
    Place place, std::unique_ptr<LogDriver> driver, io::EventLoop& loop, WorkerPool& pool)
    : place_(std::move(place))
    , driver_(std::move(driver))
    , loop_(loop)
    , pool_(pool) {}

Result<void> LogForwarder::connect() {
    return driver_->needs_peer_at_start() ? driver_->connect(stop_.get_token()) : ok();
}

Result<void> LogForwarder::start(io::LogWatch& watch) {
    auto subscription = TRY(watch.subscribe(place_.directory, [weak = weak_from_this()] {
        if (auto self = weak.lock()) {
            self->poke();
        }
    }));
    {
        const std::lock_guard lock(mutex_);
        watch_ = std::move(subscription);
    }
    poke();
    return ok();
}

bool LogForwarder::resume() {
    const std::lock_guard lock(mutex_);
    finishing_ = finished_ && finishing_;
    return !finished_;
}

void LogForwarder::finish() {
    {
        const std::lock_guard lock(mutex_);
        finishing_ = true;
    }
    poke();
}

void LogForwarder::on_finished(std::function<void()> callback) {
    {
        const std::lock_guard lock(mutex_);
        if (!finished_) {
            on_finished_ = std::move(callback);
            return;
        }
    }
    callback();
}

void LogForwarder::cancel() {
    std::unique_ptr<io::LogWatch::Subscription> doomed;
    request_stop();
    std::unique_lock lock(mutex_);
    on_finished_ = nullptr;
    doomed = std::move(watch_);
    changed_.wait(lock, [this] { return !running_; });
}

void LogForwarder::poke() {
    const std::lock_guard lock(mutex_);
    if (running_) {
        again_ = true;
        return;
    }
    if (stop_.stop_requested()) {
        return;
    }
    running_ = pool_.submit([self = shared_from_this()] { self->run(); }).ok();
    if (!running_) {
        log::warn("log waits: too many are handed on", {{"id", place_.id}});
    }
}

void LogForwarder::run() {
    while (true) {
        bool is_last = false;
        {
            const std::lock_guard lock(mutex_);
            is_last = finishing_;
            again_ = false;
        }
        const Step outcome = stop_.stop_requested() ? Step::Nothing : step(is_last);
        std::unique_lock lock(mutex_);
        if (!stop_.stop_requested() &&
            (outcome == Step::Sent ||
             (outcome == Step::Nothing && (again_ || is_last != finishing_)))) {
            continue;
        }
        running_ = false;
        if (outcome == Step::Failed) {
            retry_later();
        } else if (is_last) {
            finished_ = true;
            driver_->disconnect();
            reader_.reset();
        }
        const auto callback =
            finished_ ? std::exchange(on_finished_, nullptr) : std::function<void()>();
        changed_.notify_all();
        lock.unlock();
        if (callback) {
            callback();
        }
        return;
    }
}

Result<void> LogForwarder::open_reader() {
    if (reader_) {
        return ok();
    }
    const io::LogCursor cursor = io::load_log_cursor(place_.directory).value_or(io::LogCursor());
    saved_ = cursor.position;
    lines_.restore(cursor.pieces);
    reader_ = std::make_unique<io::LogReader>(TRY(io::LogReader::open(
        {.directory = place_.directory,
         .from = cursor.position,
         .decompress = [directory = place_.directory](UniqueFd compressed) {
             return decompress_log(directory, std::move(compressed));
         }})));
    return ok();
}

void LogForwarder::note_gap(const io::LogPosition& before) const {
    const std::uint64_t file = reader_->position().file;
    if (before.file != 0 && file > before.file + 1) {
        log::warn(
            "log lines were dropped before they could be handed on, ignoring",
            {{"id", place_.id}, {"files", std::to_string(file - before.file - 1)}});
    }
}

void LogForwarder::note_return() {
    if (lost_ > 0) {
        log::warn(
            "log lines beyond the buffer's limit were dropped, ignoring",
            {{"id", place_.id}, {"lines", std::to_string(lost_)}});
    }
    was_away_ = false;
    waiting_ = 0;
    lost_ = 0;
}

void LogForwarder::add(const io::LogLine& line) {
    if (was_away_ && waiting_++ >= driver_->waiting_limit()) {
        ++lost_;
        return;
    }
    ++in_batch_;
    driver_->add(line);
}

Result<void> LogForwarder::fill(bool is_last) {
    TRY(open_reader());
    in_batch_ = 0;
    if (driver_->waiting_limit() && !was_away_ && !driver_->is_connected() &&
        !driver_->connect(stop_.get_token()).ok()) {
        was_away_ = true; // the batch will say so
    }
    const auto add = [this](const io::LogLine& line) { this->add(line); };
    while (driver_->batch_size() < batch_limit) {
        const io::LogPosition before = reader_->position();
        const auto chunk = TRY(reader_->next());
        if (!chunk) {
            if (is_last) {
                lines_.finish(io::Stream::Stdout, add);
                lines_.finish(io::Stream::Stderr, add);
            }
            if (was_away_ && driver_->is_connected()) {
                note_return();
            }
            break;
        }
        note_gap(before);
        lines_.add(chunk->stream, chunk->time, chunk->bytes, add);
    }
    return ok();
}

bool LogForwarder::save_cursor() {
    const io::LogCursor cursor{.position = reader_->position(), .pieces = lines_.pieces()};
    const auto saved = io::save_log_cursor(place_.directory, cursor);
    if (saved.ok()) {
        saved_ = cursor.position;
        return true;
    }
    log::warn(
        "place in the log not stored, retrying",
        {{"id", place_.id}, {"error", saved.error().message()}});
    return false;
}

LogForwarder::Step LogForwarder::step(bool is_last) {
    if (driver_->batch_size() == 0) {
        if (const auto filled = fill(is_last); !filled.ok()) {
            log::warn(
                "log cannot be read, retrying",
                {{"id", place_.id}, {"error", filled.error().message()}});
            return Step::Failed;
        }
    }
    if (driver_->batch_size() > 0) {
        return send();
    }
    // Lines that the driver leaves out, or the beginning of one.
    if (reader_->position() != saved_ && !save_cursor()) {
        return Step::Failed;
    }
    return Step::Nothing;
}

LogForwarder::Step LogForwarder::send() {
    const auto sent = driver_->send(stop_.get_token());
    if (!sent.ok()) {
        if (driver_->waiting_limit() && !was_away_) {
            was_away_ = true;
            waiting_ = in_batch_;
        }
        if (!complained_) {
            log::warn(
                "log not handed on, retrying",
                {{"id", place_.id}, {"error", sent.error().message()}});
            complained_ = true;
        }
        if (failures_++ < driver_->retry().count) {
            return Step::Failed;
        }
        log::warn("log lines given up, ignoring", {{"id", place_.id}});
        driver_->drop_batch();
        waiting_ = 0; // there is room again
    } else if (complained_) {
        log::info("log is handed on again", {{"id", place_.id}});
        complained_ = false;
    }
    failures_ = 0;
    // Where the disk is full the lines went out all the same; they go again after a kill.
    (void)save_cursor();
    return Step::Sent;
}

void LogForwarder::retry_later() {
    if (stop_.stop_requested()) {
        return;
    }
    const std::uint64_t doublings = std::min<std::uint64_t>(failures_ > 0 ? failures_ - 1 : 0, 10);
    const milliseconds wait = std::min(driver_->retry().wait * (1 << doublings), longest_wait);
    loop_.post([&loop = loop_, wait, weak = weak_from_this()] {
        loop.add_timer(wait, [weak] {
            if (auto self = weak.lock()) {
                self->poke();
            }
        });
    });
}

} // namespace berth::engine
