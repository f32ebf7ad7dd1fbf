// SPDX-License-Identifier: Apache-2.0
// A process of the runtime on its way into a container, and what a hostile process there can take
// of it. Each test is named after its case.
#include "kernel/process.h"
#include "runtime/security_test_support.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int one_page = 4096;

class SecurityProcess : public SecurityTest {
  protected:
    // The owner that the kernel shows for a file of a process: root's while it is not dumpable.
    static uid_t owner_of_descriptors(pid_t pid) {
        struct stat status {};

        std::string path = "/proc/" + std::to_string(pid) + "/fd";
        return ::stat(path.c_str(), &status) == 0 ? status.st_uid : static_cast<uid_t>(-1);
    }

    static Outcome command(const std::vector<std::string>& words) {
        auto pipe = Pipe::create();
        auto child = kernel::spawn(
            {.arguments = words, .fds = {{pipe->write_end.get(), 1}, {pipe->write_end.get(), 2}}});
        if (!child.ok()) {
            return {-1, child.error().message()};
        }
        pipe->write_end.reset();
        Outcome outcome;
        outcome.output = read_all(pipe->read_end, 1U << 20).value_or("<unreadable>");
        outcome.code = child->wait()->shell_code();
        return outcome;
    }

    // Others may be gone before the attacker sees them. This one, of the runtime's own program,
    // stays until its output is read, which is when the container has said `words`.
    std::string expose(const std::string& runtime, std::string_view words) {
        auto pipe = Pipe::create();
        EXPECT_EQ(::fcntl(pipe->write_end.get(), F_SETPIPE_SZ, one_page), one_page);
        auto held = kernel::spawn(
            {.arguments =
                 {runtime, "--root", state_root_, "exec", "c", "/proc/self/exe", "features"},
             .fds = {{pipe->write_end.get(), 1}}});
        EXPECT_TRUE(held.ok());
        pipe->write_end.reset();
        std::string said = read_output_until(words);
        EXPECT_GT(read_all(pipe->read_end, 1U << 20).value_or("").size(), std::size_t{one_page});
        EXPECT_TRUE(held.ok() && held->wait().ok());
        return said;
    }

    // What the container has said when `words` are in it, or when nothing came for too long.
    std::string read_output_until(std::string_view words) {
        constexpr int patience = 60'000; // milliseconds
        std::string said;
        pollfd readable{.fd = output_.get(), .events = POLLIN, .revents = 0};
        std::array<char, 512> buffer{};
        while (said.find(words) == std::string::npos && ::poll(&readable, 1, patience) == 1) {
            const ssize_t count = ::read(output_.get(), buffer.data(), buffer.size());
            if (count <= 0) {
                break;
            }
            said.append(buffer.data(), static_cast<std::size_t>(count));
        }
        return said;
    }
};

TEST_F(SecurityProcess, Cve2016_9962_InitIsClosedUntilItsProgramRuns) {
    config_.process->user = {.uid = 1000, .gid = 1001};
    config_.process->args = {"sleep", "1000"};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    // It waits at the gate, as the user, with descriptors of the host.
    EXPECT_EQ(owner_of_descriptors(container->pid()), 0U);
    for (std::uint32_t uid : {1000U, 0U}) {
        oci::Process process = *config_.process;
        process.user = {.uid = uid};
        process.args = {"attack", "inspect", "1"};
        EXPECT_EQ(exec_process(*container, process).output, "end\n") << uid;
    }
    ASSERT_TRUE(container->start().ok());
    stop(*container);
}

TEST_F(SecurityProcess, Cve2016_9962_ExecIsClosedUntilItsProgramRuns) {
    // A process of the same user looks at each new process for as long as it comes.
    config_.process->args = {"attack", "watch"};
    auto container = start();
    ASSERT_TRUE(container);
    for (int i = 0; i < 30; ++i) {
        EXPECT_EQ(exec(*container, {"pwd"}).code, 0);
        EXPECT_EQ(exec(*container, {"nope"}).code, -1);
    }
    stop(*container);
    EXPECT_EQ(read_output(), "ready\n");
}

