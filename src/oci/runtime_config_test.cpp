// SPDX-License-Identifier: Apache-2.0
// config.json as Docker, containerd and Podman write it.
#include "base/file.h"
#include "oci/runtime_config.h"

#include <gtest/gtest.h>

namespace berth::oci {

namespace {

TEST(RuntimeConfig, ReadsWhatDockerWrites) {
    auto config = parse_runtime_config(R"({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": true, "consoleSize": {"height": 24, "width": 80},
            "user": {"uid": 7, "gid": 8, "additionalGids": [1, 2], "umask": 18},
            "args": ["sh", "-c", "id"], "env": ["A=b"], "cwd": "/tmp",
            "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 5}],
            "noNewPrivileges": true, "oomScoreAdj": -100, "apparmorProfile": "docker-default"},
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "h", "domainname": "d",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc",
                    "options": ["nosuid"]}],
        "hooks": {"prestart": [{"path": "/bin/true", "args": ["true"], "timeout": 3}]},
        "annotations": {"k": "v"},
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
            "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229,
                         "fileMode": 438, "uid": 0, "gid": 0}],
            "cgroupsPath": "/docker/x",
            "resources": {"devices": [{"allow": false, "access": "rwm"}],
                          "memory": {"limit": 5, "swap": -1}, "cpu": {"shares": 2, "cpus": "0"},
                          "pids": {"limit": 9}, "unified": {"memory.high": "1"}},
            "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
                        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                                      "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]},
            "sysctl": {"net.core.somaxconn": "1"},
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "rootfsPropagation": "rslave"}})");
    ASSERT_TRUE(config.ok()) << config.error().message();
    EXPECT_EQ(config->process->user.additional_gids, (std::vector<std::uint32_t>{1, 2}));
    EXPECT_EQ(config->process->rlimits[0].hard, UINT64_MAX);
    EXPECT_EQ(config->process->oom_score_adj, -100);
    EXPECT_EQ(config->process->console_size->width, 80U);
    EXPECT_EQ(config->mounts[0].options[0], "nosuid");
    EXPECT_EQ(config->hooks.prestart[0].timeout, 3);
    EXPECT_EQ(config->linux_.namespaces[1].path, "/proc/1/ns/net");
    EXPECT_EQ(config->linux_.uid_mappings[0].host_id, 100000U);
    EXPECT_EQ(config->linux_.resources->memory->swap, -1);
    EXPECT_EQ(config->linux_.resources->unified.at("memory.high"), "1");
    EXPECT_EQ(config->linux_.seccomp->syscalls[0].args[0].op, "SCMP_CMP_EQ");
    EXPECT_EQ(config->annotations.at("k"), "v");
}

TEST(RuntimeConfig, WrittenAndReadAgainIsTheSame) {
    RuntimeConfig config;
    config.process.emplace();
    config.process->args = {"true"};
    config.root.path = "/r";
    config.linux_.resources.emplace();
    config.linux_.resources->memory.emplace();
    config.linux_.resources->memory->limit = 1 << 20;
    const std::string text = runtime_config_text(config);
    auto again = parse_runtime_config(text);
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(runtime_config_text(*again), text);
    EXPECT_EQ(again->linux_.resources->memory->limit, 1 << 20);
}

TEST(RuntimeConfig, ReadsEveryKindOfResource) {
    auto resources = parse_resources_text(R"({
        "memory": {"limit": 1, "reservation": 2, "swap": 3, "kernel": 4, "kernelTCP": 5,
                   "swappiness": 6, "disableOOMKiller": true, "useHierarchy": true,
                   "checkBeforeUpdate": true},
        "cpu": {"shares": 1, "quota": 2, "burst": 3, "period": 4, "realtimeRuntime": 5,
                "realtimePeriod": 6, "cpus": "0", "mems": "1", "idle": 1},
        "pids": {"limit": 7},
        "blockIO": {"weight": 10, "leafWeight": 11,
                    "weightDevice": [{"major": 8, "minor": 1, "weight": 12, "leafWeight": 13}],
                    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
                    "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
                    "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
                    "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 4}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 5}],
        "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
        "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "rxe3": {"hcaObjects": 1}},
        "unified": {"cgroup.max.descendants": "6"}})");
    ASSERT_TRUE(resources.ok()) << resources.error().message();
    EXPECT_EQ(resources->network->class_id, 1048577U);
    EXPECT_EQ(resources->network->priorities.at(0).name, "eth0");
    EXPECT_EQ(resources->network->priorities.at(0).priority, 500U);
    EXPECT_EQ(resources->rdma.at("mlx5_1").hca_handles, 3U);
    EXPECT_EQ(resources->rdma.at("rxe3").hca_handles, std::nullopt);
    EXPECT_EQ(resources->rdma.at("rxe3").hca_objects, 1U);
    EXPECT_TRUE(*resources->memory->check_before_update);
    EXPECT_EQ(resources->cpu->burst, 3U);
    EXPECT_EQ(resources->block_io->throttle_write_iops.at(0).rate, 4U);
    EXPECT_EQ(resources->block_io->weight_devices.at(0).leaf_weight, 13);
    EXPECT_EQ(resources->huge_page_limits.at(0).page_size, "2MB");
}

