// SPDX-License-Identifier: Apache-2.0
// Names that another container exchanges while a container is made: it shares the root and swaps a
// directory and a link as fast as it can. Each case is named after the engine's fault that it was.
// A creation may fail; what it may not do is to reach the host or to lose its masks.
#include "base/strings.h"
#include "kernel/namespace.h"
#include "kernel/procfs.h"
#include "runtime/security_labels.h"
#include "runtime/security_test_support.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <thread>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int attempts = 40;
constexpr int enough = sanitized ? 8 : attempts; // of attempts that succeed

struct MountLine {
    std::string root;
    std::string place;
    std::string options;
    std::string type;
};

std::vector<MountLine> mounts_of(pid_t pid) {
    std::vector<MountLine> lines;
    std::string text = read_file("/proc/" + std::to_string(pid) + "/mountinfo").value_or("");
    for (std::string_view line : split(text, '\n')) {
        std::vector<std::string_view> fields = words(line);
        auto dash = std::find(fields.begin(), fields.end(), "-");
        if (fields.size() > 6 && dash != fields.end()) {
            lines.push_back(
                {std::string(fields[3]),
                 std::string(fields[4]),
                 std::string(fields[5]),
                 std::string(dash[1])});
        }
    }
    return lines;
}

class SecurityRace : public SecurityTest {
  protected:
    void SetUp() override {
        SecurityTest::SetUp();
        if (!folder_) {
            return;
        }
        outside_ = folder_->path() + "/outside";
        ASSERT_TRUE(make_directories(outside_).ok());
        ASSERT_TRUE(replace_file(outside_ + "/victim", "of the host").ok());
    }

    // /a of the shared root is a directory or a link to `target`.
    void exchange(const std::string& a, const std::string& target) {
        ASSERT_TRUE(make_directories(root_path() + a).ok());
        exchange_with_link(a, target);
    }

    void exchange_with_link(const std::string& a, const std::string& target) {
        std::filesystem::create_symlink(target, root_path() + a + "-link");
        start_attacker({"/bin/attack", "exchange", "/shared" + a, "/shared" + a + "-link"});
    }

    // Makes containers while the attacker is at work; `check` sees those that were made.
    template <class Check>
    int make_many(Check check) {
        const std::string before = host_mounts();
        int made = 0;
        for (int i = 0; i < attempts && made < enough; ++i) {
            auto container = create();
            if (container.ok()) {
                ++made;
                check(*container);
                stop(*container);
            } else {
                errors_.push_back(container.error().message());
            }
            if (HasFailure()) {
                break;
            }
        }
        EXPECT_EQ(host_mounts(), before);
        EXPECT_EQ(list_directory(outside_).value_or({}), std::vector<std::string>{"victim"});
        EXPECT_EQ(read_file(outside_ + "/victim").value_or(""), "of the host");
        return made;
    }

    static std::string host_mounts() { return read_file("/proc/self/mountinfo").value_or(""); }

    // Every mask and every read-only path lies on the procfs file that it is for.
    void expect_masks(pid_t pid) {
        std::vector<std::string> masked;
        for (const MountLine& line : mounts_of(pid)) {
            if (line.root == "/null") {
                masked.push_back(line.place.substr(line.place.rfind('/')));
            }
            if (line.type == "proc" && line.root != "/") {
                // A part of procfs that is mounted: only to make it read-only, at its own place.
                EXPECT_TRUE(line.place.ends_with(line.root)) << line.place << " " << line.root;
                EXPECT_THAT(line.options, StartsWith("ro")) << line.place;
            }
        }
        EXPECT_THAT(masked, Contains("/keys"));
        EXPECT_THAT(masked, Contains("/timer_list"));
    }

    std::string outside_;
    std::vector<std::string> errors_;
};