TEST_F(SecurityProcess, Cve2024_21626_OnlyThreeDescriptorsReachAProgram) {
    // NOLINTNEXTLINE(android-cloexec-open): not close-on-exec, on purpose
    UniqueFd leak(::open("/", O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(leak);
    config_.process->args = {"attack", "fds"};
    EXPECT_EQ(run({"attack", "fds"}).output, "0 1 2\n");
    config_.process->args = {"sleep", "1000"};
    auto container = start();
    ASSERT_TRUE(container);
    EXPECT_EQ(exec(*container, {"attack", "fds"}).output, "0 1 2\n");
    stop(*container);
}

TEST_F(SecurityProcess, Cve2024_21626_NoProgramThroughADescriptorOfTheHost) {
    // The program's own path leads through the runtime's descriptors just as a directory would.
    // NOLINTNEXTLINE(android-cloexec-open): what is to leak
    UniqueFd leak(::open("/", O_RDONLY | O_DIRECTORY));
    std::filesystem::create_symlink("/proc/self/fd", root_path() + "/fds");
    for (int fd = 3; fd < 24; ++fd) {
        config_.process->cwd = "/fds/" + std::to_string(fd) + "/tmp";
        auto container = create();
        ASSERT_FALSE(container.ok()) << fd;
        EXPECT_THAT(container.error().message(), HasSubstr("/fds/"));
    }
    EXPECT_FALSE(exists("/fds"));
}

TEST_F(SecurityProcess, Cve2024_21626_AProgramFoundThroughADescriptorIsNotTheHosts) {
    // NOLINTNEXTLINE(android-cloexec-open): what is to leak
    UniqueFd host(::open("/", O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(replace_file(root_path() + "/etc/mark", "container").ok());
    for (int fd = 3; fd < 24; ++fd) {
        config_.process->args = {
            "/proc/self/fd/" + std::to_string(fd) + "/bin/sh",
            "-c",
            "[ -e /etc/mark ] || echo out"};
        auto container = create();
        if (!container.ok()) {
            continue;
        }
        EXPECT_THAT(finish(*container).output, Not(HasSubstr("out"))) << fd;
    }
}

TEST_F(SecurityProcess, Cve2019_5736_TheRuntimesProgramCannotBeOverwritten) {
    // The container's program is a link to its own starter, /proc/self/exe, or a script for it; a
    // second process opens /proc/PID/exe and writes as soon as it is let. A copy stands in for the
    // installed runtime.
    const std::string runtime = folder_->path() + "/runtime";
    ASSERT_TRUE(std::filesystem::copy_file(sibling_program("berth-runtime"), runtime));
    const std::string before = read_file(runtime, 64U << 20).value_or("unreadable");
    std::filesystem::create_symlink("/proc/self/exe", root_path() + "/bin/link");
    ASSERT_TRUE(replace_file(root_path() + "/bin/script", "#!/proc/self/exe\n", 0755).ok());
    config_.process->args = {"attack", "overwrite"};
    mount_libraries_of_programs();
    auto container = start();
    ASSERT_TRUE(container);
    for (int i = 0; i < (sanitized ? 5 : 20); ++i) {
        for (const char* program : {"/proc/self/exe", "link", "script"}) {
            Outcome outcome =
                command({runtime, "--root", state_root_, "exec", "c", program, "features"});
            EXPECT_NE(outcome.output, "") << program;
        }
    }
    std::string said = expose(runtime, "found");
    stop(*container);
    said += read_output();
    EXPECT_THAT(said, Not(HasSubstr("overwrote")));
    EXPECT_TRUE(read_file(runtime, 64U << 20).value_or("") == before);
    // The attack was under way: the runtime's program was found in the container.
    EXPECT_THAT(said, HasSubstr("found"));
}

TEST_F(SecurityProcess, Cve2022_0847_PagesOfTheRuntimesProgramAreNotWrittenByAPipe) {
    // The kernel's fault, which no runtime can make up for: this says that the kernel has none, and
    // that the program is the same for the next container.
    const std::string runtime = folder_->path() + "/runtime";
    ASSERT_TRUE(std::filesystem::copy_file(sibling_program("berth-runtime"), runtime));
    const std::string before = read_file(runtime, 64U << 20).value_or("unreadable");
    config_.process->args = {"attack", "splice"};
    mount_libraries_of_programs();
    auto container = start();
    ASSERT_TRUE(container);
    for (int i = 0; i < 20; ++i) {
        Outcome outcome =
            command({runtime, "--root", state_root_, "exec", "c", "/proc/self/exe", "features"});
        EXPECT_NE(outcome.output, "");
    }
    std::string said = expose(runtime, "spliced");
    stop(*container);
    said += read_output();
    EXPECT_THAT(said, HasSubstr("spliced"));
    EXPECT_TRUE(read_file(runtime, 64U << 20).value_or("") == before);
}

TEST_F(SecurityProcess, Cve2019_5736_AnEntrypointOfProcSelfExeRunsAProtectedProgram) {
    const std::string runtime = folder_->path() + "/runtime";
    ASSERT_TRUE(std::filesystem::copy_file(sibling_program("berth-runtime"), runtime));
    const std::string before = read_file(runtime, 64U << 20).value_or("unreadable");
    ASSERT_TRUE(replace_file(root_path() + "/bin/script", "#!/proc/self/exe\n", 0755).ok());
    mount_libraries_of_programs();
    for (const char* program : {"/proc/self/exe", "/bin/script"}) {
        config_.process->args = {program, "--version"};
        ASSERT_TRUE(replace_file(bundle_ + "/config.json", oci::runtime_config_text(config_)).ok());
        Outcome outcome =
            command({runtime, "--root", state_root_, "run", "--bundle", bundle_, "c"});
        EXPECT_THAT(outcome.output, Not(HasSubstr("overwrote"))) << program;
        EXPECT_TRUE(read_file(runtime, 64U << 20).value_or("") == before);
    }
}

TEST_F(SecurityProcess, Cve2025_23266_HooksGetNothingOfTheImage) {
    // LD_PRELOAD of the image's environment, and a working directory that the image fills.
    const std::string log = folder_->path() + "/hook";
    const oci::Hook hook{
        .path = "/bin/sh",
        .args = {"sh", "-c", "{ pwd; env | grep -c -e LD_ -e SECRET; echo ${X-unset}; } >> " + log},
        .env = {"PATH=/usr/bin:/bin"}};
    config_.process->env = {
        "PATH=/bin", "LD_PRELOAD=/etc/evil.so", "LD_LIBRARY_PATH=/etc", "SECRET=1", "X=1"};
    config_.hooks.prestart = {hook};
    config_.hooks.create_runtime = {hook};
    config_.hooks.create_container = {hook};
    config_.hooks.poststart = {hook};
    config_.hooks.poststop = {hook};
    EXPECT_EQ(run({"id", "-u"}).code, 0);
    std::string each = bundle_ + "\n0\nunset\n";
    EXPECT_EQ(read_file(log).value_or(""), each + each + each + each + each);
}

TEST_F(SecurityProcess, Cve2024_25621_RuntimeDirectoriesAreClosed) {
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    int found = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(state_root_)) {
        struct stat status {};

        ASSERT_EQ(::lstat(entry.path().c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0077, 0U) << entry.path();
        ++found;
    }
    EXPECT_GE(found, 4); // the directory, config.json, state.json, the gate
    stop(*container);
}

TEST_F(SecurityProcess, Cve2026_47262_HugeUserDatabasesDoNoHarm) {
    // /etc/passwd is read for HOME: a sparse terabyte, a fifo, and a line of two gigabytes.
    ASSERT_EQ(::truncate((root_path() + "/etc/passwd").c_str(), 1L << 40), 0);
    EXPECT_EQ(run_shell("echo $HOME").output, "/\n");
    std::filesystem::remove(root_path() + "/etc/passwd");
    ASSERT_EQ(::mkfifo((root_path() + "/etc/passwd").c_str(), 0666), 0);
    EXPECT_EQ(run_shell("echo $HOME").output, "/\n");
    std::filesystem::remove(root_path() + "/etc/passwd");
    std::filesystem::create_symlink("/dev/zero", root_path() + "/etc/passwd");
    EXPECT_EQ(run_shell("echo $HOME").output, "/\n");
    std::filesystem::remove(root_path() + "/etc/passwd");
    std::filesystem::create_symlink("/proc/self/fd/3", root_path() + "/etc/passwd");
    EXPECT_EQ(run_shell("echo $HOME").output, "/\n");
}

} // namespace

} // namespace berth::runtime
