// SPDX-License-Identifier: Apache-2.0
// What this library's tests share: a registry on a loopback port, images made in memory, and a
// store for them.
#pragma once

#include "base/file.h"
#include "codec/compression.h"
#include "codec/tar.h"
#include "http/client.h"
#include "http/response_writer.h"
#include "http/server.h"
#include "oci/image_config.h"
#include "oci/manifest.h"
#include "registry/server.h"
#include "store/store.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace berth::registry {

// Any handler on a port of its own.
class LoopbackServer {
  public:
    explicit LoopbackServer(http::Handler handler) {
        http::ServerOptions options;
        options.handler = std::move(handler);
        options.error_body = Server::error_body;
        options.worker_threads = 8;
        server_ = std::move(http::Server::create(std::move(options))).value();
        port_ = server_->listen_tcp("127.0.0.1:0").value();
        EXPECT_TRUE(server_->start().ok());
    }

    std::string host() const { return "127.0.0.1:" + std::to_string(port_); }

    http::Client client() const {
        return http::Client(http::Endpoint::parse("tcp://" + host()).value());
    }

    void stop() { server_->stop(); }

  private:
    std::unique_ptr<http::Server> server_;
    std::uint16_t port_ = 0;
};

inline void reply(
    http::ResponseWriter& out,
    unsigned status,
    http::Headers headers = {},
    const std::string& body = {}) {
    [[maybe_unused]] auto sent = out.respond(status, std::move(headers), body);
}

// Our registry over a temporary directory.
class TestRegistry {
  public:
    TestRegistry()
        : registry_(std::move(Server::open(root() + "/registry")).value())
        , server_(registry_->handler()) {}

    std::string root() const { return directory_.path(); }

    std::string host() const { return server_.host(); }

    http::Client client() const { return server_.client(); }

    http::Handler handler() { return registry_->handler(); }

    void reopen() {
        registry_.reset();
        registry_ = std::move(Server::open(root() + "/registry")).value();
    }

  private:
    TemporaryDirectory directory_ = std::move(TemporaryDirectory::create("/tmp")).value();
    std::unique_ptr<Server> registry_;
    LoopbackServer server_;
};

inline std::string make_tar(const std::string& name, std::string_view content) {
    StringSink sink;
    tar::Writer writer(sink);
    tar::Header header;
    header.name = name;
    header.size = content.size();
    EXPECT_TRUE(writer.write_header(header).ok());
    EXPECT_TRUE(writer.write(content).ok());
    EXPECT_TRUE(writer.finish().ok());
    return sink.take();
}

inline std::string gzip(std::string_view bytes) {
    StringSink sink;
    auto compressor = compression::Compressor::create(sink, compression::Format::Gzip);
    EXPECT_TRUE((*compressor)->write(bytes).ok());
    EXPECT_TRUE((*compressor)->finish().ok());
    return sink.take();
}

// An image as documents and blobs, one file a layer.
struct TestImage {
    std::vector<std::string> layers; // compressed
    std::string config;
    std::string manifest;

    explicit TestImage(const std::vector<std::string>& contents) {
        oci::ImageConfig parsed;
        parsed.platform = oci::Platform::host();
        oci::Manifest document;
        document.media_type = oci::media_type::oci_manifest;
        for (std::size_t i = 0; i < contents.size(); ++i) {
            std::string tar = make_tar("file" + std::to_string(i), contents[i]);
            layers.push_back(gzip(tar));
            parsed.rootfs.diff_ids.push_back(oci::Digest::of(tar));
            document.layers.push_back(describe(oci::media_type::oci_layer_gzip, layers.back()));
        }
        config = parsed.serialize();
        document.config = describe(oci::media_type::oci_config, config);
        manifest = document.serialize();
    }

    static oci::Descriptor describe(std::string_view type, std::string_view bytes) {
        oci::Descriptor descriptor;
        descriptor.media_type = type;
        descriptor.digest = oci::Digest::of(bytes);
        descriptor.size = static_cast<std::int64_t>(bytes.size());
        return descriptor;
    }
};

inline unsigned
put(http::Client& client,
    const std::string& target,
    const std::string& type,
    const std::string& body,
    const std::string& method = "PUT") {
    auto response = client.request(
        {.method = method, .target = target, .headers = {{"Content-Type", type}}, .body = body});
    EXPECT_TRUE(response.ok()) << response.error().message();
    EXPECT_TRUE(response->read_body().ok());
    return response->status;
}

// Straight into a registry, without the client that is under test.
inline void publish(
    http::Client client, const TestImage& image, const std::string& name, const std::string& tag) {
    std::vector<std::string> blobs = image.layers;
    blobs.push_back(image.config);
    for (const std::string& blob : blobs) {
        std::string digest = oci::Digest::of(blob).to_string();
        std::string target = "/v2/" + name + "/blobs/uploads/?digest=" + digest;
        EXPECT_EQ(put(client, target, "application/octet-stream", blob, "POST"), 201U);
    }
    std::string type(oci::media_type::oci_manifest);
    EXPECT_EQ(put(client, "/v2/" + name + "/manifests/" + tag, type, image.manifest), 201U);
}

class TestStore {
  public:
    TestStore() { open(); }

    store::Store& get() { return *store_; }

    std::string root() const { return directory_.path(); }

  private:
    void open() {
        store::StoreOptions options{
            .root = root() + "/data", .snapshotter = store::SnapshotterKind::Copy};
        store_ = std::move(store::Store::open(options)).value();
    }

    TemporaryDirectory directory_ = std::move(TemporaryDirectory::create("/tmp")).value();
    std::unique_ptr<store::Store> store_;
};

} // namespace berth::registry