TEST_F(SecurityRace, Cve2021_30465_MountTargetsStayInTheRoot) {
    // Also CVE-2024-45310: the directories and files of mount points are made in the root.
    ASSERT_TRUE(make_directories(root_path() + "/volume").ok());
    config_.mounts.push_back({"/volume/a/b/c", "tmpfs", "tmpfs", {"nosuid"}});
    config_.mounts.push_back({"/volume/a/file", "bind", outside_ + "/victim", {"bind", "ro"}});
    config_.process->cwd = "/volume/a/cwd";
    exchange("/volume/a", outside_);
    int made = make_many([](Container&) {});
    EXPECT_GT(made, 0);
}

TEST_F(SecurityRace, Cve2021_30465_RelativeLinksStayInTheRoot) {
    ASSERT_TRUE(make_directories(root_path() + "/volume").ok());
    config_.mounts.push_back({"/volume/a/b", "tmpfs", "tmpfs", {}});
    exchange("/volume/a", "../../../outside");
    EXPECT_GT(make_many([](Container&) {}), 0);
}

TEST_F(SecurityRace, Cve2019_19921_MasksAreWhereProcIs) {
    // Also CVE-2023-27561 and CVE-2023-28642: /proc is a link by the time of the masks.
    ASSERT_TRUE(make_directories(root_path() + "/elsewhere/sys").ok());
    exchange("/proc", "/elsewhere");
    int made = make_many([this](Container& container) { expect_masks(container.pid()); });
    EXPECT_GT(made, 0);
    for (const std::string& error : errors_) {
        EXPECT_THAT(error, HasSubstr("/proc"));
    }
}

TEST_F(SecurityRace, Cve2023_28642_SysIsProtectedWhereItIs) {
    ASSERT_TRUE(make_directories(root_path() + "/elsewhere/firmware").ok());
    exchange("/sys", "/elsewhere");
    int made = make_many([this](Container& container) {
        bool masked = false;
        for (const MountLine& line : mounts_of(container.pid())) {
            masked = masked || (line.type == "tmpfs" && line.place.ends_with("/firmware"));
            EXPECT_FALSE(line.place.starts_with("/elsewhere/firmware"));
        }
        EXPECT_TRUE(masked || !exists("/sys/firmware"));
        expect_masks(container.pid());
    });
    EXPECT_GT(made, 0);
}

TEST_F(SecurityRace, Cve2026_41579_ADevThatBecomesALinkStaysInTheRoot) {
    // Also CVE-2026-47766. Once with a file system of its own at /dev, once with the image's.
    exchange("/dev", "../../outside");
    EXPECT_GT(make_many([](Container&) {}), 0);
    std::erase_if(
        config_.mounts, [](const oci::Mount& mount) { return mount.destination == "/dev"; });
    make_many([](Container&) {});
}

