// SPDX-License-Identifier: Apache-2.0
// Drivers by name.
#include "engine/log_driver.h"

#include "engine/log_drivers/drivers.h"
#include "io/json_log_format.h"

namespace berth::engine {

Result<std::unique_ptr<LogDriver>> make_log_driver(std::string_view type, const LogInfo& info) {
    if (type == "syslog") {
        return make_syslog_driver(info);
    }
    if (type == "gelf") {
        return make_gelf_driver(info);
    }
    if (type == "fluentd") {
        return make_fluentd_driver(info);
    }
    VERIFY(type == "journald");
    return make_journald_driver(info);
}

Result<void> check_log_driver_options(std::string_view type, const LogInfo& probe) {
    if (type == "syslog") {
        return check_syslog_options(probe);
    }
    if (type == "gelf") {
        return check_gelf_options(probe);
    }
    return type == "fluentd" ? check_fluentd_options(probe) : ok();
}

std::string encode_log_attributes(const StringMap& attributes) {
    std::string text = "{";
    for (const auto& [name, value] : attributes) {
        text += text.size() > 1 ? ",\"" : "\"";
        io::append_json_text(text, name);
        text += "\":\"";
        io::append_json_text(text, value);
        text += '"';
    }
    return text + "}";
}

} // namespace berth::engine
