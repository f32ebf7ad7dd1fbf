// SPDX-License-Identifier: Apache-2.0
// POST /containers/x/wait, again where it must be.
#include "cli/exit_wait.h"

#include "cli/document_stream.h"
#include "cli/listing.h"

#include <utility>

namespace berth::cli {

Result<ExitWait> ExitWait::open(Session& session, std::string path, std::string condition) {
    ExitWait wait(session, std::move(path), std::move(condition));
    TRY(wait.ask());
    return wait;
}

Result<void> ExitWait::ask() {
    answer_ = TRY(
        session_->stream({.method = "POST", .target = path_ + "/wait?condition=" + condition_}));
    return ok();
}

Result<json::Value> ExitWait::read() {
    DocumentStream documents(*answer_);
    auto document = TRY(documents.next());
    if (!document) {
        return Error(ErrorKind::Unavailable, "the daemon went away before the container ended");
    }
    return std::move(*document);
}

Result<json::Value> ExitWait::finish() {
    Reconnect reconnect(*session_);
    while (true) {
        auto answer = read();
        if (answer.ok() || !is_lost(answer.error())) {
            return answer;
        }
        if (condition_ == "next-exit") {
            condition_ = "not-running"; // it may have been that exit already
        }
        while (true) {
            TRY(reconnect.wait(answer.error()));
            const auto asked = ask();
            if (asked.ok()) {
                break;
            }
            if (!is_lost(asked.error())) {
                return asked.error();
            }
        }
    }
}

Result<int> exit_code_in(const json::Value& answer) {
    if (const json::Value* error = json::find(answer, "Error"); error && error->is_object()) {
        std::string message = text_of(*error, "Message");
        if (!message.empty()) {
            return internal_error(message);
        }
    }
    return static_cast<int>(number_of(answer, "StatusCode"));
}

} // namespace berth::cli
