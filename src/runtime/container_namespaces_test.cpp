// SPDX-License-Identifier: Apache-2.0
// Namespaces that are new, joined, mapped or moved in time; devices in a user namespace; network
// devices of the host.
#include "base/strings.h"
#include "kernel/namespace.h"
#include "kernel/network_device.h"
#include "kernel/process.h"
#include "runtime/container_test_support.h"

#include <gmock/gmock.h>

#include <csignal>
#include <ctime>

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;

// A process that does nothing but hold namespaces.
class Holder {
  public:
    explicit Holder(std::uint64_t namespaces)
        : cloned_(std::move(kernel::clone_process(namespaces, UniqueFd())).value()) {
        if (cloned_.pid == 0) {
            while (true) {
                ::pause();
            }
        }
    }

    ~Holder() {
        ::kill(cloned_.pid, SIGKILL);
        wait_for_exit(cloned_.pid);
    }

    pid_t pid() const { return cloned_.pid; }

    const UniqueFd& pidfd() const { return cloned_.pidfd; }

    std::string path(const std::string& name) const {
        return "/proc/" + std::to_string(cloned_.pid) + "/ns/" + name;
    }

    std::string identity(const std::string& name) const {
        std::string text(64, '\0');
        ssize_t size = ::readlink(path(name).c_str(), text.data(), text.size());
        text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return text;
    }

  private:
    kernel::Cloned cloned_;
};

class ContainerNamespaces : public ContainerTest {
  protected:
    oci::Namespace& entry(const std::string& type) {
        for (oci::Namespace& found : config_.linux_.namespaces) {
            if (found.type == type) {
                return found;
            }
        }
        return config_.linux_.namespaces.emplace_back(oci::Namespace{type, ""});
    }

    void map_users() {
        entry("user");
        config_.linux_.uid_mappings = {{0, 100000, 65536}};
        config_.linux_.gid_mappings = {{0, 200000, 65536}};
        // The root belongs to the mapped user, as the engine arranges it.
        for (const char* folder : {"", "/tmp", "/root", "/etc", "/bin"}) {
            ASSERT_EQ(::chown((root_path() + folder).c_str(), 100000, 200000), 0);
        }
    }

    std::string failure() {
        auto container = create();
        return container.ok() ? "created" : container.error().message();
    }
};

double uptime(const std::string& text) {
    return std::stod(text.substr(0, text.find(' ')));
}

TEST_F(ContainerNamespaces, TimeStandsWhereTheOffsetsPutIt) {
    entry("time");
    config_.linux_.time_offsets = {{"boottime", {1'000'000, 5}}, {"monotonic", {500, 0}}};
    timespec host{};
    ::clock_gettime(CLOCK_BOOTTIME, &host);
    Outcome outcome = run_shell("cat /proc/uptime; cat /proc/self/timens_offsets");
    EXPECT_NEAR(uptime(outcome.output), static_cast<double>(host.tv_sec) + 1e6, 60);
    EXPECT_THAT(outcome.output, HasSubstr("1000000"));
    // We are where we were.
    EXPECT_NEAR(uptime(*read_file("/proc/uptime")), static_cast<double>(host.tv_sec), 60);
}

