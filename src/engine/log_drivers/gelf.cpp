// SPDX-License-Identifier: Apache-2.0
// GELF 1.1, https://go2docs.graylog.org/current/getting_in_log_data/gelf.html: one compressed
// datagram, or chunks of one, for each line; over TCP uncompressed, with a zero byte behind each.
#include "base/random.h"
#include "base/strings.h"
#include "engine/log_drivers/batch_driver.h"
#include "engine/log_drivers/drivers.h"
#include "io/json_log_format.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

namespace berth::engine {
namespace {

constexpr int error_level = 3;
constexpr int info_level = 6;
constexpr std::size_t datagram_size = 1420;
constexpr std::size_t chunk_header_size = 12;
constexpr std::size_t chunk_limit = 128;

enum class Compression : std::uint8_t { Gzip, Zlib, None };

struct GelfSettings {
    LogAddress address;
    Compression compression = Compression::Gzip;
    int level = Z_BEST_SPEED;
    LogDriver::Retry retry;
};

Error unknown_value(std::string_view value, std::string_view option) {
    return invalid_argument(
        "unknown value \"" + std::string(value) + "\" for log opt \"" + std::string(option) +
        "\" for gelf log driver");
}

Result<LogAddress> parse_gelf_address(std::string_view text) {
    if (text.empty()) {
        return invalid_argument("gelf-address is a required parameter");
    }
    const auto parts = cut(text, "://");
    if (!parts) {
        return invalid_argument(
            "gelf-address should be in form proto://address, got " + std::string(text));
    }
    if (parts->before != "udp" && parts->before != "tcp") {
        return invalid_argument("gelf: endpoint needs to be TCP or UDP");
    }
    const auto place = parse_host_port(parts->after, "");
    if (!place.ok()) {
        return invalid_argument("gelf: please provide gelf-address as proto://host:port");
    }
    const bool is_udp = parts->before == "udp";
    return LogAddress{
        .kind = is_udp ? LogAddress::Kind::Udp : LogAddress::Kind::Tcp,
        .host = place->host,
        .port = place->port};
}

Result<GelfSettings> parse_gelf_settings(const LogInfo& info) {
    GelfSettings settings{.address = TRY(parse_gelf_address(info.option("gelf-address")))};
    const bool is_udp = settings.address.kind == LogAddress::Kind::Udp;
    const auto number = [&](const char* name, int least, int most) -> Result<std::optional<int>> {
        const std::string_view text = info.option(name);
        if (!info.options.contains(name)) {
            return std::optional<int>();
        }
        const auto value = parse_number<int>(text);
        if (!value.ok() || *value < least || *value > most) {
            return unknown_value(text, name);
        }
        return std::optional(*value);
    };
    if (const std::string_view type = info.option("gelf-compression-type"); !type.empty()) {
        if (!is_udp) {
            return invalid_argument("compression is only supported on UDP");
        }
        if (type != "gzip" && type != "zlib" && type != "none") {
            return unknown_value(type, "gelf-compression-type");
        }
        settings.compression = type == "gzip"   ? Compression::Gzip
                               : type == "zlib" ? Compression::Zlib
                                                : Compression::None;
    }
    if (const auto level = TRY(number("gelf-compression-level", -1, Z_BEST_COMPRESSION))) {
        if (!is_udp) {
            return invalid_argument("compression is only supported on UDP");
        }
        settings.level = *level;
    }
    for (const char* name : {"gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"}) {
        if (is_udp && info.options.contains(name)) {
            return invalid_argument("\"" + std::string(name) + "\" is only valid for TCP");
        }
    }
    if (const auto count = TRY(number("gelf-tcp-max-reconnect", 0, 1 << 30))) {
        settings.retry.count = static_cast<std::uint64_t>(*count);
    }
    if (const auto delay = TRY(number("gelf-tcp-reconnect-delay", 0, 1 << 20))) {
        settings.retry.wait = std::chrono::seconds(*delay);
    }
    return settings;
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
    out += ",\"";
    io::append_json_text(out, name);
    out += "\":\"";
    io::append_json_text(out, value);
    out += '"';
}

// Seconds with milliseconds, as Go prints a number.
std::string seconds_text(Timestamp time) {
    const std::int64_t thousandths = time.nanoseconds / 1'000'000;
    char text[48];
    (void)std::snprintf(
        text,
        sizeof text,
        "%lld.%03lld",
        static_cast<long long>(thousandths / 1000),
        static_cast<long long>(thousandths % 1000));
    std::string result = text;
    result.erase(result.find_last_not_of('0') + 1);
    if (result.ends_with('.')) {
        result.pop_back();
    }
    return result;
}

class GelfDriver final : public BatchDriver {
  public:
    GelfDriver(const GelfSettings& settings, const std::string& host, std::string extra)
        : BatchDriver(settings.address, {})
        , settings_(settings)
        , extra_(std::move(extra)) {
        prefix_ = R"({"version":"1.1","host":")";
        io::append_json_text(prefix_, host);
        prefix_ += R"(","short_message":")";
    }

