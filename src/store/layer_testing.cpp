// SPDX-License-Identifier: Apache-2.0
// Listings, the table of layers that nobody takes, and the fixture with both forms.
#include "store/layer_testing.h"

#include "codec/sha256.h"
#include "kernel/mount.h"
#include "kernel/process.h"
#include "store/frame_recorder.h"
#include "store/layer_extractor.h"
#include "store/tar_frame.h"

#include <map>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::store::testing {

namespace {

std::string attributes_of(const std::string& path) {
    std::string names(64U << 10, '\0');
    const ssize_t size = llistxattr(path.c_str(), names.data(), names.size());
    std::map<std::string, std::string> found;
    for (std::size_t at = 0; size > 0 && at < static_cast<std::size_t>(size);) {
        const std::string name = names.c_str() + at;
        at += name.size() + 1;
        std::string value(64U << 10, '\0');
        const ssize_t length = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
        EXPECT_GE(length, 0) << path << " " << name;
        value.resize(static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
        found[name] = value;
    }
    std::string text;
    for (const auto& [name, value] : found) {
        text += " " + name + "=" + sha256_hex(value).substr(0, 8);
    }
    return text;
}

class FullListing {
  public:
    // Directories that no entry named have no time of their own.
    explicit FullListing(std::set<std::string> timeless)
        : timeless_(std::move(timeless)) {}

    std::string of(const std::string& root) {
        root_ = root;
        visit("");
        return text_;
    }

  private:
    void visit(const std::string& name) {
        const std::string path = root_ + (name.empty() ? "" : "/" + name);

        struct stat status {};

        ASSERT_EQ(lstat(path.c_str(), &status), 0) << path;
        text_ += "/" + name + " mode=" + std::to_string(status.st_mode) +
                 " owner=" + std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid);
        const bool directory = S_ISDIR(status.st_mode);
        const bool whiteout = S_ISCHR(status.st_mode) && status.st_rdev == 0;
        if (!whiteout && !(directory && timeless_.contains(name))) {
            text_ += " mtime=" + std::to_string(status.st_mtim.tv_sec) + "." +
                     std::to_string(status.st_mtim.tv_nsec);
        }
        text_ += attributes_of(path);
        if (!directory) {
            text_ += " links=" + std::to_string(status.st_nlink);
            if (status.st_nlink > 1) {
                text_ += " same-as=" + first_names_.emplace(status.st_ino, name).first->second;
            }
        }
        if (S_ISREG(status.st_mode)) {
            text_ += " size=" + std::to_string(status.st_size);
            text_ += " sha256=" + digest_of(path);
        } else if (S_ISLNK(status.st_mode)) {
            std::string target(PATH_MAX, '\0');
            target.resize(static_cast<std::size_t>(
                std::max<ssize_t>(readlink(path.c_str(), target.data(), target.size()), 0)));
            text_ += " target=" + target;
        } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
            text_ += " device=" + std::to_string(status.st_rdev);
        }
        text_ += "\n";
        if (directory) {
            text_ += types_in(path);
            const std::vector<std::string> entries = list_directory(path).value();
            for (const std::string& entry : entries) {
                visit(name.empty() ? entry : name + "/" + entry);
            }
        }
    }

    // What readdir says; overlayfs takes a whiteout's type from there.
    static std::string types_in(const std::string& path) {
        std::set<std::string> found;
        DIR* stream = opendir(path.c_str());
        while (const dirent* entry = readdir(stream)) {
            found.insert(std::string(entry->d_name) + ":" + std::to_string(entry->d_type));
        }
        closedir(stream);
        std::string text;
        for (const std::string& entry : found) {
            text += " " + entry;
        }
        return text + "\n";
    }

    // Of the blocks that are not zero, with their places: holes are passed over, not read.
    static std::string digest_of(const std::string& path) {
        constexpr std::size_t block_bytes = 4096;
        UniqueFd file = open_file(path, O_RDONLY).value();
        std::string block(block_bytes, '\0');
        Sha256 hash;
        for (off_t at = 0; (at = lseek(file.get(), at, SEEK_DATA)) >= 0;) {
            at -= at % static_cast<off_t>(block_bytes);
            ssize_t count = 0;
            while ((count = pread(file.get(), block.data(), block_bytes, at)) > 0) {
                const std::string_view bytes(block.data(), static_cast<std::size_t>(count));
                at += count;
                if (bytes.find_first_not_of('\0') == std::string_view::npos) {
                    break;
                }
                hash.update(std::to_string(at));
                hash.update(bytes);
            }
            EXPECT_GE(count, 0) << path;
        }
        return hash.finish_hex();
    }

    std::set<std::string> timeless_;
    std::string root_;
    std::string text_;
    std::map<ino_t, std::string> first_names_;
};

} // namespace

void run_shell(const std::string& script) {
    Result<kernel::Child> shell = kernel::spawn({.arguments = {"sh", "-ec", script}});
    ASSERT_TRUE(shell.ok()) << shell.error().message();
    ASSERT_EQ(shell->wait().value().code, 0) << script;
}

std::string full_listing(const std::string& root, std::set<std::string> timeless) {
    return FullListing(std::move(timeless)).of(root);
}

