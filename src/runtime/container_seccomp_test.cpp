// SPDX-License-Identifier: Apache-2.0
// linux.seccomp in a container: what each action does to a system call, comparisons of arguments,
// and the agent that answers for SCMP_ACT_NOTIFY.
#include "base/strings.h"
#include "codec/json.h"
#include "kernel/namespace.h"
#include "kernel/seccomp.h"
#include "kernel/socket.h"
#include "runtime/container_test_support.h"

#include <gmock/gmock.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;

class ContainerSeccomp : public ContainerTest {
  protected:
    // Everything is allowed but mkdir, which busybox makes with mkdir(2).
    void rule(const std::string& action, std::optional<std::uint32_t> number = {}) {
        config_.linux_.seccomp = oci::Seccomp{
            .default_action = "SCMP_ACT_ALLOW",
            .default_errno_ret = {},
            .architectures = {},
            .flags = {},
            .syscalls = {{{"mkdir", "mkdirat"}, action, number, {}}}};
    }

    Outcome make_directory() { return run({"mkdir", "/tmp/made"}); }

    std::string failure() {
        auto container = create();
        return container.ok() ? "created" : container.error().message();
    }
};

TEST_F(ContainerSeccomp, ErrnoIsTheOneThatWasAskedFor) {
    rule("SCMP_ACT_ERRNO");
    EXPECT_THAT(make_directory().output, HasSubstr("Operation not permitted"));
    rule("SCMP_ACT_ERRNO", EDOM);
    EXPECT_THAT(make_directory().output, HasSubstr("out of domain"));
}

TEST_F(ContainerSeccomp, KillAndTrapEndTheProcess) {
    for (const char* action : {"SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"}) {
        rule(action);
        EXPECT_EQ(
            run_shell("mkdir /tmp/x; echo $?; [ -e /tmp/x ] || echo none").output,
            "Bad system call\n159\nnone\n")
            << action;
    }
    rule("SCMP_ACT_TRAP");
    EXPECT_EQ(run_shell("mkdir /tmp/x; echo $?").output, "Bad system call\n159\n");
}

TEST_F(ContainerSeccomp, TraceWithoutATracerIsNoSuchCall) {
    rule("SCMP_ACT_TRACE", 5);
    EXPECT_THAT(make_directory().output, HasSubstr("not implemented"));
}

