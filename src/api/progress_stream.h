// SPDX-License-Identifier: Apache-2.0
// Docker's progress messages: one JSON document a line, sent while the work goes on. The answer
// begins with the first message, so that an error before it still has a status of its own.
#pragma once

#include "base/result.h"
#include "engine/images.h"
#include "http/response_writer.h"

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace berth::api {

// "1.5MB" in units of 1000 with four digits, as docker/go-units prints sizes.
std::string human_size(std::int64_t bytes);

// "[====>    ]  1.5MB/3MB"
std::string progress_bar(std::int64_t current, std::int64_t total);

// Without the line's end.
std::string progress_message(const engine::ImageProgress& progress);

// Thread-safe. A client that is gone ends nothing here: the stop token does.
class ProgressStream {
  public:
    explicit ProgressStream(http::ResponseWriter& response)
        : response_(response) {}

    // Sends the head: an error that comes later is a message, even when it is the first one.
    void begin();
    void send(const engine::ImageProgress& progress);
    void send_stream(std::string_view text); // {"stream": …}
    void send_aux(const json::Value& aux);   // {"aux": …}
    void send_aux(std::string_view id, const json::Value& aux);

    engine::ImageProgressCallback callback() {
        return [this](const engine::ImageProgress& progress) { send(progress); };
    }

    // Ends the answer. An error after the first message becomes the last one; before it, it is
    // returned for the router to answer. `code` stands beside the message when it is not 0.
    Result<void> finish(Result<void> outcome, int code = 0);

  private:
    void write(const std::string& document);

    http::ResponseWriter& response_;
    std::mutex mutex_;
    bool begun_ = false;
    bool broken_ = false;
};

} // namespace berth::api
