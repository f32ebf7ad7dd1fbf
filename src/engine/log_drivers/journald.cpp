// SPDX-License-Identifier: Apache-2.0
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL: one datagram for each line, fields by line.
#include "base/file.h"
#include "engine/log_drivers/batch_driver.h"
#include "engine/log_drivers/drivers.h"
#include "engine/names.h"

#include <cctype>

namespace berth::engine {
namespace {

constexpr const char* journal_socket = "/run/systemd/journal/socket";
constexpr int error_priority = 3;
constexpr int info_priority = 6;

void put_field(std::string& out, std::string_view name, std::string_view value) {
    out += name;
    if (value.find('\n') == std::string_view::npos) {
        out += '=';
    } else {
        out += '\n';
        for (std::size_t i = 0; i < 8; ++i) {
            out += static_cast<char>(value.size() >> (8 * i) & 0xffU);
        }
    }
    out += value;
    out += '\n';
}

// Upper-case letters, digits and underscores, and no underscore first.
std::string field_name(std::string_view text) {
    std::string name;
    for (const char letter : text) {
        const auto byte = static_cast<unsigned char>(letter);
        const bool is_word = byte < 0x80 && std::isalnum(byte) != 0;
        const char upper = is_word ? static_cast<char>(std::toupper(byte)) : '_';
        if (!name.empty() || upper != '_') {
            name += upper;
        }
    }
    return name;
}

class JournaldDriver final : public BatchDriver {
  public:
    explicit JournaldDriver(std::string fields)
        : BatchDriver({.kind = LogAddress::Kind::UnixDatagram, .path = journal_socket}, {})
        , fields_(std::move(fields)) {}

    Result<void> connect(std::stop_token stop) override {
        auto connected = BatchDriver::connect(stop);
        if (!connected.ok()) {
            return Error(
                ErrorKind::Unavailable,
                "journald is not enabled on this host: " + connected.error().message());
        }
        return ok();
    }

    void add(const io::LogLine& line) override {
        const bool is_error = line.stream == io::Stream::Stderr;
        std::string message = fields_;
        put_field(message, "PRIORITY", std::to_string(is_error ? error_priority : info_priority));
        put_field(message, "SYSLOG_TIMESTAMP", format_rfc3339(line.time));
        if (line.is_partial && !line.is_last) {
            put_field(message, "CONTAINER_PARTIAL_MESSAGE", "true");
        }
        if (line.is_partial) {
            put_field(message, "CONTAINER_PARTIAL_ORDINAL", std::to_string(line.ordinal));
            put_field(message, "CONTAINER_PARTIAL_LAST", line.is_last ? "true" : "false");
        }
        put_field(message, "MESSAGE", line.text);
        batch_.add(message);
    }

  private:
    std::string fields_; // that each line has
};

} // namespace

Result<std::unique_ptr<LogDriver>> make_journald_driver(const LogInfo& info) {
    const std::string tag = TRY(log_tag(info));
    StringMap fields = {
        {"CONTAINER_ID", info.id.substr(0, short_id_length)},
        {"CONTAINER_ID_FULL", info.id},
        {"CONTAINER_NAME", info.name},
        {"CONTAINER_TAG", tag},
        {"IMAGE_NAME", info.image_name},
        {"SYSLOG_IDENTIFIER", tag}};
    const StringMap attributes = TRY(log_attributes(info, field_name));
    for (const auto& [name, value] : attributes) {
        if (!name.empty()) {
            fields.insert_or_assign(name, value);
        }
    }
    std::string encoded;
    for (const auto& [name, value] : fields) {
        put_field(encoded, name, value);
    }
    return std::unique_ptr<LogDriver>(std::make_unique<JournaldDriver>(std::move(encoded)));
}

} // namespace berth::engine