TEST_F(ContainerSeccomp, LogLetsTheCallPass) {
    rule("SCMP_ACT_LOG");
    config_.linux_.seccomp->flags = {
        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
    EXPECT_EQ(make_directory().code, 0);
}

TEST_F(ContainerSeccomp, ArgumentsAreCompared) {
    struct Case {
        const char* op;
        std::uint64_t value;
        std::uint64_t value_two;
        const char* refused; // of the modes 0700, 0750, 0755
    };

    for (const Case& test : std::vector<Case>{
             {"SCMP_CMP_EQ", 0750, 0, "750"},
             {"SCMP_CMP_NE", 0750, 0, "700 755"},
             {"SCMP_CMP_LT", 0750, 0, "700"},
             {"SCMP_CMP_LE", 0750, 0, "700 750"},
             {"SCMP_CMP_GT", 0750, 0, "755"},
             {"SCMP_CMP_GE", 0750, 0, "750 755"},
             {"SCMP_CMP_MASKED_EQ", 0070, 0050, "750 755"}}) {
        config_.linux_.seccomp = oci::Seccomp{
            .default_action = "SCMP_ACT_ALLOW",
            .default_errno_ret = {},
            .architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"},
            .flags = {},
            .syscalls = {
                {{"chmod"},
                 "SCMP_ACT_ERRNO",
                 EPERM,
                 {{.index = 1, .value = test.value, .value_two = test.value_two, .op = test.op}}}}};
        Outcome outcome = run_shell(
            "touch /tmp/f; for m in 700 750 755; do busybox chmod $m /tmp/f 2>/dev/null || "
            "echo $m; done");
        std::string refused = outcome.output;
        std::replace(refused.begin(), refused.end(), '\n', ' ');
        EXPECT_EQ(refused, std::string(test.refused) + " ") << test.op;
    }
}

TEST_F(ContainerSeccomp, BadProfilesAreNamedByTheirPlace) {
    rule("SCMP_ACT_FORBID");
    EXPECT_EQ(failure(), "linux.seccomp.syscalls[0].action: unknown action \"SCMP_ACT_FORBID\"");
    rule("SCMP_ACT_ERRNO");
    config_.linux_.seccomp->syscalls[0].args = {{.index = 6, .value = 0, .op = "SCMP_CMP_EQ"}};
    EXPECT_THAT(failure(), HasSubstr("linux.seccomp.syscalls[0]: args[0].index"));
    config_.linux_.seccomp->syscalls[0].args = {{.index = 0, .value = 0, .op = "SCMP_CMP_X"}};
    EXPECT_THAT(failure(), HasSubstr("linux.seccomp.syscalls[0]: args[0].op"));
    rule("SCMP_ACT_ERRNO");
    config_.linux_.seccomp->flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_X"};
    EXPECT_THAT(failure(), HasSubstr("linux.seccomp.flags[1]: unknown flag"));
    rule("SCMP_ACT_ERRNO");
    config_.linux_.seccomp->architectures = {"SCMP_ARCH_Z80"};
    EXPECT_THAT(failure(), HasSubstr("linux.seccomp.architectures[0]"));
    rule("SCMP_ACT_ERRNO");
    config_.linux_.seccomp->default_action = "x";
    EXPECT_THAT(failure(), HasSubstr("linux.seccomp.defaultAction: unknown action"));
    config_.linux_.seccomp->default_action = "SCMP_ACT_NOTIFY";
    EXPECT_THAT(failure(), HasSubstr("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY"));
    rule("SCMP_ACT_NOTIFY");
    EXPECT_THAT(failure(), HasSubstr("linux.seccomp.listenerPath"));
    config_.linux_.seccomp->listener_path = folder_->path() + "/absent.sock";
    EXPECT_THAT(failure(), HasSubstr("linux.seccomp.listenerPath: connect"));
    config_.linux_.seccomp->syscalls[0].names = {"write"};
    EXPECT_THAT(failure(), HasSubstr("write syscall"));
}

TEST_F(ContainerSeccomp, TheKernelKnowsEveryFlag) {
    EXPECT_THAT(
        kernel::known_seccomp_flags(),
        ::testing::Contains("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"));
}

// A process that takes listeners from a socket, writes the messages that come with them to a file
// (a line each) and answers every call with an error. A process and no thread: create() needs one
// thread.
class Agent {
  public:
    Agent(const std::string& path, std::string log)
        : socket_(std::move(kernel::listen_unix(path, 0600)).value())
        , log_(std::move(log))
        , child_(std::move(kernel::clone_process(0, UniqueFd())).value()) {
        if (child_.pid == 0) {
            serve();
        }
    }

    ~Agent() {
        ::kill(child_.pid, SIGKILL);
        wait_for_exit(child_.pid);
    }

    std::vector<std::string> messages() const {
        std::string text = read_file(log_).value_or("");
        std::vector<std::string> lines;
        for (std::string_view line : words(text)) {
            lines.emplace_back(line);
        }
        return lines;
    }

  private:
    [[noreturn]] void serve() {
        std::vector<UniqueFd> listeners;
        while (true) {
            std::vector<pollfd> waited{{socket_.get(), POLLIN, 0}};
            for (const UniqueFd& listener : listeners) {
                waited.push_back({listener.get(), POLLIN, 0});
            }
            ::poll(waited.data(), waited.size(), -1);
            for (std::size_t i = 1; i < waited.size(); ++i) {
                if ((waited[i].revents & POLLIN) != 0) {
                    answer(listeners[i - 1]);
                }
            }
            std::erase_if(listeners, [&](const UniqueFd& listener) {
                return std::any_of(waited.begin(), waited.end(), [&](const pollfd& entry) {
                    return entry.fd == listener.get() && (entry.revents & POLLHUP) != 0;
                });
            });
            if ((waited[0].revents & POLLIN) != 0) {
                listeners.push_back(take());
            }
        }
    }

    UniqueFd take() {
        UniqueFd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        UniqueFd listener;
        std::array<char, 4096> buffer;
        std::string text;
        while (true) {
            auto received = kernel::receive_with_descriptors(client, buffer);
            if (!received.ok() || received->size == 0) {
                break;
            }
            text.append(buffer.data(), received->size);
            if (!received->descriptors.empty()) {
                listener = std::move(received->descriptors[0]);
            }
        }
        UniqueFd log(::open(log_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
        [[maybe_unused]] Result<void> written = write_all(log, text + "\n");
        return listener;
    }

    static void answer(const UniqueFd& listener) {
        seccomp_notif request{};
        if (::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) {
            return;
        }
        seccomp_notif_resp response{};
        response.id = request.id;
        response.error = -ENOMEDIUM;
        ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
    }

    UniqueFd socket_;
    std::string log_;
    kernel::Cloned child_;
};

TEST_F(ContainerSeccomp, AnAgentAnswersForTheKernel) {
    const std::string path = folder_->path() + "/agent.sock";
    for (bool no_new_privileges : {false, true}) {
        const std::string log = folder_->path() + (no_new_privileges ? "/log2" : "/log");
        Agent agent(path, log);
        rule("SCMP_ACT_NOTIFY");
        config_.linux_.seccomp->listener_path = path;
        config_.linux_.seccomp->listener_metadata = "MKDIR";
        config_.linux_.seccomp->flags = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
        config_.process->no_new_privileges = no_new_privileges;
        config_.process->args = {"mkdir", "/tmp/made"};
        auto container = create();
        ASSERT_TRUE(container.ok()) << container.error().message();
        const pid_t pid = container->pid();
        Outcome outcome = finish(*container);
        EXPECT_THAT(outcome.output, HasSubstr("No medium found"));
        const std::vector<std::string> messages = agent.messages();
        ASSERT_EQ(messages.size(), 1U);
        // https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#the-container-process-state
        auto message = json::parse(messages[0]);
        ASSERT_TRUE(message.ok()) << messages[0];
        EXPECT_EQ(json::serialize(*json::find(*message, "fds")), R"(["seccompFd"])");
        EXPECT_EQ(json::find_string(*message, "metadata"), "MKDIR");
        EXPECT_EQ(json::serialize(*json::find(*message, "pid")), std::to_string(pid));
        const json::Value* state = json::find(*message, "state");
        ASSERT_NE(state, nullptr);
        EXPECT_EQ(json::find_string(*state, "id"), "c");
        EXPECT_EQ(json::find_string(*state, "status"), "creating");
        EXPECT_EQ(json::serialize(*json::find(*state, "pid")), std::to_string(pid));
    }
}

TEST_F(ContainerSeccomp, AnAgentAnswersForExecsToo) {
    const std::string path = folder_->path() + "/agent.sock";
    Agent agent(path, folder_->path() + "/log");
    rule("SCMP_ACT_NOTIFY");
    config_.linux_.seccomp->listener_path = path;
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    EXPECT_THAT(exec(*container, {"mkdir", "/tmp/x"}).output, HasSubstr("No medium found"));
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
    const std::vector<std::string> messages = agent.messages();
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_THAT(messages[1], HasSubstr("\"status\":\"running\""));
}

} // namespace

} // namespace berth::runtime