std::vector<RefusedLayer> refused_layers() {
    const auto add = [](std::string why, std::function<void(TarBuilder&)> fill) {
        return RefusedLayer{std::move(why), std::move(fill)};
    };
    std::vector<RefusedLayer> layers{
        add("hard link to nothing", [](TarBuilder& tar) { tar.hard_link("a", "missing"); }),
        add("hard link to the root", [](TarBuilder& tar) { tar.hard_link("a", "/"); }),
        add("hard link to a dot", [](TarBuilder& tar) { tar.hard_link("a", "."); }),
        add("hard link out", [](TarBuilder& tar) { tar.hard_link("a", "../../etc/passwd"); }),
        add("hard link to the host", [](TarBuilder& tar) { tar.hard_link("a", "/etc/passwd"); }),
        add("hard link through a link out",
            [](TarBuilder& tar) { tar.symlink("out", "/etc").hard_link("a", "out/passwd"); }),
        add("hard link to a directory",
            [](TarBuilder& tar) { tar.directory("d").hard_link("a", "d"); }),
        add("below a file", [](TarBuilder& tar) { tar.file("f", "x").file("f/below", "y"); }),
        add("below a link to itself",
            [](TarBuilder& tar) { tar.symlink("l", "l").file("l/below", "y"); }),
        add("below links in a circle",
            [](TarBuilder& tar) { tar.symlink("x", "y").symlink("y", "x").file("x/below", "y"); }),
        add("below a link to nothing",
            [](TarBuilder& tar) { tar.symlink("l", "nowhere").file("l/below", "y"); }),
        add("link to an empty name", [](TarBuilder& tar) { tar.symlink("l", ""); }),
        add("root as a link", [](TarBuilder& tar) { tar.symlink("/", "x"); }),
        add("root as a link by its dot", [](TarBuilder& tar) { tar.symlink(".", "/"); }),
        add("name that is too long", [](TarBuilder& tar) { tar.file(std::string(256, 'n'), ""); }),
    };
    for (const char* name : {"../outside", "a/../../outside", "..", "/../outside"}) {
        layers.push_back(
            add("name that leads out", [name](TarBuilder& tar) { tar.file(name, "evil"); }));
    }
    for (const char* name : {".wh.", ".wh..", ".wh...", "a/.wh.", "a/.wh..."}) {
        layers.push_back(
            add("whiteout of nothing", [name](TarBuilder& tar) { tar.file(name, ""); }));
    }
    return layers;
}

void LayerFormsTest::SetUp() {
    if (!testing::is_root()) {
        GTEST_SKIP() << "needs root: mounts, owners, devices";
    }
    ASSERT_TRUE(make_directories(path("tmp")).ok());
    ASSERT_TRUE(make_directories(path("tree")).ok());
    ASSERT_TRUE(make_directories(path("mount")).ok());
    std::string why;
    const ErofsMethod best = probe_erofs(directory_.path(), why).value();
    if (best == ErofsMethod::None || (best == ErofsMethod::Loop && GetParam() != best)) {
        GTEST_SKIP() << "this kernel does not: " << why;
    }
}

void LayerFormsTest::TearDown() {
    EXPECT_TRUE(kernel::unmount_lazily(path("mount")).ok());
}

Result<void> LayerFormsTest::extract(const std::string& tar) {
    StringSource source(tar);
    UniqueFd tree = TRY(open_file(path("tree"), O_RDONLY | O_DIRECTORY));
    auto recorder = TRY(FrameRecorder::create(source, directory_.path(), tree));
    LayerExtractor extractor = TRY(LayerExtractor::create(path("tree")));
    TRY(extractor.extract(*recorder));
    TRY(recorder->finish());
    size_ = extractor.size();
    implied_ = extractor.take_implied_directories();
    auto made = TRY(FramedTar::open(directory_.path(), path("tree")));
    EXPECT_EQ(sha256_hex(TRY(read_to_end(*made, 1U << 30))), sha256_hex(tar));
    return ok();
}

Result<LayerFile> LayerFormsTest::index(const std::string& tar) {
    StringSource source(tar);
    return LayerFile::write(path("layer.erofs"), source);
}

std::string LayerFormsTest::expect_same(const std::string& tar, const std::string& also_timeless) {
    Result<void> extracted = extract(tar);
    EXPECT_TRUE(extracted.ok()) << extracted.error().message();
    Result<LayerFile> layer = index(tar);
    EXPECT_TRUE(layer.ok()) << layer.error().message();
    EXPECT_TRUE(layer->fits());
    EXPECT_EQ(layer->size(), size_);
    EXPECT_EQ(layer->take_implied_directories(), implied_);
    Result<void> mounted = mount_erofs(path("layer.erofs"), path("mount"), GetParam());
    EXPECT_TRUE(mounted.ok()) << mounted.error().message();
    std::set<std::string> timeless = implied_;
    timeless.insert({"", also_timeless});
    std::string listing = full_listing(path("tree"), timeless);
    EXPECT_EQ(full_listing(path("mount"), timeless), listing);
    FileSource stored = layer->tar();
    EXPECT_EQ(sha256_hex(read_to_end(stored, 1U << 30).value()), sha256_hex(tar));
    return listing;
}

void LayerFormsTest::clear() {
    ASSERT_TRUE(kernel::unmount_lazily(path("mount")).ok());
    (void)unlink(path("layer.erofs").c_str());
    (void)unlink(path("tar.frame").c_str());
    ASSERT_NO_FATAL_FAILURE(run_shell("rm -r " + path("tree") + " && mkdir " + path("tree")));
}

} // namespace berth::store::testing
