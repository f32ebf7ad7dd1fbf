// SPDX-License-Identifier: Apache-2.0
// ExitWait: a container's exit code, whatever happens to the engine meanwhile.
#pragma once

#include "base/result.h"
#include "cli/reconnect.h"
#include "cli/session.h"
#include "codec/stream.h"

#include <memory>
#include <string>

namespace berth::cli {

class ExitWait {
  public:
    // The request is sent at once: a container that is started afterwards cannot end unseen.
    // `path`: "/containers/x"; `condition`: as the API has it.
    static Result<ExitWait> open(Session& session, std::string path, std::string condition);

    // The API's answer. Asks the next engine when this one goes away; there a container that was
    // started has ended, or runs.
    Result<json::Value> finish();

  private:
    ExitWait(Session& session, std::string path, std::string condition)
        : session_(&session)
        , path_(std::move(path))
        , condition_(std::move(condition)) {}

    Result<void> ask();
    Result<json::Value> read();

    Session* session_;
    std::string path_;
    std::string condition_;
    std::unique_ptr<ByteSource> answer_;
};

// The exit code in the answer, or the error that it tells.
Result<int> exit_code_in(const json::Value& answer);

} // namespace berth::cli
