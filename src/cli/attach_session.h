// SPDX-License-Identifier: Apache-2.0
// A person's (or a pipe's) side of an attached container or exec: stdin to the connection, output
// to stdout and stderr, the terminal raw and its size followed, signals passed on.
#pragma once

#include "base/result.h"
#include "cli/session.h"

#include <cstdint>
#include <memory>
#include <string>

namespace berth::cli {

struct AttachSessionOptions {
    bool terminal = false;     // the container has one: raw bytes both ways
    bool input = false;        // send our stdin
    std::string resize_target; // "/containers/x/resize"; "" for none
    std::string detach_keys;   // as the engine gets them; "" for its default
    std::string signal_target; // "/containers/x/kill": signals that we get go there; "" for none
};

// Serves the connection until the other side ends it.
class AttachSession {
  public:
    // Blocks the signals it serves and puts our terminal into raw mode when both sides have one:
    // make it before the container starts, so that no early signal is lost.
    static Result<AttachSession> create(Session& session, AttachSessionOptions options);

    AttachSession(AttachSession&&) noexcept;
    ~AttachSession();

    enum class End : std::uint8_t {
        Closed,   // what was attached to has ended
        Detached, // our person left by the detach keys; it goes on
    };
    Result<End> run(Session::Hijacked connection);

    // Tells the container our terminal's size; call once it runs. Errors are ignored: a program
    // that has ended already has no size.
    void send_size();

  private:
    struct State;
    explicit AttachSession(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace berth::cli
