// SPDX-License-Identifier: Apache-2.0
// docker stats: a sample a second. One thread serves every client, and sleeps when there is none.
#pragma once

#include "api/context.h"
#include "engine/containers.h"

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace berth::api {

// A sample beside the one before it (nullptr: none), from which clients make percentages.
json::Value encode_stats(const engine::ContainerStats& now, const engine::ContainerStats* before);

class StatsPublisher {
  public:
    StatsPublisher() = default;
    StatsPublisher(const StatsPublisher&) = delete;
    StatsPublisher& operator=(const StatsPublisher&) = delete;
    ~StatsPublisher();

    enum class Mode : std::uint8_t { Stream, OnePair };

    // Sends samples until the client or the container is gone; OnePair ends after the first sample
    // that has another before it.
    void
    add(engine::Containers& containers,
        std::string container,
        std::shared_ptr<http::Stream> stream,
        Mode mode);

  private:
    struct Client {
        engine::Containers* containers;
        std::string container;
        std::shared_ptr<http::Stream> stream;
        Mode mode;
        std::optional<engine::ContainerStats> previous;
    };

    void run(const std::stop_token& stop);
    // False when the client is done.
    static bool serve(Client& client);

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::list<Client> clients_;
    std::jthread thread_;
};

Result<void> stream_stats(Context& context);

} // namespace berth::api
