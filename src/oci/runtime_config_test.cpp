// SPDX-License-Identifier: Apache-2.0
// config.json as Docker, containerd and Podman write it.
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

TEST(RuntimeConfig, RefusesWhatIsNotImplementedByName) {
    for (const auto& [text, name] : std::vector<std::pair<std::string, std::string>>{
             {R"({"process": {"scheduler": {"policy": "SCHED_RR"}}})", "process.scheduler"},
             {R"({"process": {"selinuxLabel": "x"}})", "process.selinuxLabel"},
             {R"({"linux": {"intelRdt": {"closID": "a"}}})", "linux.intelRdt"},
             {R"({"linux": {"seccomp": {"listenerPath": "/s"}}})", "linux.seccomp.listenerPath"},
             {R"({"mounts": [{"uidMappings": [{"size": 1}]}]})", "mounts[].uidMappings"},
             {R"({"windows": {"layerFolders": ["x"]}})", "windows"}}) {
        auto config = parse_runtime_config(text);
        ASSERT_FALSE(config.ok()) << text;
        EXPECT_EQ(config.error().kind(), ErrorKind::NotImplemented) << text;
        EXPECT_NE(config.error().message().find(name), std::string::npos)
            << config.error().message();
    }
}

TEST(RuntimeConfig, EmptyUnimplementedMembersAreFine) {
    EXPECT_TRUE(parse_runtime_config(R"({"process": {"selinuxLabel": "", "ioPriority": null},
        "linux": {"mountLabel": "", "netDevices": {}}})")
                    .ok());
}

TEST(RuntimeConfig, NamesTheMemberOfAWrongType) {
    auto config = parse_runtime_config(R"({"process": {"args": "sh"}})");
    ASSERT_FALSE(config.ok());
    EXPECT_EQ(config.error().kind(), ErrorKind::InvalidArgument);
    EXPECT_NE(config.error().message().find("process.args"), std::string::npos);
}

TEST(RuntimeConfig, RefusesWhatIsNoObject) {
    EXPECT_FALSE(parse_runtime_config("[]").ok());
    EXPECT_FALSE(parse_runtime_config("").ok());
}

} // namespace

} // namespace berth::oci
