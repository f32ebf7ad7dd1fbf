// SPDX-License-Identifier: Apache-2.0
// mkfs.btrfs in a sparse file, which is unlinked at once: the loop device holds it, the mount holds
// the device, and the test program's mount namespace holds the mount.
#include "store/testing_btrfs.h"

#include "base/file.h"
#include "kernel/mount.h"
#include "kernel/process.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>

namespace berth::store::testing {

namespace {

Result<void> run(const std::string& script) {
    kernel::Child shell = TRY(kernel::spawn({.arguments = {"sh", "-ec", script}}));
    const kernel::ExitStatus status = TRY(shell.wait());
    return status.shell_code() == 0 ? ok() : internal_error("it failed: " + script);
}

class Place final : public ::testing::Environment {
  public:
    Result<std::string> path() {
        if (!directory_) {
            TRY(make());
        }
        return directory_->path();
    }

    void TearDown() override {
        if (directory_) {
            EXPECT_TRUE(kernel::unmount_lazily(directory_->path()).ok());
        }
        directory_.reset();
    }

  private:
    Result<void> make() {
        if (!run("command -v mkfs.btrfs >/dev/null").ok()) {
            return not_implemented("mkfs.btrfs is not installed (btrfs-progs)");
        }
        TemporaryDirectory directory = TRY(TemporaryDirectory::create("/tmp"));
        const std::string image = directory.path() + ".img";
        Result<void> mounted =
            run("truncate -s 1G " + image + "; mkfs.btrfs -q " + image +
                " >/dev/null 2>&1; mount -o loop " + image + " " + directory.path());
        if (!mounted.ok() && !run("grep -qw btrfs /proc/filesystems").ok()) {
            mounted = not_implemented("this kernel has no btrfs");
        }
        [[maybe_unused]] const Result<void> removed = run("rm -f " + image);
        TRY(std::move(mounted));
        directory_ = std::move(directory);
        return ok();
    }

    std::optional<TemporaryDirectory> directory_;
};

Place* const shared_place = [] {
    auto made = std::make_unique<Place>();
    Place* borrowed = made.get();
    ::testing::AddGlobalTestEnvironment(made.release());
    return borrowed;
}();

} // namespace

Result<std::string> btrfs_place() {
    return shared_place->path();
}

} // namespace berth::store::testing
