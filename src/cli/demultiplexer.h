// SPDX-License-Identifier: Apache-2.0
// The daemon's multiplexed output (frames of stdout and stderr) onto our own two streams.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/stream.h"
#include "io/stream_multiplexer.h"

#include <string>
#include <string_view>

namespace berth::cli {

enum class Multiplexed : bool { No, Yes };

class OutputWriter {
  public:
    explicit OutputWriter(Multiplexed multiplexed)
        : multiplexed_(multiplexed) {}

    Result<void> write(std::string_view bytes);

  private:
    Multiplexed multiplexed_;
    io::StreamDemultiplexer demultiplexer_;
};

// Everything from source to stdout and stderr, until its end.
Result<void> copy_output(ByteSource& source, Multiplexed multiplexed);

// "42m", an RFC 3339 time or seconds since the epoch, as the logs and events parameters want it.
Result<std::string> time_parameter(std::string_view text);

// "1700000000.000000001"
std::string seconds_parameter(Timestamp time);

} // namespace berth::cli
