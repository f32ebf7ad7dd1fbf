// SPDX-License-Identifier: Apache-2.0
// A build's steps as BuildKit's StatusResponses.
#include "build/solve_status.h"

#include "base/time.h"
#include "base/utf8.h"
#include "build/proto/control.pb.h"
#include "codec/sha256.h"

#include <algorithm>

namespace berth::build {

namespace {

// BuildKit's limit for a step's output.
constexpr std::size_t vertex_log_limit = 2U << 20;
constexpr std::string_view clipped = "\n[output clipped, log limit 2MiB reached]\n";
constexpr std::size_t status_limit = 1000; // kinds of progress of one vertex
// What is kept for those who follow; later output is lost to them, not the vertices.
constexpr std::size_t kept_bytes = 64U << 20;
constexpr std::int64_t standard_output = 1;

void set_time(control::Time& time, std::int64_t nanoseconds) {
    constexpr std::int64_t second = 1'000'000'000;
    time.set_seconds(nanoseconds / second);
    time.set_nanos(static_cast<std::int32_t>(nanoseconds % second));
}

} // namespace

SolveStatus::SolveStatus(std::string ref, Send send)
    : ref_(std::move(ref))
    , send_(std::move(send)) {}

SolveStatus::~SolveStatus() = default;

BuildObserver::Vertex SolveStatus::begin(std::string name) {
    const std::lock_guard lock(mutex_);
    name = to_utf8(name); // as protobuf wants strings to be
    const Vertex vertex = entries_.size();
    std::string digest = "sha256:" + sha256_hex(ref_ + "\n" + std::to_string(vertex) + "\n" + name);
    Entry entry{
        .digest = std::move(digest),
        .name = std::move(name),
        .started = Timestamp::now().nanoseconds,
        .logged = 0,
        .statuses = {}};
    control::StatusResponse response;
    control::Vertex& told = *response.add_vertexes();
    told.set_digest(entry.digest);
    told.set_name(entry.name);
    set_time(*told.mutable_started(), entry.started);
    if (!entries_.empty()) {
        told.add_inputs(entries_.back().digest);
    }
    entries_.push_back(std::move(entry));
    open_.push_back(vertex);
    send_(response.SerializeAsString());
    return vertex;
}

void SolveStatus::log(Vertex vertex, std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[vertex];
    if (entry.logged > vertex_log_limit) {
        return;
    }
    const std::size_t room = vertex_log_limit - entry.logged;
    entry.logged += bytes.size();
    control::StatusResponse response;
    control::VertexLog& told = *response.add_logs();
    told.set_vertex(entry.digest);
    set_time(*told.mutable_timestamp(), Timestamp::now().nanoseconds);
    told.set_stream(standard_output);
    told.set_msg(bytes.data(), std::min(bytes.size(), room));
    if (bytes.size() > room) {
        told.mutable_msg()->append(clipped);
    }
    send_(response.SerializeAsString());
}

void SolveStatus::progress(std::string_view what, std::int64_t current, std::int64_t total) {
    const std::lock_guard lock(mutex_);
    if (open_.empty()) {
        return;
    }
    Entry& entry = entries_[open_.back()];
    std::string id = to_utf8(what);
    if (entry.statuses.size() >= status_limit && !entry.statuses.contains(id)) {
        return;
    }
    control::StatusResponse response;
    control::VertexStatus& told = *response.add_statuses();
    told.set_id(id);
    told.set_vertex(entry.digest);
    told.set_current(current);
    told.set_total(total);
    set_time(*told.mutable_timestamp(), Timestamp::now().nanoseconds);
    set_time(*told.mutable_started(), entry.started);
    if (total > 0 && current >= total) {
        set_time(*told.mutable_completed(), Timestamp::now().nanoseconds);
    }
    entry.statuses.insert(std::move(id));
    send_(response.SerializeAsString());
}

void SolveStatus::end(Vertex vertex, Outcome outcome, std::string_view error) {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[vertex];
    std::erase(open_, vertex);
    control::StatusResponse response;
    control::Vertex& told = *response.add_vertexes();
    told.set_digest(entry.digest);
    told.set_name(entry.name);
    told.set_cached(outcome == Outcome::Cached);
    set_time(*told.mutable_started(), entry.started);
    set_time(*told.mutable_completed(), Timestamp::now().nanoseconds);
    told.set_error(to_utf8(error));
    send_(response.SerializeAsString());
}

void StatusLog::add(std::string message) {
    const std::lock_guard lock(mutex_);
    bytes_ += message.size();
    control::StatusResponse response;
    if (bytes_ > kept_bytes && response.ParseFromString(message) && response.logs_size() > 0) {
        return;
    }
    messages_.push_back(std::move(message));
    changed_.notify_all();
}

void StatusLog::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

bool StatusLog::read(const std::stop_token& stop, std::size_t number, std::string& message) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return closed_ || number < messages_.size(); });
    if (number >= messages_.size()) {
        return false;
    }
    message = messages_[number];
    return true;
}

} // namespace berth::build
