// SPDX-License-Identifier: Apache-2.0
// What is said to systemd. The conversation itself is tested where systemd runs (runtime's tests).
#include "kernel/cgroup_systemd.h"
#include "kernel/dbus_message.h"

#include <gtest/gtest.h>

#include <limits>

namespace berth::kernel {

namespace {

constexpr std::uint64_t infinity = std::numeric_limits<std::uint64_t>::max();

std::uint64_t number_of(const std::vector<DbusProperty>& list, const std::string& name) {
    for (const DbusProperty& property : list) {
        if (property.name == name) {
            return std::get<std::uint64_t>(property.value);
        }
    }
    ADD_FAILURE() << "no " << name;
    return 0;
}

TEST(SystemdUnit, IsReadFromTheCgroupsPath) {
    auto unit = parse_systemd_path("user-1.slice:docker:abc", "abc");
    ASSERT_TRUE(unit.ok());
    EXPECT_EQ(unit->slice, "user-1.slice");
    EXPECT_EQ(unit->name, "docker-abc.scope");
    EXPECT_EQ(parse_systemd_path("", "x")->name, "berth-x.scope");
    EXPECT_EQ(parse_systemd_path(":cri:x", "x")->slice, "system.slice");
    EXPECT_EQ(parse_systemd_path("-.slice::x", "x")->name, "x.scope");
    EXPECT_EQ(parse_systemd_path("a.slice:p:a-pod.slice", "x")->name, "a-pod.slice");
    EXPECT_TRUE(parse_systemd_path("a.slice::pod.slice", "x")->is_slice());
    for (const char* bad :
         {"/a/b",
          "a:b",
          "a:b:c",
          "a--b.slice:p:n",
          "../x.slice:p:n",
          "a.slice:p:",
          "a.slice:p:n/m",
          "-a.slice:p:n",
          ".slice:p:n",
          "a.slice:b:c:d",
          "a.slice:p:.slice",
          "a.slice:p:-.slice",
          "a.slice:p:a--b.slice"}) {
        EXPECT_FALSE(parse_systemd_path(bad, "x").ok()) << bad;
    }
}

TEST(SystemdUnit, HasItsGroupBelowTheSlicesOfItsSlice) {
    EXPECT_EQ(
        systemd_cgroup_path({"a-b-c.slice", "p-n.scope"}),
        "/a.slice/a-b.slice/a-b-c.slice/p-n.scope");
    EXPECT_EQ(systemd_cgroup_path({"system.slice", "x.scope"}), "/system.slice/x.scope");
    EXPECT_EQ(systemd_cgroup_path({"-.slice", "x.scope"}), "/x.scope");
    EXPECT_EQ(systemd_cgroup_path({"system.slice", "a-pod.slice"}), "/a.slice/a-pod.slice");
    EXPECT_EQ(parse_systemd_path("", "x", "user.slice")->slice, "user.slice");
}

TEST(SystemdUnit, LimitsAreProperties) {
    CgroupLimits limits;
    limits.memory = 64 << 20;
    limits.memory_and_swap = 96 << 20;
    limits.memory_reservation = -1;
    limits.cpu_shares = 1024;
    limits.cpu_quota = 15'001;
    limits.cpu_period = 100'000;
    limits.cpuset_cpus = "0-2,9";
    limits.pids = 0;
    limits.unified = {{"memory.high", "max"}, {"io.weight", "10"}};
    std::vector<DbusProperty> list = systemd_limits(limits, CgroupMode::Version2);
    EXPECT_EQ(number_of(list, "MemoryMax"), 64U << 20);
    EXPECT_EQ(number_of(list, "MemorySwapMax"), 32U << 20);
    EXPECT_EQ(number_of(list, "MemoryLow"), infinity);
    EXPECT_EQ(number_of(list, "MemoryHigh"), infinity);
    EXPECT_EQ(number_of(list, "CPUWeight"), 100U);
    EXPECT_EQ(number_of(list, "CPUQuotaPerSecUSec"), 160'000U); // whole percents, rounded up
    EXPECT_EQ(number_of(list, "TasksMax"), infinity);
    for (const DbusProperty& property : list) {
        if (property.name == "AllowedCPUs") {
            EXPECT_EQ(
                std::get<std::vector<std::uint8_t>>(property.value),
                (std::vector<std::uint8_t>{7, 2}));
        }
    }
}

TEST(SystemdUnit, LimitsOfVersion1HaveOtherNames) {
    CgroupLimits limits;
    limits.memory = 64 << 20;
    limits.memory_reservation = 32 << 20; // systemd has no word for it there
    limits.cpu_shares = 1;
    limits.cpu_quota = 25'000;
    limits.pids = 20;
    limits.block_weight = 500;
    for (CgroupMode mode : {CgroupMode::Version1, CgroupMode::Hybrid}) {
        std::vector<DbusProperty> list = systemd_limits(limits, mode);
        EXPECT_EQ(number_of(list, "MemoryLimit"), 64U << 20);
        EXPECT_EQ(number_of(list, "CPUShares"), 2U); // systemd refuses less
        EXPECT_EQ(number_of(list, "CPUQuotaPerSecUSec"), 250'000U);
        EXPECT_EQ(number_of(list, "TasksMax"), 20U);
        EXPECT_EQ(number_of(list, "BlockIOWeight"), 500U);
        EXPECT_EQ(list.size(), 5U);
    }
}

TEST(SystemdUnit, DeviceRulesAreAListOfWhatIsAllowed) {
    std::vector<DbusProperty> list = systemd_devices(
        {{.allow = false, .type = 'a'},
         {.allow = true, .type = 'c', .major = 1, .minor = 3, .read = true, .write = true},
         {.allow = true, .type = 'b', .mknod = true},
         {.allow = true, .type = 'c', .major = 136, .read = true}});
    ASSERT_EQ(list.size(), 3U);
    EXPECT_EQ(std::get<std::string>(list[0].value), "strict");
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    EXPECT_EQ(
        std::get<Pairs>(list[2].value),
        (Pairs{{"/dev/char/1:3", "rw"}, {"block-*", "m"}, {"char-136", "r"}}));
    EXPECT_EQ(std::get<std::string>(systemd_devices({})[0].value), "auto");
}

TEST(DbusMessage, ReadsWhatItWrites) {
    DbusWriter body;
    body.text("one");
    body.number(std::uint32_t{7});
    body.number(std::uint64_t{1} << 40U);
    std::string bytes = encode_dbus_call(
        {.path = "/a",
         .interface = "b.c",
         .member = "Do",
         .signature = "sut",
         .body = body.bytes()},
        5);
    EXPECT_EQ(dbus_message_size(bytes).value(), bytes.size());
    auto message = parse_dbus_message(bytes);
    ASSERT_TRUE(message.ok()) << message.error().message();
    EXPECT_EQ(message->kind, DbusKind::Call);
    EXPECT_EQ(message->member, "Do");
    EXPECT_EQ(message->values().value(), (std::vector<std::string>{"one", "7", "1099511627776"}));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_FALSE(parse_dbus_message(std::string_view(bytes).substr(0, size)).ok()) << size;
    }
}

TEST(DbusMessage, BoundsItsSize) {
    std::string head("l\2\0\1\377\377\377\177\1\0\0\0\0\0\0\0", 16);
    EXPECT_EQ(dbus_message_size(head).error().kind(), ErrorKind::ResourceExhausted);
}

} // namespace

} // namespace berth::kernel
