// SPDX-License-Identifier: Apache-2.0
// Mount options, seen in the container's mountinfo and by what its file systems do.
#include "base/strings.h"
#include "runtime/container_test_support.h"

#include <gmock/gmock.h>

#include <filesystem>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ContainerMounts : public ContainerTest {
  protected:
    void SetUp() override {
        ContainerTest::SetUp();
        if (folder_) {
            volume_ = folder_->path() + "/volume";
            ASSERT_TRUE(make_directories(volume_ + "/below").ok());
            ASSERT_TRUE(replace_file(volume_ + "/file", "text\n").ok());
            ASSERT_EQ(::mount("tmpfs", (volume_ + "/below").c_str(), "tmpfs", 0, ""), 0);
        }
    }

    void TearDown() override {
        if (folder_) {
            ::umount2((volume_ + "/below").c_str(), MNT_DETACH);
        }
        ContainerTest::TearDown();
    }

    void bind(std::vector<std::string> options) {
        config_.mounts.push_back({"/v", "bind", volume_, std::move(options)});
    }

    // Mountinfo without numbers: mounts, file systems and peer groups have others each time.
    std::vector<std::string> mounts() {
        std::vector<std::string> mounts;
        const Outcome outcome = run_shell("cat /proc/self/mountinfo");
        for (std::string_view line : split(trim(outcome.output), '\n')) {
            std::string kept;
            for (std::string_view field : words(line)) {
                const bool is_number = field.find_first_not_of("0123456789:") == field.npos;
                kept += is_number || field.starts_with("master:") ? "" : std::string(field) + " ";
            }
            mounts.push_back(replace_all(kept, bundle_, "BUNDLE"));
        }
        return mounts;
    }

    // The options of a mount in the container, as mountinfo has them: "6th field - type source
    // super".
    std::string options_of(const std::string& place) {
        Outcome outcome = run_shell("cat /proc/self/mountinfo");
        for (std::string_view line : split(outcome.output, '\n')) {
            std::vector<std::string_view> fields = words(line);
            if (fields.size() > 6 && fields[4] == place) {
                std::string text;
                for (std::size_t i = 5; i < fields.size(); ++i) {
                    text += " " + std::string(fields[i]);
                }
                return text;
            }
        }
        return outcome.output;
    }

    std::string failure() {
        auto container = create();
        return container.ok() ? "created" : container.error().message();
    }

    std::string volume_;
};

TEST_F(ContainerMounts, AreTheSameWhateverTheNamespaceBeganWith) {
    bind({"rbind", "rslave"});
    const std::vector<std::string> with_nothing = mounts();
    begins_empty_ = false;
    EXPECT_EQ(with_nothing, mounts());
    EXPECT_GT(with_nothing.size(), 20U);
}

TEST_F(ContainerMounts, RecursiveAttributesReachWhatIsBelow) {
    bind({"rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"});
    Outcome outcome = run_shell("grep -E ' /v(/below)? ' /proc/self/mountinfo");
    for (std::string_view line : split(trim(outcome.output), '\n')) {
        EXPECT_THAT(std::string(line), HasSubstr(" ro,nosuid,nodev,noexec,noatime"));
    }
    EXPECT_THAT(outcome.output, HasSubstr("/v/below"));
}

TEST_F(ContainerMounts, PlainAttributesDoNot) {
    bind({"rbind", "ro", "nosymfollow", "nodiratime"});
    EXPECT_THAT(options_of("/v"), HasSubstr(" ro,nodiratime,relatime,nosymfollow"));
    EXPECT_THAT(options_of("/v/below"), HasSubstr(" rw,relatime"));
}

TEST_F(ContainerMounts, AnAttributeOfTheSourceCanBeTakenAway) {
    ASSERT_EQ(
        ::mount("", (volume_ + "/below").c_str(), "", MS_REMOUNT | MS_BIND | MS_RDONLY, ""), 0);
    config_.mounts.push_back({"/v", "bind", volume_ + "/below", {"bind"}});
    EXPECT_THAT(options_of("/v"), HasSubstr(" ro,"));
    config_.mounts.back().options = {"bind", "rw"};
    EXPECT_THAT(options_of("/v"), HasSubstr(" rw,"));
    config_.mounts.back().options = {"bind", "rrw", "rstrictatime"};
    EXPECT_THAT(options_of("/v"), HasSubstr(" rw "));
}