TEST(RuntimeConfig, ReadsEveryMemberOfProcess) {
    auto process = parse_process_text(R"({
        "cwd": "/", "selinuxLabel": "system_u:system_r:container_t:s0",
        "scheduler": {"policy": "SCHED_DEADLINE", "nice": -3, "priority": 4,
                      "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 1, "deadline": 2, "period": 3},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 5},
        "execCPUAffinity": {"initial": "0-1", "final": "1"},
        "commandLine": "of another system", "user": {"username": "of another system"}})");
    ASSERT_TRUE(process.ok()) << process.error().message();
    EXPECT_EQ(process->selinux_label, "system_u:system_r:container_t:s0");
    EXPECT_EQ(process->scheduler->policy, "SCHED_DEADLINE");
    EXPECT_EQ(process->scheduler->nice, -3);
    EXPECT_EQ(process->scheduler->priority, 4);
    EXPECT_EQ(process->scheduler->flags.at(0), "SCHED_FLAG_RECLAIM");
    EXPECT_EQ(process->scheduler->period, 3U);
    EXPECT_EQ(process->io_priority->io_class, "IOPRIO_CLASS_IDLE");
    EXPECT_EQ(process->io_priority->priority, 5);
    EXPECT_EQ(process->exec_cpu_affinity->initial, "0-1");
    EXPECT_EQ(process->exec_cpu_affinity->final, "1");
}

TEST(RuntimeConfig, ReadsEveryMemberOfLinux) {
    auto config = parse_runtime_config(R"({
        "mounts": [{"destination": "/m", "uidMappings": [{"containerID": 1, "hostID": 2, "size": 3}],
                    "gidMappings": [{"containerID": 4, "hostID": 5, "size": 6}]}],
        "linux": {
            "timeOffsets": {"monotonic": {"secs": -5, "nanosecs": 6}, "boottime": {"secs": 7}},
            "netDevices": {"eth1": {"name": "eth0"}, "ib0": {}},
            "personality": {"domain": "LINUX32", "flags": []},
            "intelRdt": {"closID": "a", "schemata": ["L3:0=f"], "l3CacheSchema": "L3:0=1",
                         "memBwSchema": "MB:0=20", "enableMonitoring": true},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "mountLabel": "l",
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/s",
                        "listenerMetadata": "m"}}})");
    ASSERT_TRUE(config.ok()) << config.error().message();
    EXPECT_EQ(config->mounts[0].uid_mappings.at(0).host_id, 2U);
    EXPECT_EQ(config->mounts[0].gid_mappings.at(0).size, 6U);
    EXPECT_EQ(config->linux_.time_offsets.at("monotonic").secs, -5);
    EXPECT_EQ(config->linux_.time_offsets.at("monotonic").nanosecs, 6U);
    EXPECT_EQ(config->linux_.net_devices.at("eth1").name, "eth0");
    EXPECT_EQ(config->linux_.net_devices.at("ib0").name, "");
    EXPECT_EQ(config->linux_.personality->domain, "LINUX32");
    EXPECT_EQ(config->linux_.intel_rdt->clos_id, "a");
    EXPECT_EQ(config->linux_.intel_rdt->schemata.at(0), "L3:0=f");
    EXPECT_EQ(config->linux_.intel_rdt->mem_bw_schema, "MB:0=20");
    EXPECT_TRUE(config->linux_.intel_rdt->enable_monitoring);
    EXPECT_EQ(config->linux_.memory_policy->mode, "MPOL_BIND");
    EXPECT_EQ(config->linux_.memory_policy->flags.at(0), "MPOL_F_STATIC_NODES");
    EXPECT_EQ(config->linux_.mount_label, "l");
    EXPECT_EQ(config->linux_.seccomp->listener_path, "/s");
    EXPECT_EQ(config->linux_.seccomp->listener_metadata, "m");
    const std::string text = runtime_config_text(*config);
    EXPECT_EQ(runtime_config_text(*parse_runtime_config(text)), text);
}

