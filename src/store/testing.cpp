// SPDX-License-Identifier: Apache-2.0
// What the store's tests share.
#include "store/testing.h"

#include "oci/image_config.h"
#include "store/overlay_form.h"

#include <algorithm>
#include <csignal>
#include <map>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::store::testing {

namespace {

// Mounts of the tests are seen by nobody else and end with the program.
class OwnMountNamespace final : public ::testing::Environment {
  public:
    void SetUp() override {
        if (is_root()) {
            ASSERT_EQ(unshare(CLONE_NEWNS), 0);
            ASSERT_EQ(mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        }
    }
};

[[maybe_unused]] const auto* const environment =
    ::testing::AddGlobalTestEnvironment(std::make_unique<OwnMountNamespace>().release());

std::string octal(mode_t mode) {
    std::string digits(4, '0');
    for (int i = 3; i >= 0; --i, mode >>= 3) {
        digits[static_cast<std::size_t>(i)] = static_cast<char>('0' + (mode & 7));
    }
    return digits;
}

struct Lister {
    std::string text;
    std::map<ino_t, std::string> first_names;

    void visit(const std::string& root, const std::string& name) {
        std::string path = root + "/" + name;

        struct stat status {};

        ASSERT_EQ(lstat(path.c_str(), &status), 0) << path;
        std::string rest = octal(status.st_mode & 07777) + " " + std::to_string(status.st_uid) +
                           ":" + std::to_string(status.st_gid) + " " + name;
        if (S_ISDIR(status.st_mode)) {
            text += "d " + rest + "\n";
            UniqueFd fd = open_file(path, O_RDONLY | O_DIRECTORY).value();
            if (is_opaque(fd).value()) {
                text += "o " + name + "\n";
            }
            const std::vector<std::string> entries = list_directory(path).value();
            for (const std::string& entry : entries) {
                visit(root, name + "/" + entry);
            }
        } else if (is_whiteout(status)) {
            text += "w " + name + "\n";
        } else if (status.st_nlink > 1 && !first_names.emplace(status.st_ino, name).second) {
            text += "h " + name + " == " + first_names[status.st_ino] + "\n";
        } else if (S_ISLNK(status.st_mode)) {
            std::string target(4096, '\0');
            target.resize(static_cast<std::size_t>(
                std::max<ssize_t>(readlink(path.c_str(), target.data(), target.size()), 0)));
            text += "l " + name + " -> " + target + "\n";
        } else if (S_ISREG(status.st_mode)) {
            text += "f " + rest + " = " + read_file(path).value() + "\n";
        } else {
            text += std::string(S_ISFIFO(status.st_mode) ? "p " : "n ") + rest + " " +
                    std::to_string(major(status.st_rdev)) + ":" +
                    std::to_string(minor(status.st_rdev)) + "\n";
        }
    }
};

} // namespace

bool is_root() {
    return geteuid() == 0;
}

TarBuilder& TarBuilder::add(tar::Header header, std::string_view data) {
    header.size = data.size();
    EXPECT_TRUE(writer_.write_header(header).ok());
    EXPECT_TRUE(writer_.write(data).ok());
    return *this;
}

TarBuilder& TarBuilder::file(const std::string& name, std::string_view data, std::uint32_t mode) {
    return add({.name = name, .mode = mode, .mtime = 1'000'000'007}, data);
}

TarBuilder& TarBuilder::directory(const std::string& name, std::uint32_t mode) {
    return add(
        {.name = name, .type = tar::EntryType::Directory, .mode = mode, .mtime = 2'000'000'009});
}

TarBuilder& TarBuilder::symlink(const std::string& name, const std::string& target) {
    return add(
        {.name = name, .link_name = target, .type = tar::EntryType::SymbolicLink, .mode = 0777});
}

TarBuilder& TarBuilder::hard_link(const std::string& name, const std::string& target) {
    return add({.name = name, .link_name = target, .type = tar::EntryType::HardLink});
}

std::string TarBuilder::finish() {
    EXPECT_TRUE(writer_.finish().ok());
    return sink_.take();
}

std::string list_tree(const std::string& path) {
    Lister lister;
    const std::vector<std::string> names = list_directory(path).value();
    for (const std::string& name : names) {
        lister.visit(path, name);
    }
    return lister.text;
}

void run_and_kill(const std::function<void()>& action) {
    pid_t child = fork();
    if (child == 0) {
        action();
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
}

void StoreTest::SetUp() {
    if (!is_root()) {
        GTEST_SKIP() << "needs root: devices, owners, mounts";
    }
    open();
}

void StoreTest::open(SnapshotterKind kind, LayerForm form) {
    lease_.reset();
    store_.reset();
    auto store = Store::open({.root = root(), .snapshotter = kind, .form = form});
    ASSERT_TRUE(store.ok()) << store.error().message();
    store_ = std::move(store).value();
    lease_ = std::make_unique<Lease>(store_->leases().create());
}

void StoreTest::start_over() {
    lease_.reset();
    store_.reset();
    directory_ = TemporaryDirectory::create("/tmp").value();
    open();
}

Result<std::vector<LoadedImage>>
StoreTest::load_images(std::string archive, const LoadOptions& options) {
    StringSource source(std::move(archive));
    return load_archive({}, images(), source, options);
}

std::string
StoreTest::save_images(const std::vector<std::string>& names, const SaveOptions& options) {
    StringSink sink;
    const Result<void> saved = save_archive({}, images(), names, sink, options);
    EXPECT_TRUE(saved.ok()) << (saved.ok() ? "" : saved.error().message());
    return sink.take();
}

LayerInfo StoreTest::add_layer(const oci::Digest& parent, std::string tar, StageOptions options) {
    StringSource source(std::move(tar));
    auto layer = store_->layers().apply(*lease_, parent, source, std::move(options));
    EXPECT_TRUE(layer.ok()) << (layer.ok() ? "" : layer.error().message());
    return layer.ok() ? *layer : LayerInfo{};
}

Image StoreTest::add_image(const std::string& name, const std::string& content) {
    LayerInfo layer =
        add_layer({}, TarBuilder().file("content", content).finish(), {.keep_blob = true});
    oci::ImageConfig config;
    config.platform = oci::Platform::host();
    config.created = Timestamp::from_seconds(static_cast<std::int64_t>(content.size()) + 1);
    config.rootfs.diff_ids = {layer.diff_id};
    NewImage image;
    image.config_json = config.serialize();
    if (!name.empty()) {
        image.names = {reference(name)};
    }
    auto created = store_->images().create(image);
    EXPECT_TRUE(created.ok()) << (created.ok() ? "" : created.error().message());
    return std::move(created).value();
}

} // namespace berth::store::testing
