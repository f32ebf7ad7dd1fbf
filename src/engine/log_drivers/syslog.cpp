// SPDX-License-Identifier: Apache-2.0
// https://github.com/moby/moby/blob/master/daemon/logger/syslog/syslog.go: the message without a
// format is that of syslog(3); RFC 5424 over TLS counts its bytes (RFC 5425), all others end with a
// line feed.
#include "base/strings.h"
#include "engine/log_drivers/batch_driver.h"
#include "engine/log_drivers/drivers.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <optional>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::engine {
namespace {

enum class Format : std::uint8_t { Unix, Rfc3164, Rfc5424, Rfc5424Micro };

constexpr std::array<std::string_view, 20> facility_names = {
    "kern",   "user",   "mail",   "daemon",   "auth",   "syslog", "lpr",
    "news",   "uucp",   "cron",   "authpriv", "ftp",    "local0", "local1",
    "local2", "local3", "local4", "local5",   "local6", "local7"};
constexpr int last_low_facility = 11; // from ftp on four numbers are left out
constexpr int first_local_facility = 16;
constexpr int error_severity = 3;
constexpr int info_severity = 6;

struct SyslogSettings {
    LogAddress address;
    LogTls tls;
    int facility = 3;
    Format format = Format::Unix;
};

// The local daemon's socket, where no address is given.
std::string local_socket() {
    for (const char* path : {"/dev/log", "/var/run/syslog", "/var/run/log"}) {
        struct stat status {};

        if (stat(path, &status) == 0) {
            return path;
        }
    }
    return "/dev/log";
}

Result<LogAddress> parse_syslog_address(std::string_view text) {
    using Kind = LogAddress::Kind;
    if (text.empty()) {
        return LogAddress{.kind = Kind::UnixDatagram, .path = local_socket()};
    }
    const std::pair<std::string_view, Kind> schemes[] = {
        {"tcp", Kind::Tcp},
        {"udp", Kind::Udp},
        {"tcp+tls", Kind::Tls},
        {"unix", Kind::UnixStream},
        {"unixgram", Kind::UnixDatagram}};
    const auto parts = cut(text, "://");
    const std::string_view name = text.substr(0, text.find(':'));
    const auto* scheme =
        std::ranges::find(schemes, name, &std::pair<std::string_view, Kind>::first);
    if (!parts || scheme == std::end(schemes)) {
        return invalid_argument(
            "unsupported scheme: '" + (name == text ? std::string() : std::string(name)) + "'");
    }
    LogAddress address{.kind = scheme->second};
    if (address.kind == Kind::UnixStream || address.kind == Kind::UnixDatagram) {
        address.path = parts->after;

        struct stat status {};

        if (stat(address.path.c_str(), &status) != 0) {
            return errno_error("stat " + address.path).as(ErrorKind::InvalidArgument);
        }
        return address;
    }
    HostPort place = TRY(parse_host_port(parts->after, "514"));
    address.host = std::move(place.host);
    address.port = std::move(place.port);
    return address;
}

Result<int> parse_facility(std::string_view text) {
    if (text.empty()) {
        return 3;
    }
    const auto* const found = std::ranges::find(facility_names, text);
    if (found != facility_names.end()) {
        const auto index = static_cast<int>(found - facility_names.begin());
        return index <= last_low_facility ? index
                                          : index - last_low_facility - 1 + first_local_facility;
    }
    const auto number = parse_number<int>(text);
    if (number.ok() && *number >= 0 && *number <= 23) {
        return *number;
    }
    return invalid_argument("invalid syslog facility");
}

Result<Format> parse_format(std::string_view text) {
    if (text.empty()) {
        return Format::Unix;
    }
    if (text == "rfc3164") {
        return Format::Rfc3164;
    }
    if (text == "rfc5424") {
        return Format::Rfc5424;
    }
    if (text == "rfc5424micro") {
        return Format::Rfc5424Micro;
    }
    return invalid_argument("Invalid syslog format");
}

Result<SyslogSettings> parse_syslog_settings(const LogInfo& info) {
    SyslogSettings settings;
    settings.address = TRY(parse_syslog_address(info.option("syslog-address")));
    settings.facility = TRY(parse_facility(info.option("syslog-facility")));
    settings.format = TRY(parse_format(info.option("syslog-format")));
    settings.tls = {
        .ca_file = std::string(info.option("syslog-tls-ca-cert")),
        .certificate_file = std::string(info.option("syslog-tls-cert")),
        .key_file = std::string(info.option("syslog-tls-key")),
        // Given at all means yes, whatever its value.
        .skip_verify = info.options.contains("syslog-tls-skip-verify")};
    return settings;
}

// With the zone's offset, as "2026-01-02T03:04:05+01:00" or "…05.123456Z".
std::string rfc5424_time(Timestamp time, bool with_microseconds) {
    const std::time_t seconds = time.seconds();
    std::tm local{};
    (void)localtime_r(&seconds, &local);
    std::array<char, 32> text{};
    (void)std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &local);
    std::string result = text.data();
    if (with_microseconds) {
        const auto microseconds = static_cast<int>(time.nanoseconds % 1'000'000'000 / 1000);
        (void)std::snprintf(text.data(), text.size(), ".%06d", microseconds);
        std::string fraction = text.data();
        fraction.erase(fraction.find_last_not_of('0') + 1);
        result += fraction == "." ? "" : fraction;
    }
    if (local.tm_gmtoff == 0) {
        return result + "Z";
    }
    const long minutes = local.tm_gmtoff / 60;
    const long size = minutes < 0 ? -minutes : minutes;
    (void)std::snprintf(
        text.data(), text.size(), "%c%02ld:%02ld", minutes < 0 ? '-' : '+', size / 60, size % 60);
    return result + text.data();
}

// Go's time.Stamp: "Jan _2 15:04:05".
std::string stamp(Timestamp time) {
    const std::time_t seconds = time.seconds();
    std::tm local{};
    (void)localtime_r(&seconds, &local);
    std::array<char, 32> text{};
    (void)std::strftime(text.data(), text.size(), "%b %e %H:%M:%S", &local);
    return text.data();
}

class SyslogDriver final : public BatchDriver {
  public:
    SyslogDriver(const SyslogSettings& settings, std::string tag)
        : BatchDriver(settings.address, settings.tls)
        , facility_(settings.facility)
        , format_(settings.format)
        , counts_bytes_(
              settings.address.kind == LogAddress::Kind::Tls &&
              (format_ == Format::Rfc5424 || format_ == Format::Rfc5424Micro))
        , tag_(std::move(tag))
        , host_(log_host_name())
        , pid_(std::to_string(getpid())) {}