TEST_F(ContainerNamespaces, ExecIsInTheSameTime) {
    entry("time");
    config_.linux_.time_offsets = {{"boottime", {1'000'000, 0}}};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    EXPECT_GT(uptime(exec(*container, {"cat", "/proc/uptime"}).output), 1e6);
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerNamespaces, BadOffsetsAreNamed) {
    config_.linux_.time_offsets = {{"boottime", {1, 0}}};
    EXPECT_THAT(failure(), HasSubstr("linux.timeOffsets.boottime: needs a new time namespace"));
    entry("time");
    config_.linux_.time_offsets = {{"realtime", {1, 0}}};
    EXPECT_THAT(failure(), HasSubstr("linux.timeOffsets.realtime"));
    config_.linux_.time_offsets = {{"boottime", {1, 1'000'000'000}}};
    EXPECT_THAT(failure(), HasSubstr("linux.timeOffsets.boottime.nanosecs"));
    config_.linux_.time_offsets = {{"boottime", {-1'000'000'000'000, 0}}};
    EXPECT_THAT(failure(), HasSubstr("linux.timeOffsets: "));
}

TEST_F(ContainerNamespaces, BadOnesAreNamedByTheirPlace) {
    config_.linux_.namespaces[2].type = "network2";
    EXPECT_THAT(failure(), HasSubstr("linux.namespaces[2].type: unknown namespace type"));
    config_.linux_.namespaces[2].type = config_.linux_.namespaces[0].type;
    EXPECT_THAT(failure(), HasSubstr("linux.namespaces[2].type: namespace \"mount\" is listed"));
    config_.linux_.namespaces[2] = {"uts", "relative"};
    EXPECT_THAT(failure(), HasSubstr("linux.namespaces[2].path: \"relative\" is not absolute"));
    config_.linux_.namespaces[2] = {"uts", "/proc/self/ns/net"};
    EXPECT_THAT(
        failure(), HasSubstr("linux.namespaces[2].path: /proc/self/ns/net is not a uts namespace"));
    config_.linux_.namespaces[2] = {"uts", "/etc/passwd"};
    EXPECT_THAT(failure(), HasSubstr("linux.namespaces[2].path: /etc/passwd is not a uts"));
}

TEST_F(ContainerNamespaces, JoinsEveryKindByPath) {
    Holder holder(
        CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWPID | CLONE_NEWNS);
    config_.hostname.clear();
    entry("network").path = holder.path("net");
    entry("ipc").path = holder.path("ipc");
    entry("uts").path = holder.path("uts");
    entry("cgroup").path = holder.path("cgroup");
    entry("mount").path = holder.path("mnt");
    Outcome outcome =
        run_shell("for n in net ipc uts cgroup mnt; do readlink /proc/self/ns/$n; done; ls /");
    for (const char* name : {"net", "ipc", "uts", "cgroup", "mnt"}) {
        EXPECT_THAT(outcome.output, HasSubstr(holder.identity(name))) << name;
    }
    EXPECT_THAT(outcome.output, HasSubstr("tmp\n"));
}

TEST_F(ContainerNamespaces, JoinsAPidNamespace) {
    Holder holder(CLONE_NEWPID);
    entry("pid").path = holder.path("pid");
    // The holder is number 1 there.
    Outcome outcome = run_shell("readlink /proc/self/ns/pid; echo $$");
    EXPECT_THAT(outcome.output, ::testing::StartsWith(holder.identity("pid")));
    EXPECT_THAT(outcome.output, ::testing::Not(HasSubstr("\n1\n")));
}

TEST_F(ContainerNamespaces, UsersAreMapped) {
    map_users();
    Outcome outcome =
        run_shell("id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; touch /tmp/made");
    EXPECT_THAT(outcome.output, ::testing::StartsWith("0\n0\n"));
    EXPECT_THAT(outcome.output, HasSubstr("100000      65536"));
    EXPECT_THAT(outcome.output, HasSubstr("200000      65536"));

    struct stat status {};

    ASSERT_EQ(::stat((root_path() + "/tmp/made").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 100000U);
    EXPECT_EQ(status.st_gid, 200000U);
}

TEST_F(ContainerNamespaces, DevicesOfAUserNamespaceAreTheHosts) {
    map_users();
    config_.linux_.devices = {
        {.type = "c", .path = "/dev/full", .major = 1, .minor = 7},
        {.type = "p", .path = "/dev/pipe", .file_mode = 0640}};
    Outcome outcome = run_shell("stat -c '%F %t:%T' /dev/null /dev/full; stat -c %F /dev/pipe");
    EXPECT_EQ(outcome.output, "character special file 1:3\ncharacter special file 1:7\nfifo\n");
    config_.linux_.devices[0].minor = 8;
    EXPECT_THAT(failure(), HasSubstr("is another device"));
}

TEST_F(ContainerNamespaces, JoinsAUserNamespaceAndOwnsTheOthersThere) {
    Holder holder(CLONE_NEWUSER);
    ASSERT_TRUE(kernel::write_id_map(holder.pid(), "uid_map", "0 100000 65536\n").ok());
    ASSERT_TRUE(kernel::write_id_map(holder.pid(), "gid_map", "0 200000 65536\n").ok());
    map_users();
    entry("user").path = holder.path("user");
    // To change the host name one must own the uts namespace.
    config_.process->capabilities->effective.emplace_back("CAP_SYS_ADMIN");
    config_.process->capabilities->permitted.emplace_back("CAP_SYS_ADMIN");
    config_.process->capabilities->bounding.emplace_back("CAP_SYS_ADMIN");
    config_.linux_.seccomp.reset();
    config_.process->args = {
        "sh",
        "-c",
        "readlink /proc/self/ns/user; id -u; busybox hostname other && busybox hostname; echo $$"};
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    EXPECT_GT(container->pid(), 1);
    Outcome outcome = finish(*container);
    EXPECT_EQ(outcome.output, holder.identity("user") + "\n0\nother\n1\n");
    EXPECT_EQ(outcome.code, 0);
}

TEST_F(ContainerNamespaces, ExecJoinsTheUserNamespaceToo) {
    Holder holder(CLONE_NEWUSER);
    ASSERT_TRUE(kernel::write_id_map(holder.pid(), "uid_map", "0 100000 65536\n").ok());
    ASSERT_TRUE(kernel::write_id_map(holder.pid(), "gid_map", "0 200000 65536\n").ok());
    map_users();
    entry("user").path = holder.path("user");
    entry("time");
    auto container = create();
    ASSERT_TRUE(container.ok()) << container.error().message();
    ASSERT_TRUE(container->start().ok());
    Outcome outcome = exec(*container, {"sh", "-c", "readlink /proc/self/ns/user; id -u"});
    EXPECT_EQ(outcome.output, holder.identity("user") + "\n0\n");
    EXPECT_TRUE(container->destroy(Container::Force::Yes).ok());
    wait_for_exit(container->pid());
}

TEST_F(ContainerNamespaces, MappingsNeedANewUserNamespace) {
    config_.linux_.uid_mappings = {{0, 100000, 65536}};
    EXPECT_THAT(failure(), HasSubstr("linux.uidMappings"));
    entry("user");
    EXPECT_THAT(failure(), HasSubstr("linux.gidMappings"));
    config_.linux_.gid_mappings = {{0, 100000, 0}};
    EXPECT_THAT(failure(), HasSubstr("linux.gidMappings: write"));
}

TEST_F(ContainerNamespaces, DevicesAreMadeAsTheyAreDescribed) {
    config_.linux_.devices = {
        {.type = "c",
         .path = "/dev/extra/full",
         .major = 1,
         .minor = 7,
         .file_mode = 0640,
         .uid = 5,
         .gid = 6},
        {.type = "b", .path = "/block", .major = 7, .minor = 9},
        {.type = "u", .path = "/dev/unbuffered", .major = 1, .minor = 5},
        {.type = "p", .path = "/run/pipe", .file_mode = 0600}};
    EXPECT_EQ(
        run_shell("stat -c '%F %t:%T %a %u %g' /dev/extra/full /block /dev/unbuffered;"
                  "stat -c '%F %a' /run/pipe")
            .output,
        "character special file 1:7 640 5 6\n"
        "block special file 7:9 666 0 0\n"
        "character special file 1:5 666 0 0\n"
        "fifo 600\n");
    config_.linux_.devices[1].type = "x";
    EXPECT_THAT(failure(), HasSubstr("linux.devices[1].type"));
    config_.linux_.devices[1] = {.type = "b", .path = "block"};
    EXPECT_THAT(failure(), HasSubstr("linux.devices[1].path"));
    config_.linux_.devices[1] = {.type = "b", .path = "/b", .major = -1};
    EXPECT_THAT(failure(), HasSubstr("linux.devices[1]: no such major"));
}

// The host's network of these tests is a namespace of its own.
class ContainerNetDevices : public ContainerNamespaces {
  protected:
    void SetUp() override {
        ContainerNamespaces::SetUp();
        if (folder_) {
            host_.emplace(CLONE_NEWNET);
            scope_.emplace();
            ASSERT_TRUE(scope_->enter(host_->pidfd(), CLONE_NEWNET).ok());
            ip({"link", "add", "device0", "type", "veth", "peer", "name", "peer0"});
            ip({"addr", "add", "10.9.8.7/24", "dev", "device0"});
            ip({"link", "set", "device0", "mtu", "1234"});
        }
    }

    void TearDown() override {
        ContainerNamespaces::TearDown();
        scope_.reset();
        host_.reset();
    }

    static void ip(std::vector<std::string> words) {
        words.insert(words.begin(), {"busybox", "ip"});
        auto child = kernel::spawn({.arguments = words, .program = "/bin/busybox"});
        ASSERT_TRUE(child.ok());
        auto status = child->wait();
        ASSERT_TRUE(status.ok());
        EXPECT_EQ(status->shell_code(), 0) << join(words, " ");
    }

    std::optional<Holder> host_;
    std::optional<kernel::NamespaceScope> scope_;
};

TEST_F(ContainerNetDevices, MoveWithNameAddressesAndAttributes) {
    config_.linux_.net_devices = {{"device0", {"eth7"}}};
    Outcome outcome = run_shell("ls /sys/class/net; busybox ip addr show dev eth7");
    EXPECT_THAT(outcome.output, ::testing::StartsWith("eth7\nlo\n"));
    EXPECT_THAT(outcome.output, HasSubstr("10.9.8.7/24"));
    EXPECT_THAT(outcome.output, HasSubstr("mtu 1234"));
    EXPECT_THAT(outcome.output, HasSubstr("UP"));
}

TEST_F(ContainerNetDevices, KeepTheirNameOrGetANumber) {
    config_.linux_.net_devices = {{"device0", {}}};
    EXPECT_THAT(run_shell("ls /sys/class/net").output, HasSubstr("device0"));
    ip({"link", "add", "device1", "type", "veth", "peer", "name", "peer1"});
    config_.linux_.net_devices = {{"device1", {"eth%d"}}};
    EXPECT_THAT(run_shell("ls /sys/class/net").output, HasSubstr("eth0"));
}

TEST_F(ContainerNetDevices, AreGivenBackWhenTheCreationFails) {
    config_.linux_.net_devices = {{"device0", {"eth7"}}};
    config_.process->args = {"no-such-program"};
    EXPECT_THAT(failure(), HasSubstr("executable file not found"));
    auto device = kernel::NetworkDevice::find("device0");
    ASSERT_TRUE(device.ok()) << device.error().message();
    EXPECT_FALSE(device->was_up());
    EXPECT_EQ(device->addresses()->size(), 1U);
    // The second of two cannot be moved: the first comes back.
    config_.linux_.net_devices = {{"device0", {}}, {"not-there", {}}};
    EXPECT_THAT(failure(), HasSubstr("linux.netDevices.not-there"));
    EXPECT_TRUE(kernel::NetworkDevice::find("device0").ok());
}

TEST_F(ContainerNetDevices, BadOnesAreNamed) {
    config_.linux_.net_devices = {{"absent0", {}}};
    EXPECT_THAT(failure(), HasSubstr("linux.netDevices.absent0: there is no network device"));
    config_.linux_.net_devices = {{"device0", {"lo"}}};
    EXPECT_THAT(failure(), HasSubstr("linux.netDevices.device0: the container has"));
    config_.linux_.net_devices = {{"device0", {"a/b"}}};
    EXPECT_THAT(failure(), HasSubstr("linux.netDevices.device0.name"));
    config_.linux_.net_devices = {{"0123456789abcdef", {}}};
    EXPECT_THAT(failure(), HasSubstr("linux.netDevices: "));
    std::erase_if(config_.linux_.namespaces, [](const oci::Namespace& found) {
        return found.type == "network";
    });
    config_.linux_.net_devices = {{"device0", {}}};
    EXPECT_THAT(failure(), HasSubstr("linux.netDevices: needs a network namespace"));
    // None of them took it away.
    ip({"link", "show", "device0"});
}

} // namespace

} // namespace berth::runtime
