// SPDX-License-Identifier: Apache-2.0
// https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1: an event for each line;
// where an acknowledgement is asked for, all of a batch as one entry with one acknowledgement.
#include "base/random.h"
#include "base/strings.h"
#include "engine/daemon_config.h"
#include "engine/daemon_options.h"
#include "engine/log_drivers/batch_driver.h"
#include "engine/log_drivers/drivers.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace berth::engine {
namespace {

constexpr std::string_view default_port = "24224";
constexpr std::size_t fluentd_answer_limit = 4096;
constexpr std::uint64_t default_buffer_limit = 1U << 20; // lines
constexpr std::chrono::milliseconds shortest_reconnect{100};
constexpr std::chrono::milliseconds longest_reconnect{10'000};

struct FluentdSettings {
    LogAddress address;
    bool async = false;
    bool has_exact_time = false;
    bool wants_acknowledgement = false;
    LogDriver::Retry retry;
    std::uint64_t buffer_limit = default_buffer_limit; // lines that wait, when async
    std::chrono::milliseconds read_limit = log_connection_time;
    std::chrono::milliseconds write_limit = log_connection_time;
    std::chrono::milliseconds reconnect_interval{0}; // 0: never without need
};

Result<LogAddress> parse_fluentd_address(std::string_view text) {
    using Kind = LogAddress::Kind;
    if (text.empty()) {
        return LogAddress{.host = "127.0.0.1", .port = std::string(default_port)};
    }
    LogAddress address;
    std::string_view place = text;
    if (const auto parts = cut(text, "://")) {
        place = parts->after;
        if (parts->before == "unix") {
            return LogAddress{.kind = Kind::UnixStream, .path = std::string(place)};
        }
        if (parts->before != "tcp" && parts->before != "tls") {
            return invalid_argument(
                "invalid fluentd-address (" + std::string(text) + "): unsupported scheme: '" +
                std::string(parts->before) + "'");
        }
        address.kind = parts->before == "tls" ? Kind::Tls : Kind::Tcp;
    }
    auto parsed = parse_host_port(place.substr(0, place.find('/')), default_port);
    if (!parsed.ok()) {
        return std::move(parsed).error().with_context(
            "invalid fluentd-address (" + std::string(text) + ")");
    }
    if (!parse_number<std::uint16_t>(parsed->port).ok()) {
        return invalid_argument(
            "invalid fluentd-address (" + std::string(text) + "): invalid port");
    }
    address.host = parsed->host.empty() ? "127.0.0.1" : parsed->host;
    address.port = parsed->port;
    return address;
}

// Of "3s" and the like; nothing and 0 leave `time` as it is.
Result<void>
parse_time(const LogInfo& info, const std::string& name, std::chrono::milliseconds& time) {
    const std::string_view text = info.option(name);
    if (text.empty()) {
        return ok();
    }
    const auto given = TRY_CONTEXT(parse_duration(text), "invalid value for " + name);
    if (given.count() < 0) {
        return invalid_argument(
            "invalid value for " + name + ": value (\"" + std::string(text) +
            "\") must not be negative");
    }
    if (given.count() > 0) {
        time = std::chrono::ceil<std::chrono::milliseconds>(given);
    }
    return ok();
}

Result<void> parse_times(const LogInfo& info, FluentdSettings& settings) {
    TRY(parse_time(info, "fluentd-read-timeout", settings.read_limit));
    TRY(parse_time(info, "fluentd-write-timeout", settings.write_limit));
    const std::string interval = "fluentd-async-reconnect-interval";
    TRY(parse_time(info, interval, settings.reconnect_interval));
    const std::chrono::milliseconds time = settings.reconnect_interval;
    if (time.count() != 0 && (time < shortest_reconnect || time > longest_reconnect)) {
        return invalid_argument(
            "invalid value for " + interval + ": value (\"" + std::string(info.option(interval)) +
            "\") must be between 100ms and 10s");
    }
    return ok();
}

Result<FluentdSettings> parse_fluentd_settings(const LogInfo& info) {
    FluentdSettings settings{.address = TRY(parse_fluentd_address(info.option("fluentd-address")))};
    const auto is_on = [&](const char* name) -> Result<bool> {
        const std::string_view text = info.option(name);
        return text.empty() ? Result<bool>(false) : parse_go_bool(text);
    };
    settings.async = TRY(is_on("fluentd-async"));
    settings.has_exact_time = TRY(is_on("fluentd-sub-second-precision"));
    settings.wants_acknowledgement = TRY(is_on("fluentd-request-ack"));
    if (const auto text = info.option("fluentd-buffer-limit"); !text.empty()) {
        // As Docker: "1k" is a number of lines.
        settings.buffer_limit = static_cast<std::uint64_t>(TRY(parse_memory_size(text)));
    }
    TRY(parse_times(info, settings));
    if (const auto text = info.option("fluentd-retry-wait"); !text.empty()) {
        settings.retry.wait =
            std::chrono::duration_cast<std::chrono::milliseconds>(TRY(parse_duration(text)));
    }
    if (const auto text = info.option("fluentd-max-retries"); !text.empty()) {
        const auto count = parse_number<std::uint64_t>(text);
        if (!count.ok()) {
            return invalid_argument(
                "strconv.ParseUint: parsing \"" + std::string(text) + "\": invalid syntax");
        }
        settings.retry.count = *count;
    }
    return settings;
}

// The little of MessagePack that is needed; big-endian.
void put_number(std::string& out, std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) {
        out += static_cast<char>(value >> (8 * i) & 0xffU);
    }
}

void put_text(std::string& out, std::string_view text) {
    if (text.size() < 32) {
        out += static_cast<char>(0xa0U | text.size());
    } else if (text.size() < 1U << 8U) {
        out += '\xd9';
        put_number(out, text.size(), 1);
    } else if (text.size() < 1U << 16U) {
        out += '\xda';
        put_number(out, text.size(), 2);
    } else {
        out += '\xdb';
        put_number(out, text.size(), 4);
    }
    out += text;
}

void put_array_head(std::string& out, std::size_t size) {
    out += '\xdd';
    put_number(out, size, 4);
}

void put_map_head(std::string& out, std::size_t size) {
    out += '\xdf';
    put_number(out, size, 4);
}

class FluentdDriver final : public BatchDriver {
  public:
    FluentdDriver(
        const FluentdSettings& settings, std::string tag, const LogInfo& info, StringMap extra)
        : BatchDriver(settings.address, {}, settings.write_limit)
        , settings_(settings)
        , tag_(std::move(tag))
        , id_(info.id)
        , members_(std::move(extra)) {
        members_.emplace("container_id", info.id);
        members_.emplace("container_name", "/" + info.name);
    }

