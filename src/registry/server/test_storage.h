// SPDX-License-Identifier: Apache-2.0
// A storage in a temporary folder, for the tests of its parts.
#pragma once

#include "base/file.h"
#include "registry/server/storage.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::registry {

class StorageTest : public testing::Test {
  protected:
    void open(StorageOptions options = {}) {
        storage_.reset();
        options.root = root();
        storage_ = std::move(Storage::open(std::move(options))).value();
    }

    std::string root() const { return directory_.path() + "/root"; }

    oci::Digest push(const std::string& repository, const std::string& content) {
        auto upload = storage_->begin_upload(repository, "sha256").value();
        StringSource source(content);
        EXPECT_TRUE(upload->append(source).ok());
        oci::Digest digest = oci::Digest::of(content);
        EXPECT_TRUE(storage_->finish_upload(*upload, digest).ok());
        return digest;
    }

    // A document that refers to nothing.
    oci::Digest put(const std::string& repository, const std::string& bytes, std::string tag) {
        NewManifest manifest;
        manifest.bytes = bytes;
        manifest.tag = std::move(tag);
        manifest.descriptor.media_type = oci::media_type::oci_manifest;
        manifest.descriptor.digest = oci::Digest::of(bytes);
        manifest.descriptor.size = static_cast<std::int64_t>(bytes.size());
        auto missing = storage_->put_manifest(repository, manifest);
        EXPECT_TRUE(missing.ok() && !missing->has_value());
        return manifest.descriptor.digest;
    }

    std::string layout(const std::string& repository) const {
        return root() + "/repositories/" + repository + "/_layout";
    }

    bool has(const std::string& repository, const oci::Digest& digest) {
        return storage_->open_blob(repository, digest).ok();
    }

    // As if nobody had used the blob for a long time.
    void make_old(const oci::Digest& digest) const {
        std::string path = root() + "/blobs/sha256/" + std::string(digest.hex());
        std::array<timespec, 2> long_ago{};
        EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), long_ago.data(), 0), 0);
    }

    TemporaryDirectory directory_ = std::move(TemporaryDirectory::create("/tmp")).value();
    std::unique_ptr<Storage> storage_;
};

} // namespace berth::registry