TEST_F(ContainerMounts, PropagationIsWhatWasAskedFor) {
    bind({"rbind"});
    EXPECT_THAT(options_of("/v"), Not(HasSubstr("shared:")));
    config_.mounts.back().options = {"rbind", "rshared"};
    EXPECT_THAT(options_of("/v"), HasSubstr("shared:"));
    config_.mounts.back().options = {"rbind", "unbindable"};
    EXPECT_THAT(options_of("/v"), HasSubstr("unbindable"));
    config_.mounts.back().options = {"rbind", "rprivate"};
    EXPECT_THAT(options_of("/v"), Not(HasSubstr("master:")));
}

TEST_F(ContainerMounts, FlagsOfAnyFileSystemReachIt) {
    config_.mounts.push_back(
        {"/t",
         "tmpfs",
         "tmpfs",
         {"sync", "dirsync", "lazytime", "acl", "iversion", "silent", "defaults", "size=64k"}});
    const std::string options = options_of("/t");
    EXPECT_THAT(options, HasSubstr("sync"));
    EXPECT_THAT(options, HasSubstr("dirsync"));
    EXPECT_THAT(options, HasSubstr("lazytime"));
    EXPECT_THAT(options, HasSubstr("size=64k"));
    config_.mounts.back().options = {"nonsense"};
    EXPECT_THAT(failure(), HasSubstr("nonsense"));
    EXPECT_THAT(failure(), HasSubstr("mounts[" + std::to_string(config_.mounts.size() - 1) + "]"));
}

TEST_F(ContainerMounts, RemountChangesWhatIsThere) {
    config_.mounts.push_back({"/t", "tmpfs", "tmpfs", {"size=64k"}});
    config_.mounts.push_back({"/t", "tmpfs", "tmpfs", {"remount", "ro", "nosuid", "size=128k"}});
    const std::string options = options_of("/t");
    EXPECT_THAT(options, HasSubstr(" ro,nosuid"));
    EXPECT_THAT(options, HasSubstr("size=128k"));
}

TEST_F(ContainerMounts, TmpcopyupKeepsTheContent) {
    const std::string place = root_path() + "/data";
    ASSERT_TRUE(make_directories(place + "/sub").ok());
    ASSERT_TRUE(replace_file(place + "/sub/file", "content\n", 04750).ok());
    ASSERT_EQ(::chown((place + "/sub/file").c_str(), 7, 8), 0);
    ASSERT_EQ(::chmod((place + "/sub/file").c_str(), 04750), 0);
    ASSERT_EQ(::chmod(place.c_str(), 0711), 0);
    std::filesystem::create_symlink("/etc/shadow", place + "/link");
    ASSERT_EQ(::mkfifo((place + "/pipe").c_str(), 0600), 0);
    config_.mounts.push_back({"/data", "tmpfs", "tmpfs", {"tmpcopyup", "ro"}});
    Outcome outcome =
        run_shell("cat /data/sub/file; stat -c '%a %u %g' /data/sub/file; readlink /data/link;"
                  "stat -c %F /data/pipe; stat -c %a /data; touch /data/new || echo read-only");
    EXPECT_THAT(outcome.output, HasSubstr("content\n4750 7 8\n/etc/shadow\nfifo\n711\n"));
    EXPECT_THAT(outcome.output, HasSubstr("read-only\n"));
    config_.mounts.back() = {"/data", "bind", volume_, {"bind", "tmpcopyup"}};
    EXPECT_THAT(failure(), HasSubstr("tmpcopyup is an option of tmpfs"));
}

TEST_F(ContainerMounts, ATmpfsLooksLikeTheDirectoryBelow) {
    ASSERT_TRUE(make_directories(root_path() + "/sticky").ok());
    ASSERT_EQ(::chmod((root_path() + "/sticky").c_str(), 01770), 0);
    config_.mounts.push_back({"/sticky", "tmpfs", "tmpfs", {}});
    config_.mounts.push_back({"/made", "tmpfs", "tmpfs", {}});
    EXPECT_EQ(run_shell("stat -c %a /sticky /made").output, "1770\n1777\n");
}

