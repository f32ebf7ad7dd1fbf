// SPDX-License-Identifier: Apache-2.0
// Processes that are killed while a container is made: init, exec or their creator gets SIGKILL at
// its n-th system call, for each n. The error is exact, and nothing is left: no group, no mount, no
// process, no state; for a dead creator that is so after a forced delete.
#include "kernel/cgroup.h"
#include "kernel/namespace.h"
#include "runtime/container_test_support.h"

#include <cerrno>
#include <csignal>
#include <functional>

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

enum class Victim : std::uint8_t { Creator, Child };

// Between two kills; each costs the start of several programs.
constexpr int steps(int usual) {
    return sanitized ? 4 * usual : usual;
}

// Lets `work` run in a child of ours, traced, and kills the victim where it enters its n-th system
// call.
class Execution {
  public:
    Execution(Victim victim, int number, const std::function<int()>& work)
        : victim_(victim)
        , number_(number) {
        auto cloned = kernel::clone_process(0, UniqueFd());
        if (cloned.ok() && cloned->pid == 0) {
            ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            ::raise(SIGSTOP);
            ::_exit(work());
        }
        creator_ = cloned->pid;
        follow();
    }

    // The work's exit code; -1 when the creator was killed.
    int code() const { return code_; }

    // False: the victim made fewer calls.
    bool killed() const { return killed_; }

  private:
    void follow() {
        int status = 0;
        ::waitpid(creator_, &status, __WALL);
        constexpr long own = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
        constexpr long children =
            PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
        ::ptrace(
            PTRACE_SETOPTIONS,
            creator_,
            nullptr,
            victim_ == Victim::Creator ? own : own | children);
        go_on(creator_, 0);
        bool creator_lives = true;
        bool child_lives = false;
        while (creator_lives || child_lives) {
            pid_t pid = ::waitpid(-1, &status, __WALL);
            if (pid < 0) {
                return;
            }
            if (WIFSTOPPED(status)) {
                child_lives = handle_stop(pid, status) || child_lives;
            } else if (pid == creator_) {
                creator_lives = false;
                code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
                if (child_lives && code_ >= 0) {
                    ::kill(child_, SIGKILL); // it waits at the gate
                }
            } else if (pid == child_) {
                child_lives = false;
            }
        }
    }

    // True when the child is there now.
    bool handle_stop(pid_t pid, int status) {
        const int signal = WSTOPSIG(status);
        const int event = status >> 16;
        if (pid != creator_ && child_ < 0) {
            child_ = pid;
            go_on(pid, 0);
            return true;
        }
        if (signal == (SIGTRAP | 0x80)) {
            entering_ = !entering_; // one stop before each call and one after it
            if (entering_ && ++calls_ == number_) {
                killed_ = true;
                ::kill(pid, SIGKILL);
            }
            go_on(pid, 0);
            return false;
        }
        go_on(pid, event != 0 || signal == SIGSTOP ? 0 : signal);
        return false;
    }

    void go_on(pid_t pid, int signal) {
        const bool watched = pid == (victim_ == Victim::Creator ? creator_ : child_);
        ::ptrace(watched ? PTRACE_SYSCALL : PTRACE_CONT, pid, nullptr, signal);
    }

    Victim victim_;
    int number_;
    pid_t creator_ = -1;
    pid_t child_ = -1;
    int calls_ = 0;
    int code_ = -1;
    bool entering_ = false;
    bool killed_ = false;
};

class ContainerDeath : public ContainerTest {
  protected:
    void SetUp() override {
        ContainerTest::SetUp();
        if (!folder_) {
            return;
        }
        mounts_ = read_file("/proc/self/mountinfo").value_or("");
        message_path_ = folder_->path() + "/message";
    }

    // For Execution: its error is left in a file.
    int create_and_tell() {
        [[maybe_unused]] auto removed = ::unlink(message_path_.c_str());
        auto container =
            Container::create({.state_root = state_root_, .id = "c", .bundle = bundle_});
        if (container.ok()) {
            return 0;
        }
        [[maybe_unused]] auto told = replace_file(message_path_, container.error().message());
        return 1;
    }