TEST(RuntimeConfig, IgnoresUnknownMembersAndOtherSystems) {
    auto config = parse_runtime_config(R"({
        "futureMember": {"a": [1]}, "process": {"cwd": "/", "future": 5},
        "linux": {"future": null, "namespaces": [{"type": "pid", "future": true}]},
        "windows": {"layerFolders": ["x"]}, "solaris": {"milestone": "m"}, "zos": {}})");
    ASSERT_TRUE(config.ok()) << config.error().message();
    EXPECT_EQ(config->linux_.namespaces.at(0).type, "pid");
}

TEST(RuntimeConfig, RefusesAVirtualMachine) {
    EXPECT_EQ(
        parse_runtime_config(R"({"vm": {"kernel": {"path": "/k"}}})").error().kind(),
        ErrorKind::NotImplemented);
    EXPECT_TRUE(parse_runtime_config(R"({"vm": {}})").ok());
}

TEST(RuntimeConfig, NamesThePlaceOfABadValue) {
    for (const auto& [text, place] : std::vector<std::pair<std::string, std::string>>{
             {R"({"linux": {"namespaces": [{"type": "pid"}, {"type": 5}]}})",
              "linux.namespaces[1].type: expected a string, found a number"},
             {R"({"linux": {"netDevices": {"eth0": 23}}})",
              "linux.netDevices.eth0: expected an object, found a number"},
             {R"({"linux": {"resources": {"hugepageLimits": [{"limit": "123"}]}}})",
              "linux.resources.hugepageLimits[0].limit: expected an integer, found a string"},
             {R"({"linux": {"resources": {"rdma": {"mlx5_1": {"hcaHandles": "not a uint32"}}}}})",
              "linux.resources.rdma.mlx5_1.hcaHandles"},
             {R"({"process": {"user": {"uid": -1}}})", "process.user.uid"},
             {R"({"mounts": [{"options": [1]}]})", "mounts[0].options[0]"},
             {R"({"hooks": {"prestart": [{"timeout": 1.5}]}})", "hooks.prestart[0].timeout"},
             {"{\n  \"root\": {\n    \"path\": }}", "line 3, column 13"}}) {
        auto config = parse_runtime_config(text);
        ASSERT_FALSE(config.ok()) << text;
        EXPECT_EQ(config.error().kind(), ErrorKind::InvalidArgument) << text;
        EXPECT_NE(config.error().message().find(place), std::string::npos)
            << config.error().message();
    }
}

TEST(RuntimeConfig, NamesTheMemberOfAWrongType) {
    auto config = parse_runtime_config(R"({"process": {"args": "sh"}})");
    ASSERT_FALSE(config.ok());
    EXPECT_EQ(config.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_NE(config.error().message().find("process.args"), std::string::npos);
}

// The specification's own test data. Whether a huge page has a size (bad-linux-hugepage) is for the
// cgroup to say.
TEST(RuntimeConfig, TellsTheSpecificationsGoodExamplesFromTheBadOnes) {
    const std::string folder = RUNTIME_EXAMPLES;
    for (const char* name :
         {"good-minimal", "good-spec-example", "good-linux-rdma", "good-linux-netdevice"}) {
        auto text = read_file(folder + "/" + name);
        ASSERT_TRUE(text.ok()) << text.error().message();
        auto config = parse_runtime_config(*text);
        EXPECT_TRUE(config.ok()) << name << ": " << config.error().message();
    }
    for (const auto& [name, place] : std::vector<std::pair<std::string, std::string>>{
             {"bad-invalid-json", "line 1, column 2"},
             {"bad-linux-netdevice", "linux.netDevices.eth0.name"},
             {"bad-linux-rdma", "linux.resources.rdma.mlx5_1.hcaHandles"}}) {
        auto text = read_file(folder + "/" + name);
        ASSERT_TRUE(text.ok()) << text.error().message();
        auto config = parse_runtime_config(*text);
        ASSERT_FALSE(config.ok()) << name;
        EXPECT_NE(config.error().message().find(place), std::string::npos)
            << config.error().message();
    }
}

TEST(RuntimeConfig, RefusesWhatIsNoObject) {
    EXPECT_FALSE(parse_runtime_config("[]").ok());
    EXPECT_FALSE(parse_runtime_config("").ok());
}

} // namespace

} // namespace berth::oci
