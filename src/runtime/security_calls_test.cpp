// SPDX-License-Identifier: Apache-2.0
// System calls that led out of other engines' containers, made by a process in a container with the
// default profile. Each test is named after its case.
#include "runtime/defaults.h"
#include "runtime/security_test_support.h"
#include "runtime/socket_families.h"

#include <gmock/gmock.h>

#include <array>
#include <cerrno>

#include <sys/socket.h>
#include <sys/syscall.h>

namespace berth::runtime {

namespace {

using ::testing::AnyOf;

const std::string refused_call = std::to_string(-EPERM) + "\n";
const std::string absent = std::to_string(-ENOSYS) + "\n";

class SecurityCalls : public SecurityTest {
  protected:
    // The results of several calls, each with its words.
    void expect_all_refused(const std::vector<std::string>& calls) {
        std::string script;
        std::string wanted;
        for (const std::string& words : calls) {
            script += "echo '" + words + "' $(attack call " + words + ");";
            wanted += words + " " + refused_call;
        }
        EXPECT_EQ(run_shell(script).output, wanted);
    }
};

TEST_F(SecurityCalls, Cve2026_31431_NoCryptoSocketsByAnyTable) {
    const std::string arguments = " 38 5 0"; // AF_ALG, SOCK_SEQPACKET
    expect_all_refused({"64 " + std::to_string(SYS_socket) + arguments, "32 359" + arguments});
    EXPECT_THAT(call("x32 41" + arguments), AnyOf(refused_call, absent));
    // What gets through to the kernel as a number of the future must not be a call either.
    EXPECT_EQ(call("64 5000" + arguments), absent);
}

// Families whose code was the way into the kernel, with a type and a protocol that they have.
constexpr std::array hostile_sockets{
    "15 3 2", // AF_KEY: CVE-2026-43284
    "16 3 6", // AF_NETLINK, NETLINK_XFRM: CVE-2026-43284, CVE-2026-46300
    "16 3 12",
    "17 3 768", // AF_PACKET: CVE-2020-14386
    "30 5 0",
    "31 3 0",
    "33 2 2", // AF_RXRPC: CVE-2026-43500
    "38 5 0", // AF_ALG
    "40 1 0", // AF_VSOCK
    "44 3 0",
    "0x100000002 1 0"};
constexpr std::array ordinary_sockets{"1 1 0", "2 1 0", "10 2 0", "16 3 0", "16 3 15"};

TEST_F(SecurityCalls, Cve2026_43284_SocketFamiliesCanBeLimited) {
    // Also CVE-2026-43500 and CVE-2026-46300.
    ASSERT_TRUE(limit_socket_families(*config_.linux_.seccomp).ok());
    std::vector<std::string> calls;
    for (const char* socket : hostile_sockets) {
        calls.push_back(std::string("64 41 ") + socket);
        calls.push_back(std::string("64 53 ") + socket + " %0,0");           // socketpair
        if (std::string_view(socket).find("0x") == std::string_view::npos) { // 32 bits have no more
            calls.push_back(std::string("32 359 ") + socket);
            calls.push_back(std::string("32 360 ") + socket + " %0,0");
        }
    }
    expect_all_refused(calls);
    for (const char* socket : hostile_sockets) {
        EXPECT_THAT(call(std::string("x32 41 ") + socket), AnyOf(refused_call, absent)) << socket;
    }
}

TEST_F(SecurityCalls, Cve2026_43284_SocketcallIsNotThereWhereFamiliesAreLimited) {
    ASSERT_TRUE(limit_socket_families(*config_.linux_.seccomp).ok());
    for (const char* socket : {"15,3,2", "16,3,6", "33,2,2", "38,5,0", "2,1,0"}) {
        EXPECT_EQ(call(std::string("32 102 1 %") + socket), absent) << socket;
    }
    EXPECT_EQ(call("32 102 8 %1,1,0,0"), absent); // socketpair
}

TEST_F(SecurityCalls, OrdinarySocketsStayWhereFamiliesAreLimited) {
    ASSERT_TRUE(limit_socket_families(*config_.linux_.seccomp).ok());
    for (const char* socket : ordinary_sockets) {
        for (const char* table : {"64 41 ", "32 359 "}) {
            const std::string result = call(std::string(table) + socket);
            const bool absent_here = result == std::to_string(-EAFNOSUPPORT) + "\n" &&
                                     std::string_view(socket).starts_with("10 ");
            EXPECT_TRUE(absent_here || result == "3\n") << table << socket << ": " << result;
        }
    }
    EXPECT_EQ(call("64 53 1 1 0 %0,0"), "0\n");
}

TEST_F(SecurityCalls, Cve2020_14386_PacketSocketsNeedACapabilityThatCanBeDropped) {
    auto names = adjust_capabilities(default_capabilities(), {}, {"NET_RAW"});
    ASSERT_TRUE(names.ok());
    config_.process->capabilities = capability_sets(*names);
    const std::string unknown = std::to_string(-EAFNOSUPPORT) + "\n";
    EXPECT_THAT(call("64 41 17 3 768"), AnyOf(refused_call, unknown));
    EXPECT_THAT(call("32 359 17 3 768"), AnyOf(refused_call, unknown));
    EXPECT_THAT(call("32 102 1 %17,3,768"), AnyOf(refused_call, unknown));
    EXPECT_EQ(call("64 41 2 3 1"), refused_call); // INET, RAW, ICMP
}

TEST_F(SecurityCalls, VirtualMachineSocketsAreRefused) {
    expect_all_refused({"64 " + std::to_string(SYS_socket) + " 40 1 0", "32 359 40 1 0"});
}

TEST_F(SecurityCalls, Cve2022_0185_NoUserNamespaceAndNoNewMountInterface) {
    constexpr const char* new_user = "0x10000000";
    constexpr const char* new_user_and_mount = "0x10020011"; // with SIGCHLD
    expect_all_refused(
        {std::string("64 272 ") + new_user,
         std::string("32 310 ") + new_user,
         std::string("64 56 ") + new_user_and_mount,
         std::string("32 120 ") + new_user_and_mount,
         "64 430 @ext4 0",         // fsopen
         "64 431 3 1 @legacy @x",  // fsconfig
         "64 432 3 0 0",           // fsmount
         "64 433 -100 @/ 0",       // fspick
         "64 428 -100 @/ 1",       // open_tree, OPEN_TREE_CLONE
         "64 429 -100 @/ -100 @/", // move_mount
         "64 442 -100 @/ 0",       // mount_setattr
         "32 430 @ext4 0",
         "32 428 -100 @/ 1"});
    // clone3's flags are in memory: it is not there, and libraries use clone.
    EXPECT_EQ(call("64 435 %0x10000000,0,0,0,0,0,0,0 88"), absent);
    EXPECT_EQ(call("32 435 %0x10000000,0,0,0,0,0,0,0 88"), absent);
}

TEST_F(SecurityCalls, MountingAndEnteringNamespacesIsRefused) {
    expect_all_refused(
        {"64 165 @none @/tmp @tmpfs 0 0", // mount
         "32 21 @none @/tmp @tmpfs 0 0",
         "64 166 @/proc 2", // umount2
         "32 52 @/proc 2",
         "64 155 @. @.",         // pivot_root
         "64 308 0 0",           // setns
         "64 304 0 0 0",         // open_by_handle_at
         "64 175 0 0 0",         // init_module
         "64 246 0 0 0 0",       // kexec_load
         "64 321 0 0 0",         // bpf
         "64 298 0 0 0 0 0",     // perf_event_open
         "64 323 0",             // userfaultfd
         "64 425 1 0",           // io_uring_setup
         "64 163 @/tmp/account", // acct
         "64 169 0 0 0 0"});     // reboot
}

TEST_F(SecurityCalls, KernelKeysAreRefused) {
    expect_all_refused({"64 248 @user @x @y 1 -3", "64 249 @user @x 0 0", "64 250 0 -3 0"});
}

TEST_F(SecurityCalls, TheSessionKeyringIsNotTheHosts) {
    // With a profile that lets the calls through: what was in the creator's keyring is not found.
    constexpr long session = -3;
    const long key = ::syscall(SYS_add_key, "user", "berth-test", "secret", 6L, session);
    ASSERT_GT(key, 0);
    config_.linux_.seccomp.reset();
    const std::string search = "64 249 @user @berth-test 0 0"; // request_key
    const std::string read = "64 250 11 " + std::to_string(key) + " %0,0 8";
    EXPECT_EQ(call(search), std::to_string(-ENOKEY) + "\n");
    EXPECT_EQ(call(read), std::to_string(-EACCES) + "\n");
    // It would have been found: the keyring is there when no new one is made.
    config_.process->args = {"attack", "call", "64", "249", "@user", "@berth-test", "0", "0"};
    auto written = replace_file(bundle_ + "/config.json", oci::runtime_config_text(config_));
    ASSERT_TRUE(written.ok());
    auto pipe = Pipe::create();
    CreateOptions options{
        .state_root = state_root_, .id = "kept", .bundle = bundle_, .no_new_keyring = true};
    options.stdio.out = std::move(pipe->write_end);
    auto container = Container::create(std::move(options));
    ASSERT_TRUE(container.ok()) << container.error().message();
    output_ = std::move(pipe->read_end);
    EXPECT_EQ(finish(*container).output, std::to_string(key) + "\n");
    EXPECT_EQ(::syscall(SYS_keyctl, 21L, key, 0L, 0L, 0L), 0); // KEYCTL_INVALIDATE
}

TEST_F(SecurityCalls, TheListOfKeysIsMasked) {
    EXPECT_EQ(run_shell("wc -c < /proc/keys").output, "0\n");
}

TEST_F(SecurityCalls, Cve2022_0492_NoReleaseAgent) {
    Outcome outcome =
        run_shell("ls -d /sys/fs/cgroup/*/release_agent 2>/dev/null;"
                  "for g in /sys/fs/cgroup/*; do mkdir $g/x 2>/dev/null && echo made $g;"
                  " ( echo 1 > $g/notify_on_release ) 2>/dev/null && echo wrote $g; done;"
                  "mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo remounted; echo end");
    EXPECT_EQ(outcome.output, "end\n");
    // Without a system call filter it is the missing capability that refuses.
    config_.linux_.seccomp.reset();
    outcome = run_shell(
        "for c in rdma memory pids; do mount -t cgroup -o $c none /tmp 2>/dev/null && echo $c; "
        "done; for g in /sys/fs/cgroup/*; do mount -o remount,rw,bind $g 2>/dev/null && echo $g; "
        "done; echo end");
    EXPECT_EQ(outcome.output, "end\n");
}

TEST_F(SecurityCalls, Cve2023_25809_ControlGroupsAreReadOnlyInAUserNamespaceToo) {
    use_user_namespace();
    Outcome outcome = run_shell(
        "for g in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $g/x 2>/dev/null && echo made $g; "
        "( echo 1 > $g/cgroup.procs ) 2>/dev/null && echo wrote $g; done; echo end");
    EXPECT_EQ(outcome.output, "end\n");
}

TEST_F(SecurityCalls, Cve2022_24769_InheritableSetsAreEmpty) {
    // Also CVE-2022-29162 (exec).
    auto container = start();
    ASSERT_TRUE(container);
    EXPECT_EQ(
        exec(*container, {"grep", "CapInh", "/proc/self/status", "/proc/1/status"}).output,
        "/proc/self/status:CapInh:\t0000000000000000\n"
        "/proc/1/status:CapInh:\t0000000000000000\n");
    stop(*container);
}

TEST_F(SecurityCalls, Cve2022_36109_SupplementaryGroupsAreOnlyThoseGiven) {
    // The runtime's own groups do not go along, neither to init nor to an exec.
    config_.process->user = {.uid = 1000, .gid = 1001, .additional_gids = {1001, 9}};
    EXPECT_EQ(run_shell("grep Groups /proc/self/status").output, "Groups:\t9 1001 \n");
    config_.process->args = {"sleep", "1000"};
    auto container = start();
    ASSERT_TRUE(container);
    oci::Process process = *config_.process;
    process.user = {.uid = 1000, .gid = 1001};
    process.args = {"grep", "Groups", "/proc/self/status"};
    EXPECT_EQ(exec_process(*container, process).output, "Groups:\t \n");
    stop(*container);
}

TEST_F(SecurityCalls, TheFirmwareAndTheHostsMemoryAreOutOfReach) {
    EXPECT_EQ(
        run_shell("for f in /dev/mem /dev/kmem /dev/port; do [ -e $f ] && echo $f; done;"
                  "cat /proc/kcore /proc/timer_list /proc/interrupts 2>/dev/null | wc -c; ls "
                  "/sys/firmware")
            .output,
        "0\n");
}

} // namespace

} // namespace berth::runtime
