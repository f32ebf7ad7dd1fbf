// SPDX-License-Identifier: Apache-2.0
// AttachedClient: the connection of one client that is attached to a process, with what could not
// be written to it yet. Passive: ProcessStreams watches the connection and decides.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/detach_keys.h"
#include "io/stream_multiplexer.h"
#include "monitor/protocol.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace berth::monitor {

class AttachedClient {
  public:
    // The connection's O_NONBLOCK is left as it is, because the engine may share it.
    AttachedClient(UniqueFd connection, AttachStreams streams);

    FdRef connection() const { return connection_; }

    // Writes what the client asked for, now or later.
    void deliver(io::Stream stream, std::string_view bytes);
    void flush();

    std::size_t queued() const { return queue_.size() - sent_; }

    enum class Input : std::uint8_t { Nothing, Bytes, Ended, Detached };

    // Reads once what the client has typed; `bytes` says how much of the buffer is filled.
    // With Detached there can be bytes too, typed before the keys.
    Input read_input(std::span<char> buffer, std::string& typed);

    // What had come with the client's request; for the process's input, first.
    std::string take_leftover();

    // No more output than what is queued, and no input.
    void finish();

    bool wants_input() const { return input_open_; }

    void end_input() { input_open_ = false; }

    // Nothing to wait for from this client or for it.
    bool done() const { return !input_open_ && (!output_open_ || (finishing_ && queued() == 0)); }

    bool output_open() const { return output_open_; }

    // Ends the connection in a way that lets the client read everything that was written.
    void close();

    // For ProcessStreams: the state of the connection in the loop.
    bool watched = false;
    bool hung_up = false;

  private:
    bool wants(io::Stream stream) const;
    std::size_t send_now(std::string_view header, std::string_view bytes);

    UniqueFd connection_;
    AttachStreams streams_;
    io::DetachKeyFilter detach_filter_;
    std::string queue_;
    std::size_t sent_ = 0; // of queue_
    bool input_open_;
    bool output_open_ = true;
    bool finishing_ = false;
};

} // namespace berth::monitor
