// SPDX-License-Identifier: Apache-2.0
#include "engine/start_failure.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace berth::engine {
namespace {

struct Told {
    std::int64_t code;
    ErrorKind kind;
    std::string message;
};

Told told(Error error) {
    const StartFailure failure = start_failure(std::move(error), "start");
    return {failure.exit_code, failure.error.kind(), failure.error.message()};
}

TEST(StartFailure, GoesByTheKind) {
    const Told absent = told(not_found("exec: \"x\": executable file not found in $PATH"));
    EXPECT_EQ(absent.code, 127);
    EXPECT_EQ(absent.kind, ErrorKind::InvalidArgument);
    EXPECT_EQ(absent.message, "start: exec: \"x\": executable file not found in $PATH");
    EXPECT_EQ(told(Error(ErrorKind::Forbidden, "exec: \"/etc\": is a directory")).code, 126);
    const Told other = told(internal_error("no memory"));
    EXPECT_EQ(other.code, 128);
    EXPECT_EQ(other.kind, ErrorKind::Internal);
}

TEST(StartFailure, GoesByTheSystemsWords) {
    EXPECT_EQ(told(Error::from_errno("chdir to cwd", ENOENT)).code, 127);
    EXPECT_EQ(told(Error::from_errno("chdir to cwd", EACCES)).code, 126);
    EXPECT_EQ(told(Error::from_errno("chdir to cwd", EIO)).code, 128);
}

TEST(StartFailure, AFileOverADirectoryGetsAHint) {
    const Told mixed = told(Error::from_errno("attach mount", ENOTDIR));
    EXPECT_EQ(mixed.code, 127);
    EXPECT_EQ(mixed.kind, ErrorKind::InvalidArgument);
    EXPECT_EQ(
        mixed.message,
        "start: attach mount: not a directory: Are you trying to mount a directory onto a file (or "
        "vice-versa)? Check if the specified host path exists and is the expected type");
}

} // namespace
} // namespace berth::engine
