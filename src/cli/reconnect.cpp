// SPDX-License-Identifier: Apache-2.0
// A ping, again and again: there is no event of a socket that is about to be made.
#include "cli/reconnect.h"

#include "base/strings.h"
#include "cli/output.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <poll.h>

namespace berth::cli {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds default_patience{300};
constexpr milliseconds first_pause{20};
constexpr milliseconds longest_pause{500};
// An engine that is started again is back sooner, and nobody needs to hear of it.
constexpr std::chrono::seconds silence{3};

std::chrono::seconds patience_of_environment() {
    const char* text = std::getenv("BERTH_RECONNECT_TIME");
    const auto seconds = parse_number<unsigned>(text == nullptr ? "" : text);
    return seconds.ok() ? std::chrono::seconds(*seconds) : default_patience;
}

} // namespace

bool is_lost(const Error& error) {
    return error.kind() == ErrorKind::Unavailable || error.kind() == ErrorKind::DataLoss ||
           error.error_number() == ECONNRESET || error.error_number() == EPIPE;
}

Reconnect::Reconnect(Session& session)
    : session_(session)
    , patience_(patience_of_environment()) {}

Result<void> Reconnect::wait(const Error& lost) {
    const auto began = std::chrono::steady_clock::now();
    milliseconds pause = first_pause;
    bool is_said = false;
    while (std::chrono::steady_clock::now() - began < patience_) {
        const auto answer = session_.get("/_ping");
        if (answer.ok() || !is_lost(answer.error())) {
            return ok();
        }
        if (!is_said && std::chrono::steady_clock::now() - began > silence) {
            print_error("berth: the daemon went away, waiting for it to come back\n");
            is_said = true;
        }
        ::poll(nullptr, 0, static_cast<int>(pause.count()));
        pause = std::min(pause * 2, longest_pause);
    }
    return Error(
        ErrorKind::Unavailable,
        "the daemon went away and did not come back within " + std::to_string(patience_.count()) +
            " s: " + lost.message());
}

Result<bool> Reconnect::goes_on(const std::optional<Error>& ended) {
    if (!ended) {
        return false;
    }
    if (!is_lost(*ended)) {
        return *ended;
    }
    TRY(wait(*ended));
    return true;
}

Result<json::Value> get_again(Session& session, const std::string& target) {
    Reconnect reconnect(session);
    while (true) {
        auto answer = session.get(target);
        if (answer.ok() || !is_lost(answer.error())) {
            return answer;
        }
        TRY(reconnect.wait(answer.error()));
    }
}

} // namespace berth::cli
