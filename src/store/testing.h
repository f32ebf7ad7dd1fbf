// SPDX-License-Identifier: Apache-2.0
// What the store's tests share: tars made entry by entry, trees as text, a store in a temporary
// directory, and a mount namespace of their own.
#pragma once

#include "base/file.h"
#include "codec/tar.h"
#include "store/archive.h"
#include "store/store.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace berth::store::testing {

// Builds a tar in memory.
class TarBuilder {
  public:
    TarBuilder& add(tar::Header header, std::string_view data = {});
    TarBuilder& file(const std::string& name, std::string_view data, std::uint32_t mode = 0644);
    TarBuilder& directory(const std::string& name, std::uint32_t mode = 0755);
    TarBuilder& symlink(const std::string& name, const std::string& target);
    TarBuilder& hard_link(const std::string& name, const std::string& target);
    std::string finish();

  private:
    StringSink sink_;
    tar::Writer writer_{sink_};
};

// One line an entry, sorted: "d 0755 0:0 etc", "f 0644 0:0 etc/hosts = bytes", "l a -> b",
// "w gone" (whiteout), "o dir" after an opaque directory, "h a == b".
std::string list_tree(const std::string& path);

// Runs in a child that is killed by SIGKILL at the end of action.
void run_and_kill(const std::function<void()>& action);

// A store below /tmp. Mounts are made in the test program's own mount namespace.
class StoreTest : public ::testing::Test {
  protected:
    void SetUp() override;
    void
    open(SnapshotterKind kind = SnapshotterKind::Overlay, LayerForm form = LayerForm::Automatic);

    void close() { store_.reset(); }

    // With another, empty store.
    void start_over();

    const std::string& root() const { return directory_.path(); }

    LayerStore& layers() { return store_->layers(); }

    ImageStore& images() { return store_->images(); }

    Result<std::vector<LoadedImage>>
    load_images(std::string archive, const LoadOptions& options = {});
    // Fails the test when it cannot be.
    std::string save_images(const std::vector<std::string>& names, const SaveOptions& options = {});

    // A directory with a file in it.
    static std::string simple_tar(const std::string& content) {
        return TarBuilder().directory("d").file("d/file", content).finish();
    }

    // A layer with the given tar; fails the test when it cannot be.
    LayerInfo add_layer(const oci::Digest& parent, std::string tar, StageOptions options = {});

    // An image of one layer with the given file in it.
    Image add_image(const std::string& name, const std::string& content);

    static oci::Reference reference(const std::string& text) {
        return oci::Reference::parse_normalized(text).value();
    }

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::unique_ptr<Store> store_;
    std::unique_ptr<Lease> lease_;
};

bool is_root();

} // namespace berth::store::testing
