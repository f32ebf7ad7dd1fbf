// SPDX-License-Identifier: Apache-2.0
// Starting programs without copying the caller (vfork-like), and waiting for them by pidfd.
// clone(2), pidfd_open(2), waitid(2).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace berth::kernel {

struct ExitStatus {
    int code = 0;   // of exit(3); 0 when a signal ended it
    int signal = 0; // 0 when it exited by itself

    // As a shell and Docker show it: 128 + signal.
    int shell_code() const { return signal != 0 ? 128 + signal : code; }
};

// Numbers from here on are for descriptors that are kept for long, some for each container: a
// process that spawn makes begins without a copy of them, so that its start does not take longer
// with each.
inline constexpr int first_kept_fd = 1024;

// The same open file under such a number; under the one it has where the limit forbids those.
UniqueFd keep_apart(UniqueFd fd);
// A second owner of the same open file, under such a number where the limit allows it.
Result<UniqueFd> duplicate_apart(FdRef fd);

// A child process. The destructor kills (SIGKILL) and reaps it unless it was waited for or
// released.
class Child {
  public:
    // pidfd may be empty: it is then opened.
    static Result<Child> adopt(pid_t pid, UniqueFd pidfd = UniqueFd());

    Child(Child&& other) noexcept;
    Child& operator=(Child&& other) noexcept;
    ~Child();

    pid_t pid() const { return pid_; }

    // Readable (poll) once the process has ended.
    FdRef pidfd() const { return pidfd_; }

    void keep_pidfd_apart() { pidfd_ = keep_apart(std::move(pidfd_)); }

    Result<ExitStatus> wait();
    // nullopt while it runs.
    Result<std::optional<ExitStatus>> try_wait();
    Result<void> kill(int signal);

    // Gives up ownership; somebody else reaps it.
    pid_t release();

  private:
    Child(pid_t pid, UniqueFd pidfd)
        : pid_(pid)
        , pidfd_(std::move(pidfd)) {}

    pid_t pid_ = -1;
    UniqueFd pidfd_;
};

struct SpawnOptions {
    std::vector<std::string> arguments; // [0] is the program's argv[0]
    std::string program;                // a path; empty: arguments[0], looked for in $PATH
    std::optional<std::vector<std::string>> environment; // nullopt: the caller's
    std::vector<std::pair<int, int>> fds; // {ours, the child's}; all others are closed by exec
    std::optional<std::string> working_directory;
    bool new_session = false;        // setsid(2)
    bool default_signals = true;     // handlers, ignored signals and the mask are reset
    std::optional<int> death_signal; // PR_SET_PDEATHSIG: of the calling thread's end
};

// The error of exec(2) in the child is the error returned here (errno kept).
Result<Child> spawn(const SpawnOptions& options);

} // namespace berth::kernel
