// SPDX-License-Identifier: Apache-2.0
// What tests of layers share: full listings, a tar in both of its forms, and layers that nobody
// takes.
#pragma once

#include "store/layer_file.h"
#include "store/layer_mounts.h"
#include "store/testing.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace berth::store::testing {

// What the shell makes of it; fails the test when that fails.
void run_shell(const std::string& script);

// Everything below root with all of its attributes, owners, links and a hash of its bytes. The
// directories in `timeless` (the root is "") are listed without their time.
std::string full_listing(const std::string& root, std::set<std::string> timeless);

// A layer that is refused in whatever form, and without a trace outside of it.
struct RefusedLayer {
    std::string why;
    std::function<void(TarBuilder&)> fill;
};

std::vector<RefusedLayer> refused_layers();

// A tar unpacked below "tree", and made into an image that is mounted at "mount" by a method.
class LayerFormsTest : public ::testing::TestWithParam<ErofsMethod> {
  protected:
    void SetUp() override;
    void TearDown() override;

    std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

    Result<void> extract(const std::string& tar);
    Result<LayerFile> index(const std::string& tar);

    // Both forms of what must be a layer; the listing that they share.
    std::string expect_same(const std::string& tar, const std::string& also_timeless = "");

    std::string expect_same(TarBuilder& tar, const std::string& also_timeless = "") {
        return expect_same(tar.finish(), also_timeless);
    }

    // For the next tar.
    void clear();

    TemporaryDirectory directory_ = TemporaryDirectory::create("/tmp").value();
    std::uint64_t size_ = 0;
    std::set<std::string> implied_;
};

} // namespace berth::store::testing