    Retry retry() const override { return settings_.retry; }

    bool needs_peer_at_start() const override { return !settings_.async; }

    std::optional<std::uint64_t> waiting_limit() const override {
        return settings_.async ? std::optional(settings_.buffer_limit) : std::nullopt;
    }

    Result<void> connect(std::stop_token stop) override {
        connected_at_ = std::chrono::steady_clock::now();
        return BatchDriver::connect(stop);
    }

    void add(const io::LogLine& line) override {
        std::string event;
        if (!settings_.wants_acknowledgement) {
            event += '\x93';
            put_text(event, tag_);
        } else {
            event += '\x92';
        }
        put_time(event, line.time);
        put_record(event, line);
        batch_.add(event);
        ++count_;
    }

    void drop_batch() override {
        BatchDriver::drop_batch();
        count_ = 0;
    }

    Result<void> send(std::stop_token stop) override {
        // For servers that share the work behind one name.
        if (settings_.async && settings_.reconnect_interval.count() != 0 &&
            std::chrono::steady_clock::now() - connected_at_ >= settings_.reconnect_interval) {
            disconnect();
        }
        if (settings_.wants_acknowledgement) {
            // The same name when it is sent again: the receiver may know it already.
            chunk_ = chunk_.empty() ? random_hex(16) : chunk_;
        }
        TRY(BatchDriver::send(stop));
        chunk_.clear();
        count_ = 0;
        return ok();
    }