    Retry retry() const override { return settings_.retry; }

    void add(const io::LogLine& line) override {
        if (line.text.empty()) {
            return; // Graylog refuses messages without text; Docker leaves them out
        }
        std::string message = prefix_;
        io::append_json_text(message, line.text);
        message += R"(","timestamp":)" + seconds_text(line.time);
        message += R"(,"level":)";
        message += std::to_string(line.stream == io::Stream::Stderr ? error_level : info_level);
        message += extra_;
        message += '}';
        if (settings_.address.kind == LogAddress::Kind::Tcp) {
            message += '\0';
            batch_.add(message);
        } else {
            add_datagrams(compress(message));
        }
    }

  private:
    std::string compress(const std::string& message) const {
        if (settings_.compression == Compression::None) {
            return message;
        }
        constexpr int zlib_window = 15;
        constexpr int gzip_window = 15 + 16;
        constexpr int memory = 8;
        z_stream stream{};
        const int window = settings_.compression == Compression::Gzip ? gzip_window : zlib_window;
        VERIFY(
            deflateInit2(
                &stream, settings_.level, Z_DEFLATED, window, memory, Z_DEFAULT_STRATEGY) == Z_OK);
        std::string out(deflateBound(&stream, message.size()), '\0');
        // SAFETY: zlib only reads its input, and writes within the bound that it told.
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(message.data()));
        stream.avail_in = static_cast<uInt>(message.size());
        stream.next_out = reinterpret_cast<Bytef*>(out.data());
        stream.avail_out = static_cast<uInt>(out.size());
        VERIFY(deflate(&stream, Z_FINISH) == Z_STREAM_END);
        out.resize(stream.total_out);
        (void)deflateEnd(&stream);
        return out;
    }

    void add_datagrams(const std::string& message) {
        if (message.size() <= datagram_size) {
            batch_.add(message);
            return;
        }
        constexpr std::size_t room = datagram_size - chunk_header_size;
        const std::size_t count = (message.size() + room - 1) / room;
        if (count > chunk_limit) {
            return; // no receiver would put it together
        }
        const std::uint64_t id = random_u64();
        for (std::size_t i = 0; i < count; ++i) {
            std::string chunk("\x1e\x0f");
            chunk.append(reinterpret_cast<const char*>(&id), sizeof id);
            chunk += static_cast<char>(i);
            chunk += static_cast<char>(count);
            chunk += message.substr(i * room, room);
            batch_.add(chunk);
        }
    }

    GelfSettings settings_;
    std::string prefix_;
    std::string extra_; // members behind the message's own
};

} // namespace

Result<void> check_gelf_options(const LogInfo& probe) {
    TRY(parse_gelf_settings(probe));
    return ok();
}

Result<std::unique_ptr<LogDriver>> make_gelf_driver(const LogInfo& info) {
    std::string tag = TRY(log_tag(info));
    StringMap members = {
        {"_container_id", info.id},
        {"_container_name", info.name},
        {"_image_id", info.image_id},
        {"_image_name", info.image_name},
        {"_command", info.command()},
        {"_tag", std::move(tag)},
        {"_created", format_rfc3339(info.created)}};
    const StringMap attributes = TRY(log_attributes(info, [](std::string_view name) {
        return name.starts_with('_') ? std::string(name) : "_" + std::string(name);
    }));
    for (const auto& [name, value] : attributes) {
        members.insert_or_assign(name, value);
    }
    std::string extra;
    for (const auto& [name, value] : members) {
        append_member(extra, name, value);
    }
    const GelfSettings settings = TRY(parse_gelf_settings(info));
    return std::unique_ptr<LogDriver>(
        std::make_unique<GelfDriver>(settings, log_host_name(), std::move(extra)));
}

} // namespace berth::engine