    std::string message() const { return read_file(message_path_).value_or(""); }

    void expect_nothing_left(int number) {
        EXPECT_FALSE(exists(state_root_ + "/c")) << number;
        auto group = kernel::Cgroup::open(cgroup_parent_ + "/c");
        EXPECT_TRUE(group.ok() && !group->exists()) << number;
        EXPECT_EQ(read_file("/proc/self/mountinfo").value_or(""), mounts_) << number;
    }

    // Init dies at every step'th of its system calls until it makes no more of them.
    void kill_init_everywhere(int step) {
        ASSERT_TRUE(replace_file(bundle_ + "/config.json", oci::runtime_config_text(config_)).ok());
        int number = 1;
        for (bool killed = true; killed && !HasFailure(); number += step) {
            Execution execution(Victim::Child, number, [this] { return create_and_tell(); });
            killed = execution.killed();
            if (execution.code() == 0) {
                // It was ready already: then it is a container that has stopped.
                auto container = Container::load(state_root_, "c");
                ASSERT_TRUE(container.ok());
                EXPECT_EQ(container->state()->status, Status::Stopped) << number;
                EXPECT_TRUE(container->destroy().ok()) << number;
            } else {
                EXPECT_EQ(execution.code(), 1) << number;
                EXPECT_EQ(message(), "container init ended before it was ready") << number;
            }
            expect_nothing_left(number);
        }
        EXPECT_GT(number, 100);
    }

    void kill_creator_everywhere(int step) {
        ASSERT_TRUE(replace_file(bundle_ + "/config.json", oci::runtime_config_text(config_)).ok());
        int number = 1;
        for (bool killed = true; killed && !HasFailure(); number += step) {
            Execution execution(Victim::Creator, number, [this] { return create_and_tell(); });
            killed = execution.killed();
            EXPECT_EQ(execution.code(), killed ? -1 : 0);
            auto removed = Container::remove_by_force(state_root_, "c");
            EXPECT_TRUE(removed.ok()) << number << ": " << removed.error().message();
            expect_nothing_left(number);
        }
        EXPECT_GT(number, 60);
    }

    std::string mounts_;
    std::string message_path_;
};

TEST_F(ContainerDeath, AnInitThatDiesAnywhereLeavesNothing) {
    kill_init_everywhere(steps(3));
}

TEST_F(ContainerDeath, AnInitInAUserNamespaceThatDiesAnywhereLeavesNothing) {
    use_user_namespace();
    kill_init_everywhere(steps(7));
}

TEST_F(ContainerDeath, AnInitWithHooksThatDiesAnywhereLeavesNothing) {
    config_.hooks.prestart = {{.path = "/bin/true"}};
    config_.hooks.create_container = {{.path = "/bin/true"}};
    kill_init_everywhere(steps(7));
}

TEST_F(ContainerDeath, AnExecThatDiesAnywhereLeavesTheContainerAlone) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    auto work = [this] {
        auto loaded = Container::load(state_root_, "c");
        oci::Process process = *config_.process;
        process.args = {"pwd"};
        auto started = loaded->exec({.process = std::move(process)});
        if (started.ok()) {
            return 0;
        }
        [[maybe_unused]] auto told = replace_file(message_path_, started.error().message());
        return 1;
    };
    int number = 1;
    for (bool killed = true; killed && !HasFailure(); number += steps(3)) {
        Execution execution(Victim::Child, number, work);
        killed = execution.killed();
        if (execution.code() != 0) {
            EXPECT_EQ(message(), "process ended before it was ready") << number;
        }
        EXPECT_EQ(container->processes()->size(), 1U) << number;
    }
    EXPECT_GT(number, 50);
    EXPECT_EQ(exec(*container, {"pwd"}).output, "/\n");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerDeath, ACreatorThatDiesAnywhereLeavesNothingThatCannotBeDeleted) {
    kill_creator_everywhere(steps(1));
}

} // namespace

} // namespace berth::runtime