TEST_F(SecurityRace, Cve2025_31133_MasksAreTheHostsNullDevice) {
    // /dev is the image's, and its null device becomes a link to a file worth writing.
    std::erase_if(config_.mounts, [](const oci::Mount& mount) {
        return mount.destination.starts_with("/dev");
    });
    ASSERT_TRUE(make_directories(root_path() + "/dev").ok());
    ASSERT_EQ(::mknod((root_path() + "/dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
    exchange_with_link("/dev/null", "/proc/sysrq-trigger");
    int made = make_many([this](Container& container) { expect_masks(container.pid()); });
    EXPECT_GT(made, 0);
}

TEST_F(SecurityRace, Cve2025_52565_TheConsoleGoesToNoFileOfProc) {
    // /dev is the image's; /dev/console becomes a link into procfs.
    std::erase_if(
        config_.mounts, [](const oci::Mount& mount) { return mount.destination == "/dev"; });
    ASSERT_TRUE(make_directories(root_path() + "/dev").ok());
    ASSERT_TRUE(replace_file(root_path() + "/dev/console", "").ok());
    config_.process->terminal = true;
    exchange_with_link("/dev/console", "/proc/sys/kernel/core_pattern");
    int made = make_many([this](Container& container) {
        for (const MountLine& line : mounts_of(container.pid())) {
            if (line.type == "devpts" && line.root != "/") {
                EXPECT_THAT(line.place, StartsWith("/dev/console"));
            }
        }
        expect_masks(container.pid());
    });
    EXPECT_GT(made, 0);
}

TEST_F(SecurityRace, Cve2025_52565_TheTerminalIsOneOfTheContainersOwn) {
    // /dev/pts becomes a link to a directory with a multiplexer of the attacker's choice.
    std::erase_if(
        config_.mounts, [](const oci::Mount& mount) { return mount.destination == "/dev"; });
    ASSERT_TRUE(make_directories(root_path() + "/fake").ok());
    std::filesystem::create_symlink("/proc/sysrq-trigger", root_path() + "/fake/ptmx");
    ASSERT_TRUE(make_directories(root_path() + "/dev").ok());
    config_.process->terminal = true;
    exchange("/dev/pts", "/fake");
    make_many([this](Container& container) {
        struct stat status {};

        const std::string stream = "/proc/" + std::to_string(container.pid()) + "/fd/0";
        ASSERT_EQ(::stat(stream.c_str(), &status), 0);
        EXPECT_EQ(major(status.st_rdev), 136U);
        expect_masks(container.pid());
    });
}

// A setting of the container's network namespace, as a thread of ours in it reads it.
std::string network_setting(pid_t pid, const std::string& path) {
    std::string value;
    std::thread([&] {
        auto space = open_file("/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY);
        if (space.ok() && kernel::join_namespaces(*space, CLONE_NEWNET).ok()) {
            value = read_file("/proc/sys/" + path).value_or("unreadable");
        }
    }).join();
    return value;
}

constexpr const char* setting = "net.ipv4.ping_group_range";
constexpr const char* setting_path = "net/ipv4/ping_group_range";
constexpr const char* setting_value = "17\t4711\n";

TEST_F(SecurityRace, Cve2025_52881_SettingsAreWrittenToNoOtherProc) {
    // /proc of the container is, again and again, a directory with a file at the setting's place.
    config_.linux_.sysctl = {{setting, "17 4711"}};
    const std::string fake = "/elsewhere/sys/net/ipv4";
    ASSERT_TRUE(make_directories(root_path() + fake).ok());
    ASSERT_TRUE(replace_file(root_path() + fake + "/ping_group_range", "untouched").ok());
    exchange("/proc", "/elsewhere");
    int made = make_many([](Container& container) {
        EXPECT_EQ(network_setting(container.pid(), setting_path), setting_value);
    });
    EXPECT_GT(made, 0);
    EXPECT_EQ(*read_file(root_path() + fake + "/ping_group_range"), "untouched");
}

TEST_F(SecurityRace, Cve2025_52881_NoMountRedirectsAWriteToProc) {
    // A volume's mount point is a link to the files that the runtime is about to write: a setting,
    // and the label of the next program.
    config_.linux_.sysctl = {{setting, "17 4711"}};
    const std::vector<std::pair<std::string, std::string>> targets{
        {"/proc/sys/net/ipv4", "ping_group_range"}, {"/proc/self/attr", "exec"}};
    for (const auto& [directory, file] : targets) {
        const std::string place = "/volume/" + file;
        ASSERT_TRUE(make_directories(root_path() + place).ok());
        ASSERT_TRUE(replace_file(root_path() + place + "/" + file, "").ok());
        config_.mounts.push_back({place + "/" + file, "bind", outside_ + "/victim", {"bind"}});
        exchange_with_link(place, directory);
        int made = make_many([&](Container& container) {
            EXPECT_EQ(network_setting(container.pid(), setting_path), setting_value);
            for (const MountLine& line : mounts_of(container.pid())) {
                EXPECT_FALSE(line.root.ends_with("/victim") && line.place.starts_with("/proc"))
                    << line.place;
            }
            expect_masks(container.pid());
        });
        EXPECT_GT(made, 0) << directory;
        stop_attacker();
        config_.mounts.pop_back();
    }
    EXPECT_THAT(errors_, Contains(HasSubstr("/volume/"))); // it was tried
}

// Mounts a file over the label of the next program and takes it away, until it is told to stop. The
// mount stays until one more try ended: taking it away waits long for the kernel's readers, so that
// on a slow machine it would be there for no try at all.
void flap_mount(
    std::stop_token stop,
    const std::string& file,
    const UniqueFd& mounts,
    const std::atomic<int>& tries) {
    const std::string place = "/proc/" + std::to_string(::getpid()) + "/attr/exec";
    if (::unshare(CLONE_FS) < 0 || !kernel::join_namespaces(mounts, CLONE_NEWNS).ok()) {
        return;
    }
    while (!stop.stop_requested()) {
        ::mount(file.c_str(), place.c_str(), nullptr, MS_BIND, nullptr);
        for (int before = tries; tries == before && !stop.stop_requested();) {
            std::this_thread::yield();
        }
        ::umount2(place.c_str(), MNT_DETACH);
    }
}

TEST_F(SecurityRace, Cve2025_52881_LabelsAreWrittenToNoOtherFile) {
    oci::Process process;
    process.selinux_label = "a_label";
    int redirected = 0;
    int arrived = 0;
    std::thread([&] {
        ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
        ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        auto procfs = kernel::Procfs::open();
        auto mounts = open_file("/proc/thread-self/ns/mnt", O_RDONLY);
        ASSERT_TRUE(procfs.ok() && mounts.ok());
        std::atomic<int> tries = 0;
        std::jthread attacker(
            flap_mount, outside_ + "/victim", std::cref(*mounts), std::cref(tries));
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while ((redirected < attempts || arrived < attempts) &&
               std::chrono::steady_clock::now() < end) {
            // Without such a module in the kernel the real file refuses too, but with other words.
            auto done = set_security_labels(process, *procfs);
            const bool is_foreign = !done.ok() && done.error().error_number() == EXDEV;
            (is_foreign ? redirected : arrived) += 1;
            ++tries;
        }
    }).join();
    EXPECT_GT(redirected, 0);
    EXPECT_GT(arrived, 0);
    EXPECT_EQ(*read_file(outside_ + "/victim"), "of the host");
}

TEST_F(SecurityRace, MaskTargetsStayInTheRoot) {
    config_.linux_.masked_paths.emplace_back("/volume/a/victim");
    config_.linux_.readonly_paths.emplace_back("/volume/a");
    ASSERT_TRUE(make_directories(root_path() + "/volume/a").ok());
    ASSERT_TRUE(replace_file(root_path() + "/volume/a/victim", "of the container").ok());
    exchange("/volume/a", outside_);
    EXPECT_GT(make_many([](Container&) {}), 0);
}

TEST_F(SecurityRace, Cve2024_21626_TheDirectoryOfAnExecStaysInTheRoot) {
    ASSERT_TRUE(make_directories(root_path() + "/volume").ok());
    auto container = start();
    ASSERT_TRUE(container);
    UniqueFd leak = *open_file(outside_, O_RDONLY | O_DIRECTORY);
    exchange("/volume/a", "/proc/self/fd/" + std::to_string(leak.get()));
    oci::Process process = *config_.process;
    process.cwd = "/volume/a";
    process.args = {"ls"};
    int entered = 0;
    for (int i = 0; i < attempts && entered < enough; ++i) {
        Outcome outcome = exec_process(*container, process);
        EXPECT_THAT(outcome.output, ::testing::Not(StartsWith("victim")));
        entered += outcome.code == 0 ? 1 : 0;
    }
    EXPECT_GT(entered, 0);
    stop(*container);
}

} // namespace

} // namespace berth::runtime