    void add(const io::LogLine& line) override {
        const int severity = line.stream == io::Stream::Stderr ? error_severity : info_severity;
        std::string message = "<" + std::to_string(facility_ * 8 + severity) + ">";
        // The time of the line and not of its sending, which may be much later.
        message += head(line.time);
        message += line.text;
        message += '\n';
        if (counts_bytes_) {
            message.insert(0, std::to_string(message.size()) + " ");
        }
        batch_.add(message);
    }

  private:
    const std::string& head(Timestamp time) {
        const bool is_exact = format_ == Format::Rfc5424Micro;
        const std::int64_t unit = time.nanoseconds / (is_exact ? 1000 : 1'000'000'000);
        if (head_.empty() || unit != head_unit_) {
            head_ = make_head(time);
            head_unit_ = unit;
        }
        return head_;
    }

    std::string make_head(Timestamp time) const {
        switch (format_) {
        case Format::Unix:
            return stamp(time) + " " + tag_ + "[" + pid_ + "]: ";
        case Format::Rfc3164:
            return stamp(time) + " " + host_ + " " + tag_ + "[" + pid_ + "]: ";
        case Format::Rfc5424:
        case Format::Rfc5424Micro:
            return "1 " + rfc5424_time(time, format_ == Format::Rfc5424Micro) + " " + host_ + " " +
                   tag_ + " " + pid_ + " " + tag_ + " - ";
        }
        return {};
    }

    int facility_;
    Format format_;
    bool counts_bytes_;
    std::string tag_;
    std::string host_;
    std::string pid_;
    std::string head_;
    std::int64_t head_unit_ = 0;
};

} // namespace

Result<void> check_syslog_options(const LogInfo& probe) {
    TRY(parse_syslog_settings(probe));
    return ok();
}

Result<std::unique_ptr<LogDriver>> make_syslog_driver(const LogInfo& info) {
    SyslogSettings settings = TRY(parse_syslog_settings(info));
    std::string tag = TRY(log_tag(info));
    return std::unique_ptr<LogDriver>(
        std::make_unique<SyslogDriver>(std::move(settings), std::move(tag)));
}

} // namespace berth::engine