  protected:
    Result<void>
    deliver(LogConnection& connection, LogBatch& batch, const std::stop_token& stop) override {
        if (!settings_.wants_acknowledgement) {
            return batch.send_stream(connection, stop);
        }
        std::string head = "\x93";
        put_text(head, tag_);
        put_array_head(head, count_);
        std::string tail;
        put_map_head(tail, 1);
        put_text(tail, "chunk");
        put_text(tail, chunk_);
        TRY(connection.send(head, stop));
        TRY(batch.send_stream(connection, stop));
        TRY(connection.send(tail, stop));
        return await_acknowledgement(connection, stop);
    }

  private:
    void put_time(std::string& out, Timestamp time) const {
        const auto seconds = static_cast<std::uint64_t>(time.seconds());
        if (settings_.has_exact_time) {
            out += "\xd7";
            out += '\0'; // EventTime
            put_number(out, seconds, 4);
            put_number(out, static_cast<std::uint64_t>(time.nanoseconds % 1'000'000'000), 4);
        } else {
            out += '\xce';
            put_number(out, seconds, 4);
        }
    }

    void put_record(std::string& out, const io::LogLine& line) const {
        const std::size_t own = line.is_partial ? 6 : 2;
        put_map_head(out, members_.size() + own);
        for (const auto& [name, value] : members_) {
            put_text(out, name);
            put_text(out, value);
        }
        put_text(out, "source");
        put_text(out, line.stream == io::Stream::Stderr ? "stderr" : "stdout");
        put_text(out, "log");
        put_text(out, line.text);
        if (line.is_partial) {
            put_text(out, "partial_message");
            put_text(out, "true");
            put_text(out, "partial_id");
            put_text(out, partial_id(line));
            put_text(out, "partial_ordinal");
            put_text(out, std::to_string(line.ordinal));
            put_text(out, "partial_last");
            put_text(out, line.is_last ? "true" : "false");
        }
    }

    // The same for all parts of a line, whoever sends them: of the container and the line's time.
    std::string partial_id(const io::LogLine& line) const {
        std::string number(16, '0');
        auto value = static_cast<std::uint64_t>(line.time.nanoseconds);
        for (auto digit = number.rbegin(); digit != number.rend(); ++digit, value >>= 4U) {
            *digit = "0123456789abcdef"[value & 0xfU];
        }
        return id_.substr(0, 47) + (line.stream == io::Stream::Stderr ? "e" : "0") + number;
    }

    // {"ack": chunk}; the chunk's name stands nowhere else.
    Result<void>
    await_acknowledgement(LogConnection& connection, const std::stop_token& stop) const {
        std::string answer;
        std::array<char, 512> buffer;
        while (answer.find(chunk_) == std::string::npos) {
            if (answer.size() > fluentd_answer_limit) {
                return Error(ErrorKind::DataLoss, "fluentd answers with something else");
            }
            const std::size_t count = TRY(connection.receive(buffer, settings_.read_limit, stop));
            answer.append(buffer.data(), count);
        }
        return ok();
    }

    FluentdSettings settings_;
    std::string tag_;
    std::string id_;
    StringMap members_;
    std::string chunk_;
    std::chrono::steady_clock::time_point connected_at_;
    std::size_t count_ = 0; // events in the batch
};

} // namespace

Result<void> check_fluentd_options(const LogInfo& probe) {
    TRY(parse_fluentd_settings(probe));
    return ok();
}

Result<std::unique_ptr<LogDriver>> make_fluentd_driver(const LogInfo& info) {
    const FluentdSettings settings = TRY(parse_fluentd_settings(info));
    std::string tag = TRY(log_tag(info));
    StringMap extra = TRY(log_attributes(info));
    for (const char* own : {"source", "log"}) {
        extra.erase(own); // a name twice in one record
    }
    return std::unique_ptr<LogDriver>(
        std::make_unique<FluentdDriver>(settings, std::move(tag), info, std::move(extra)));
}

} // namespace berth::engine
