// SPDX-License-Identifier: Apache-2.0
// Docker's progress messages: one JSON document a line, sent while the work goes on.
#include "api/progress_stream.h"

#include "api/context.h"
#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace berth::api {

namespace {

constexpr std::string_view line_end = "\r\n";

// Docker tells an update of a layer from a plain message by an (empty) progressDetail.
bool is_plain_message(const engine::ImageProgress& progress) {
    return progress.id.empty() || progress.status.starts_with("Pulling from ");
}

} // namespace

std::string human_size(std::int64_t bytes) {
    constexpr std::array<std::string_view, 7> units{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1000.0 && unit + 1 < units.size()) {
        value /= 1000.0;
        ++unit;
    }
    std::array<char, 32> text{};
    const int length = std::snprintf(text.data(), text.size(), "%.4g", value);
    return std::string(text.data(), static_cast<std::size_t>(std::max(length, 0))) +
           std::string(units[unit]);
}

// https://github.com/moby/moby/blob/v28.2.2/pkg/jsonmessage/jsonmessage.go (JSONProgress.String)
std::string progress_bar(std::int64_t current, std::int64_t total) {
    if (current <= 0 && total <= 0) {
        return {};
    }
    const auto padded = [](const std::string& text) {
        return std::string(text.size() < 8 ? 8 - text.size() : 0, ' ') + text;
    };
    if (total <= 0) {
        return padded(human_size(current));
    }
    const double share = static_cast<double>(current) / static_cast<double>(total);
    const auto filled = static_cast<std::size_t>(std::clamp(share * 50.0, 0.0, 50.0));
    std::string bar = "[" + std::string(filled, '=') + ">" + std::string(50 - filled, ' ') + "] ";
    bar += padded(human_size(current));
    if (current <= total) {
        bar += "/" + human_size(total);
    }
    return bar;
}

std::string progress_message(const engine::ImageProgress& progress) {
    json::Object message;
    if (!progress.stream.empty()) {
        message["stream"] = progress.stream;
    }
    if (!progress.status.empty()) {
        message["status"] = progress.status;
    }
    if (progress.has_progress) {
        json::Object detail;
        if (progress.current != 0) {
            detail["current"] = progress.current;
        }
        if (progress.total != 0) {
            detail["total"] = progress.total;
        }
        message["progressDetail"] = std::move(detail);
        if (const std::string bar = progress_bar(progress.current, progress.total); !bar.empty()) {
            message["progress"] = bar;
        }
    } else if (!is_plain_message(progress) || !progress.aux.is_null()) {
        message["progressDetail"] = json::Object{};
    }
    if (!progress.id.empty()) {
        message["id"] = progress.id;
    }
    if (!progress.aux.is_null()) {
        message["aux"] = progress.aux;
    }
    return json::serialize(message);
}

void ProgressStream::begin() {
    const std::lock_guard lock(mutex_);
    if (!begun_) {
        begun_ = true;
        broken_ = !response_.begin(200, json_headers()).ok();
    }
}

void ProgressStream::send(const engine::ImageProgress& progress) {
    write(progress_message(progress));
}

void ProgressStream::send_stream(std::string_view text) {
    write(json::serialize(json::Object{{"stream", text}}));
}

void ProgressStream::send_aux(const json::Value& aux) {
    write(json::serialize(json::Object{{"aux", aux}}));
}

void ProgressStream::send_aux(std::string_view id, const json::Value& aux) {
    write(json::serialize(json::Object{{"id", id}, {"aux", aux}}));
}

void ProgressStream::write(const std::string& document) {
    const std::lock_guard lock(mutex_);
    if (broken_) {
        return;
    }
    if (!begun_) {
        begun_ = true;
        broken_ = !response_.begin(200, json_headers()).ok();
    }
    // A step's output is bytes, JSON is UTF-8: what is none is told as Go's JSON does.
    broken_ = broken_ || !response_.write(to_utf8(document) + std::string(line_end)).ok();
}

Result<void> ProgressStream::finish(Result<void> outcome, int code) {
    if (!outcome.ok()) {
        if (!begun_) {
            return outcome;
        }
        const std::string& message = outcome.error().message();
        json::Object detail;
        if (code != 0) {
            detail["code"] = code;
        }
        detail["message"] = message;
        write(
            json::serialize(json::Object{{"errorDetail", std::move(detail)}, {"error", message}}));
    } else if (!begun_) {
        TRY(response_.begin(200, json_headers()));
    }
    return response_.finish();
}

} // namespace berth::api