TEST_F(ContainerMounts, IdsAreMappedByTheMountsOwnMapping) {
    // On a tmpfs, which every kernel that maps ids at all can map since 6.3.
    ASSERT_TRUE(replace_file(volume_ + "/below/file", "").ok());
    config_.mounts.push_back({"/v", "bind", volume_ + "/below", {"bind", "idmap"}});
    config_.mounts.back().uid_mappings = {{0, 1000, 1}};
    config_.mounts.back().gid_mappings = {{0, 2000, 1}};
    EXPECT_EQ(run_shell("stat -c '%u %g' /v/file").output, "1000 2000\n");
    config_.mounts.back().options = {"rbind"}; // the mapping alone says it
    EXPECT_EQ(run_shell("stat -c '%u %g' /v/file").output, "1000 2000\n");
    config_.mounts.back().gid_mappings.clear();
    EXPECT_THAT(failure(), HasSubstr("uidMappings and gidMappings go together"));
}

TEST_F(ContainerMounts, IdsAreMappedByTheContainersMapping) {
    ASSERT_TRUE(replace_file(volume_ + "/below/file", "").ok());
    config_.mounts.push_back({"/v", "bind", volume_ + "/below", {"rbind", "ridmap"}});
    EXPECT_THAT(failure(), HasSubstr("idmap needs uidMappings"));
    config_.linux_.namespaces.push_back({"user", ""});
    config_.linux_.uid_mappings = {{0, 100000, 65536}};
    config_.linux_.gid_mappings = {{0, 100000, 65536}};
    ASSERT_EQ(::chown(root_path().c_str(), 100000, 100000), 0);
    EXPECT_EQ(run_shell("stat -c '%u %g' /v/file").output, "0 0\n");
    config_.mounts.back().type = "tmpfs";
    config_.mounts.back().options = {"idmap"};
    EXPECT_THAT(failure(), HasSubstr("only bind mounts can be id-mapped"));
}

TEST_F(ContainerMounts, LinksAreCopiedBoundOrMountedOver) {
    std::filesystem::create_symlink("file", volume_ + "/link");
    config_.mounts.push_back({"/copied", "bind", volume_ + "/link", {"bind", "copy-symlink"}});
    config_.mounts.push_back({"/itself", "bind", volume_ + "/link", {"bind", "src-nofollow"}});
    std::filesystem::create_symlink("/etc/passwd", root_path() + "/over");
    config_.mounts.push_back({"/over", "bind", volume_ + "/file", {"bind", "dest-nofollow"}});
    Outcome outcome =
        run_shell("readlink /copied; readlink /itself; cat /over; head -n 1 /etc/passwd");
    EXPECT_EQ(outcome.output, "file\nfile\ntext\nroot:x:0:0:root:/root:/bin/sh\n");
}

TEST_F(ContainerMounts, UnifiedCgroupsCanBeMountedOnTheirOwn) {
    config_.mounts.push_back({"/cg", "cgroup2", "cgroup", {"ro", "nosuid"}});
    Outcome outcome = run_shell("cat /cg/cgroup.controllers; grep ' /cg ' /proc/self/mountinfo");
    EXPECT_THAT(outcome.output, HasSubstr("- cgroup2 "));
    EXPECT_THAT(outcome.output, HasSubstr(" / /cg ro,nosuid"));
}

TEST_F(ContainerMounts, TheRootHasItsPropagation) {
    for (const auto& [value, mark] : std::vector<std::pair<std::string, std::string>>{
             {"shared", "shared:"}, {"rshared", "shared:"}, {"unbindable", "unbindable"}}) {
        config_.linux_.rootfs_propagation = value;
        EXPECT_THAT(options_of("/"), HasSubstr(mark)) << value;
    }
    for (const char* value : {"private", "rprivate", "slave", "rslave"}) {
        config_.linux_.rootfs_propagation = value;
        EXPECT_THAT(options_of("/"), Not(HasSubstr("shared:"))) << value;
    }
    config_.linux_.rootfs_propagation = "wide";
    EXPECT_THAT(failure(), HasSubstr("linux.rootfsPropagation: unknown value \"wide\""));
}

TEST_F(ContainerMounts, TheRootIsReadOnlyWhenAskedFor) {
    config_.root.readonly = true;
    EXPECT_THAT(run_shell("touch /x || echo refused").output, HasSubstr("refused"));
    EXPECT_THAT(options_of("/"), HasSubstr(" ro,"));
    config_.root.path = "rootfs/etc/passwd";
    EXPECT_NE(failure(), "created");
    config_.root.path = "";
    EXPECT_THAT(failure(), HasSubstr("root.path"));
}

} // namespace

} // namespace berth::runtime
