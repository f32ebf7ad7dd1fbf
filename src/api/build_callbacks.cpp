// SPDX-License-Identifier: Apache-2.0
// What every build tells the engine, whichever protocol asked for it: events and metrics.
#include "api/build_callbacks.h"

#include "codec/json.h"
#include "engine/images.h"
#include "engine/metrics.h"
#include "oci/image_config.h"

#include <algorithm>

namespace berth::api {

namespace {

// Which of engine::Metrics::build_failures it is, by the sentence.
std::size_t failure_index(const Error& error) {
    struct Sign {
        std::string_view words;
        std::string_view reason;
    };

    static constexpr Sign signs[] = {
        {"unknown instruction", "unknown_instruction_error"},
        {"cannot be empty", "dockerfile_empty_error"},
        {"parse error", "dockerfile_syntax_error"},
        {"no build stage in current context", "dockerfile_syntax_error"},
        {"target stage", "build_target_not_reachable_error"}};
    std::string_view reason =
        error.kind() == ErrorKind::Cancelled ? "build_canceled" : "error_processing_commands_error";
    for (const Sign& sign : signs) {
        if (error.message().find(sign.words) != std::string::npos) {
            reason = sign.reason;
            break;
        }
    }
    const auto& all = engine::Metrics::build_failures;
    return static_cast<std::size_t>(std::ranges::find(all, reason) - all.begin());
}

} // namespace

void publish_build_event(
    engine::Engine& engine, const std::string& action, const oci::Digest& id, std::string name) {
    engine::Event event{.type = "image", .action = action, .actor_id = id.to_string(), .time = {}};
    if (const auto image = engine.images().inspect(event.actor_id); image.ok()) {
        const auto config = json::decode<oci::ContainerDefaults>(image->config);
        if (config.ok()) {
            event.attributes = config->labels;
        }
    }
    event.attributes["name"] = std::move(name);
    engine.events().publish(std::move(event));
}

void count_build(engine::Engine& engine) {
    ++engine.metrics().builds_triggered;
}

void count_build_failure(engine::Engine& engine, const Error& error) {
    ++engine.metrics().builds_failed[failure_index(error)];
}

} // namespace berth::api
