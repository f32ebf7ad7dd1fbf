// SPDX-License-Identifier: Apache-2.0
// spdlog writes dockerd's logfmt lines from any thread.
#include "base/log_spdlog.h"

#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace berth::log {

namespace {

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>(
            "berth", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%v");
        made->set_level(spdlog::level::trace);
        made->flush_on(spdlog::level::trace);
        return made;
    }();
    return *instance;
}

void spdlog_sink(Level level, std::string_view message, std::span<const Field> fields) {
    logger().log(spdlog::level::info, format_line(level, message, fields));
}

} // namespace

void use_spdlog() {
    logger();
    set_sink(&spdlog_sink);
}

} // namespace berth::log
