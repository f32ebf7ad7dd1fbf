// SPDX-License-Identifier: Apache-2.0
// Mounts that come to containers that run, with a root that is read-only and in a user namespace
// too.
#include "runtime/container_test_support.h"
#include "runtime/late_mount.h"

#include <gmock/gmock.h>

#include <fcntl.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LateMounts : public ContainerTest {
  protected:
    void begin() {
        config_.process->args = {"sleep", "1000"};
        auto made = create();
        ASSERT_TRUE(made.ok()) << made.error().message();
        container_.emplace(std::move(made).value());
        ASSERT_TRUE(container_->start().ok());
        inside_ =
            open_file("/proc/" + std::to_string(container_->pid()) + "/ns/mnt", O_RDONLY).value();
        volume_ = folder_->path() + "/volume";
        ASSERT_TRUE(make_directories(volume_).ok());
        ASSERT_TRUE(replace_file(volume_ + "/file", "text\n").ok());
    }

    void TearDown() override {
        if (container_) {
            EXPECT_TRUE(container_->destroy(Container::Force::Yes).ok());
            wait_for_exit(container_->pid());
        }
        ContainerTest::TearDown();
    }

    std::string attach(const oci::Mount& mount, const std::string& place) {
        auto made = make_late_mount(mount);
        auto attached =
            made.ok() ? attach_late_mount(inside_, *made, place) : Result<void>(made.error());
        return attached.ok() ? "attached" : attached.error().message();
    }

    std::string detach(const std::string& place, const std::string& expected = {}) {
        UniqueFd there;
        if (!expected.empty()) {
            there = open_file(expected, O_PATH).value();
        }
        auto detached = detach_late_mount(inside_, place, there);
        return detached.ok() ? "detached" : detached.error().message();
    }

    oci::Mount bind(std::vector<std::string> options = {"rbind", "rprivate"}) const {
        return {
            .destination = "/v", .type = "bind", .source = volume_, .options = std::move(options)};
    }

    std::string mounts() { return exec(*container_, {"cat", "/proc/mounts"}).output; }

    std::string shell(const std::string& script) {
        return exec(*container_, {"sh", "-c", script}).output;
    }

    std::optional<Container> container_;
    UniqueFd inside_;
    std::string volume_;
};

TEST_F(LateMounts, ComeAndGo) {
    begin();
    const std::string before = mounts();
    const std::string ours = read_file("/proc/self/mountinfo").value();
    EXPECT_EQ(attach(bind(), "/made/for/it"), "attached");
    EXPECT_EQ(shell("cat /made/for/it/file"), "text\n");
    const oci::Mount tmpfs{
        .destination = "/t", .type = "tmpfs", .source = "tmpfs", .options = {"size=1m", "noexec"}};
    EXPECT_EQ(attach(tmpfs, "/t"), "attached");
    EXPECT_THAT(mounts(), HasSubstr("tmpfs /t tmpfs rw,noexec,relatime,size=1024k"));
    EXPECT_EQ(read_file("/proc/self/mountinfo").value(), ours);
    EXPECT_EQ(detach("/t"), "detached");
    EXPECT_EQ(detach("/made/for/it", volume_), "detached");
    EXPECT_EQ(mounts(), before);
    EXPECT_THAT(detach("/made/for/it"), HasSubstr("nothing that was mounted"));
}

TEST_F(LateMounts, ReadOnlyRootsGetTheirPlaces) {
    config_.root.readonly = true;
    begin();
    EXPECT_EQ(attach(bind({"rbind", "ro"}), "/made/for/it"), "attached");
    EXPECT_EQ(shell("cat /made/for/it/file"), "text\n");
    EXPECT_NE(exec(*container_, {"touch", "/made/other"}).code, 0);
    EXPECT_NE(exec(*container_, {"touch", "/made/for/it/other"}).code, 0);
}

TEST_F(LateMounts, WorkInUserNamespaces) {
    use_user_namespace();
    begin();
    EXPECT_EQ(attach(bind(), "/data"), "attached");
    EXPECT_EQ(shell("cat /data/file"), "text\n");
    EXPECT_EQ(detach("/data", volume_), "detached");
}

TEST_F(LateMounts, FilesGoOnFiles) {
    begin();
    oci::Mount file = bind({"bind"});
    file.source += "/file";
    EXPECT_EQ(attach(file, "/etc/new/file"), "attached");
    EXPECT_EQ(shell("cat /etc/new/file"), "text\n");
    EXPECT_THAT(attach(file, "/etc"), HasSubstr("not a directory"));
    EXPECT_EQ(detach("/etc/new/file", volume_ + "/file"), "detached");
}

TEST_F(LateMounts, LinksLeadNowhereButIntoTheRoot) {
    begin();
    shell("ln -s / /top; ln -s /proc/self/root /magic; ln -s /proc /p; ln -s ../../../../x /up");
    EXPECT_THAT(attach(bind(), "/top"), HasSubstr("leads to the root"));
    EXPECT_THAT(attach(bind(), "/p"), HasSubstr("is inside /proc"));
    EXPECT_THAT(attach(bind(), "/proc/sys"), HasSubstr("is inside /proc"));
    EXPECT_THAT(attach(bind(), "/magic/x"), Not(HasSubstr("attached")));
    EXPECT_THAT(attach(bind(), "/"), HasSubstr("is not a path below /"));
    EXPECT_EQ(attach(bind(), "/up/below"), "attached");
    EXPECT_TRUE(exists(root_path() + "/x/below"));
    EXPECT_FALSE(exists("/x/below"));
}

TEST_F(LateMounts, MasksAndForeignMountsStay) {
    config_.linux_.masked_paths = {"/proc/acpi", "/proc/timer_list"};
    begin();
    EXPECT_THAT(detach("/proc"), HasSubstr("nothing that was mounted"));
    shell("ln -s /proc /p");
    EXPECT_THAT(detach("/p/timer_list"), HasSubstr("nothing that was mounted"));
    EXPECT_THAT(detach("/sys"), HasSubstr("nothing that was mounted"));
    // Not what was expected there.
    EXPECT_EQ(attach(bind(), "/data"), "attached");
    EXPECT_THAT(detach("/data", "/etc"), HasSubstr("nothing that was mounted"));
    EXPECT_EQ(detach("/data", volume_), "detached");
}

} // namespace

} // namespace berth::runtime
