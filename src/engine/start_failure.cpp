// SPDX-License-Identifier: Apache-2.0
// The kind where the runtime knows it, else the system's words; the command line goes by them too.
#include "engine/start_failure.h"

#include "base/strings.h"

#include <utility>

namespace berth::engine {
namespace {

constexpr std::int64_t not_found_code = 127;
constexpr std::int64_t cannot_invoke_code = 126;
constexpr std::int64_t other_code = 128;

constexpr std::string_view directory_hint =
    ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified "
    "host path exists and is the expected type";

} // namespace

StartFailure start_failure(Error error, std::string_view context) {
    const auto says = [&error](std::string_view words) {
        return error.message().find(words) != std::string::npos;
    };
    const bool is_no_directory = says("not a directory");
    std::int64_t code = other_code;
    if (error.kind() == ErrorKind::NotFound || says("no such file or directory") ||
        is_no_directory) {
        code = not_found_code;
    } else if (error.kind() == ErrorKind::Forbidden || says("permission denied")) {
        code = cannot_invoke_code;
    }
    Error told = std::move(error).with_context(context);
    if (is_no_directory) {
        told = invalid_argument(told.message() + std::string(directory_hint));
    } else if (code != other_code) {
        told = std::move(told).as(ErrorKind::InvalidArgument);
    }
    return {.exit_code = code, .error = std::move(told)};
}

} // namespace berth::engine
