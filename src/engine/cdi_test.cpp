// SPDX-License-Identifier: Apache-2.0
// Devices of CDI files, as vendors' tools write them.
#include "base/file.h"
#include "engine/cdi.h"

#include <gmock/gmock.h>

namespace berth::engine {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Cdi : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(make_directories(first_).ok());
        ASSERT_TRUE(make_directories(second_).ok());
        config_.process.emplace();
        config_.process->env = {"PATH=/bin", "MODE=old"};
        config_.process->user.uid = 1000;
        config_.linux_.resources.emplace();
    }

    void write(const std::string& path, const std::string& text) {
        ASSERT_TRUE(replace_file(path, text, 0644, Sync::No).ok());
    }

    std::string inject(const std::vector<std::string>& names) {
        const std::vector<DeviceRequest> requests{
            {.driver = "cdi", .device_ids = names, .capabilities = {}, .options = {}}};
        auto done = inject_devices(config_, requests, {first_, second_});
        return done.ok() ? "" : done.error().message();
    }

    TemporaryDirectory folder_ = TemporaryDirectory::create("/tmp").value();
    std::string first_ = folder_.path() + "/etc";
    std::string second_ = folder_.path() + "/run";
    oci::RuntimeConfig config_;
};

TEST_F(Cdi, AppliesWhatAFileListsForADevice) {
    write(
        first_ + "/vendor.yaml",
        R"(cdiVersion: "0.6.0"
kind: vendor.com/gpu
containerEdits:
  env: [MODE=new]
  hooks:
  - hookName: createContainer
    path: /usr/bin/hook
    args: [hook, --ldconfig]
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/gpu0
      hostPath: /dev/null
      permissions: rw
    mounts:
    - hostPath: /usr/lib/driver.so
      containerPath: /usr/lib/driver.so
      options: [ro, nosuid, bind]
    additionalGids: [44]
- name: all
  containerEdits: {env: [ALL=1]}
)");
    EXPECT_EQ(inject({"vendor.com/gpu=0", "vendor.com/gpu=all"}), "");
    EXPECT_THAT(config_.process->env, ElementsAre("PATH=/bin", "MODE=new", "ALL=1"));
    ASSERT_EQ(config_.linux_.devices.size(), 1U);
    const oci::Device& device = config_.linux_.devices[0];
    EXPECT_EQ(device.path, "/dev/gpu0");
    EXPECT_EQ(device.type, "c");
    EXPECT_EQ(device.major, 1);
    EXPECT_EQ(device.minor, 3);
    EXPECT_EQ(device.uid, 1000U);
    ASSERT_EQ(config_.linux_.resources->devices.size(), 1U);
    EXPECT_EQ(config_.linux_.resources->devices[0].access, "rw");
    ASSERT_EQ(config_.mounts.size(), 1U);
    EXPECT_THAT(config_.mounts[0].options, ElementsAre("ro", "nosuid", "bind"));
    ASSERT_EQ(config_.hooks.create_container.size(), 1U);
    EXPECT_EQ(config_.hooks.create_container[0].path, "/usr/bin/hook");
    EXPECT_THAT(config_.process->user.additional_gids, ElementsAre(44U));
}

TEST_F(Cdi, TakesTheLaterDirectory) {
    const auto spec = [](const std::string& value) {
        return R"({"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": [
            {"name": "d", "containerEdits": {"env": ["FROM=)" +
               value + R"("]}}]})";
    };
    write(first_ + "/a.json", spec("first"));
    write(second_ + "/a.json", spec("second"));
    EXPECT_EQ(inject({"a.b/c=d"}), "");
    EXPECT_THAT(config_.process->env, ElementsAre("PATH=/bin", "MODE=old", "FROM=second"));
    EXPECT_THAT(cdi_devices({first_, second_}), ElementsAre("a.b/c=d"));
    // Two of one directory: nobody can say which is meant.
    write(second_ + "/b.json", spec("third"));
    EXPECT_EQ(inject({"a.b/c=d"}), "CDI device injection failed: unresolvable CDI devices a.b/c=d");
}

TEST_F(Cdi, NamesWhatItCannotResolve) {
    write(first_ + "/wrong.json", "{\"cdiVersion\": ");
    write(first_ + "/hook.json", R"({"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": [
        {"name": "d", "containerEdits": {"hooks": [{"hookName": "never", "path": "/x"}]}}]})");
    write(first_ + "/ignored.txt", "x");
    EXPECT_EQ(
        inject({"a.b/c=d", "x/y=z"}),
        "CDI device injection failed: unresolvable CDI devices a.b/c=d, x/y=z");
    const std::vector<DeviceRequest> gpus{
        {.driver = "", .count = -1, .device_ids = {}, .capabilities = {{"gpu"}}, .options = {}}};
    EXPECT_EQ(
        inject_devices(config_, gpus, {first_}).error().message(),
        "could not select device driver \"\" with capabilities: [[gpu]]");
    EXPECT_TRUE(cdi_devices({first_, folder_.path() + "/missing"}).empty());
}

TEST_F(Cdi, DirectoriesAreDockersUnlessTheDaemonNamesOthers) {
    DaemonConfig daemon;
    EXPECT_THAT(cdi_directories(daemon), ElementsAre("/etc/cdi", "/var/run/cdi"));
    daemon.cdi_spec_dirs = {"/x"};
    EXPECT_THAT(cdi_directories(daemon), ElementsAre("/x"));
    daemon.cdi_spec_dirs = {""};
    EXPECT_TRUE(cdi_directories(daemon).empty());
}

} // namespace berth::engine
