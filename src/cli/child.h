// SPDX-License-Identifier: Apache-2.0
// A program that the command line starts: its output as a source of bytes, its failure as an error
// at the end.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/stream.h"

#include <string>
#include <vector>

#include <sys/types.h>

namespace berth::cli {

// Reading it to the end waits for the program; a failure of the program is the error of that last
// read, so that whoever copies the bytes never takes a cut-off output for a whole one.
class ChildOutput final : public ByteSource {
  public:
    // arguments[0] is looked up in $PATH; NotFound when it is not there. stderr stays ours.
    static Result<ChildOutput> start(const std::vector<std::string>& arguments);

    ChildOutput(ChildOutput&& other) noexcept;
    ~ChildOutput() override;

    Result<std::size_t> read(std::span<char> buffer) override;

  private:
    ChildOutput(std::string name, pid_t pid, UniqueFd output);

    Result<void> wait();

    std::string name_;
    pid_t pid_;
    UniqueFd output_;
};

struct ProgramOutcome {
    std::string output;
    std::string status; // "" when it succeeded, else Go's words: "exit status 1", "signal 15"
};

// Runs a program that reads a little (at most a pipe's 64 KiB) and prints a little. NotFound when
// $PATH does not have it.
Result<ProgramOutcome>
run_program(const std::vector<std::string>& arguments, const std::string& input);

// Replaces this process by the program `name` that lies beside our own executable, or is in $PATH.
Error become(
    const std::string& own_executable,
    const std::string& name,
    const std::vector<std::string>& arguments);

} // namespace berth::cli
