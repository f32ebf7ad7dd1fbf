// SPDX-License-Identifier: Apache-2.0
// Attached and logged output reaches our own stdout and stderr.
#include "cli/demultiplexer.h"

#include "base/file.h"
#include "base/moment.h"
#include "base/strings.h"

#include <array>

#include <unistd.h>

namespace berth::cli {

Result<void> OutputWriter::write(std::string_view bytes) {
    if (multiplexed_ == Multiplexed::No) {
        return write_all(FdRef::unowned(STDOUT_FILENO), bytes);
    }
    return demultiplexer_.feed(bytes, [](io::Stream stream, std::string_view payload) {
        bool out = stream == io::Stream::Stdin || stream == io::Stream::Stdout;
        return write_all(FdRef::unowned(out ? STDOUT_FILENO : STDERR_FILENO), payload);
    });
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
    return seconds_parameter(TRY(parse_moment(text)));
}

std::string seconds_parameter(Timestamp time) {
    const std::string fraction =
        std::to_string(1'000'000'000 + time.nanoseconds % 1'000'000'000).substr(1);
    return std::to_string(time.seconds()) + "." + fraction;
}

} // namespace berth::cli
