// SPDX-License-Identifier: Apache-2.0
// Docker's stdcopy frames: stream number, three zero bytes, big-endian length, payload.
#include "cli/demultiplexer.h"

#include "base/file.h"
#include "base/strings.h"
#include "base/time.h"

#include <algorithm>
#include <array>

#include <unistd.h>

namespace berth::cli {

namespace {

constexpr std::size_t header_size = 8;
constexpr char stderr_stream = 2;
constexpr char system_error_stream = 3;

std::size_t frame_length(std::string_view header) {
    std::size_t length = 0;
    for (std::size_t i = 4; i < header_size; ++i) {
        length = length << 8 | static_cast<unsigned char>(header[i]);
    }
    return length;
}

} // namespace

Result<void> OutputWriter::write(std::string_view bytes) {
    if (multiplexed_ == Multiplexed::No) {
        return write_all(FdRef::unowned(STDOUT_FILENO), bytes);
    }
    return write_frames(bytes);
}

Result<void> OutputWriter::write_frames(std::string_view bytes) {
    while (!bytes.empty()) {
        if (frame_left_ > 0) {
            std::size_t size = std::min(frame_left_, bytes.size());
            TRY(write_all(FdRef::unowned(target_), bytes.substr(0, size)));
            frame_left_ -= size;
            bytes.remove_prefix(size);
            continue;
        }
        std::size_t missing = std::min(header_size - header_.size(), bytes.size());
        header_ += bytes.substr(0, missing);
        bytes.remove_prefix(missing);
        if (header_.size() < header_size) {
            break;
        }
        char stream = header_[0];
        if (stream < 0 || stream > system_error_stream) {
            return Error(
                ErrorKind::DataLoss, "Unrecognized input header: " + std::to_string(stream));
        }
        target_ = stream >= stderr_stream ? STDERR_FILENO : STDOUT_FILENO;
        frame_left_ = frame_length(header_);
        header_.clear();
    }
    return ok();
}

Result<void> copy_output(ByteSource& source, Multiplexed multiplexed) {
    OutputWriter writer(multiplexed);
    std::array<char, 32768> buffer;
    while (std::size_t got = TRY(source.read(buffer))) {
        TRY(writer.write(std::string_view(buffer.data(), got)));
    }
    return ok();
}

Result<std::string> time_parameter(std::string_view text) {
    Timestamp time;
    if (Result<std::chrono::nanoseconds> age = parse_duration(text); age.ok()) {
        time = {Timestamp::now().nanoseconds - age->count()};
    } else if (Result<Timestamp> point = parse_rfc3339(text); point.ok()) {
        time = *point;
    } else if (std::all_of(text.begin(), text.end(), [](char c) {
                   return (c >= '0' && c <= '9') || c == '.';
               })) {
        return std::string(text);
    } else {
        return invalid_argument(
            "failed to parse value as time or duration: \"" + std::string(text) + "\"");
    }
    std::string fraction =
        std::to_string(1'000'000'000 + time.nanoseconds % 1'000'000'000).substr(1);
    return std::to_string(time.seconds()) + "." + fraction;
}

} // namespace berth::cli
