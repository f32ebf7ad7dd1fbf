// SPDX-License-Identifier: Apache-2.0
// Front: the engine's side of berth-front, the process that encrypts and frames what clients send
// and get, so that attached sessions with TLS or over websockets outlive the engine (decision
// 0039).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/relay.h"
#include "http/tls.h"
#include "io/event_loop.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace berth::front {

// Thread-safe. The process starts with the first that needs it, and again when it was ended:
// connections that it had end with it. Destroying the object does not end the process, which goes
// by itself when it carries nothing any more.
class Front final : public http::RelayHost {
  public:
    // The loop must outlive the object.
    Front(io::EventLoop& loop, std::string program);
    ~Front() override;

    // For listeners. Starts the process; InvalidArgument names the file that is wrong. The object
    // lives as long as the context.
    static Result<std::shared_ptr<http::TlsContext>>
    serve_tls(const std::shared_ptr<Front>& front, const http::TlsOptions& options);

    // Of websockets.
    Result<UniqueFd> start(http::RelayedConnection connection) override;

    // Nothing ends with the engine.
    void wait_for_end(std::chrono::milliseconds) override {}

    // 0 while there is none.
    pid_t pid() const;

  private:
    class Context;
    struct Process;
    struct State;

    std::shared_ptr<State> state_;
};

} // namespace berth::front
