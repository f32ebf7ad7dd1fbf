// SPDX-License-Identifier: Apache-2.0
// The fixture of whole builds: a store with a busybox image, a network and an event loop, in
// namespaces of the test's process.
#pragma once

#include "base/file.h"
#include "build/builder.h"
#include "codec/tar.h"
#include "kernel/path.h"
#include "network/network_driver.h"
#include "runtime/namespaces.h"

#include <gtest/gtest.h>

#include <thread>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::build {

inline constexpr const char* test_cgroup_parent = "/berth-build-test";

struct File {
    std::string name;
    std::string content;
    tar::EntryType type = tar::EntryType::File;
    std::uint32_t mode = 0644;
    std::string link;
};

inline std::string make_tar(const std::vector<File>& files) {
    StringSink sink;
    tar::Writer writer(sink);
    for (const File& file : files) {
        tar::Header header{.name = file.name, .link_name = file.link, .type = file.type};
        header.mode = file.mode;
        header.size = file.content.size();
        EXPECT_TRUE(writer.write_header(header).ok());
        EXPECT_TRUE(writer.write(file.content).ok());
    }
    EXPECT_TRUE(writer.finish().ok());
    return sink.take();
}

inline File directory(std::string name) {
    return {
        .name = std::move(name), .content = "", .type = tar::EntryType::Directory, .mode = 0755};
}

inline std::string program_directory() {
    std::string path(4096, '\0');
    const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
    path.resize(static_cast<std::size_t>(length));
    return path.substr(0, path.rfind('/'));
}

inline void remove_cgroups() {
    const std::string root = "/sys/fs/cgroup";
    auto names = list_directory(root);
    std::vector<std::string> places{root};
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        places.push_back(root + "/" + name);
    }
    for (const std::string& place : places) {
        rmdir((place + test_cgroup_parent).c_str());
    }
}

class BuilderTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (geteuid() != 0) {
            return;
        }
        // Before any thread starts: mounts, links and rules stay in here.
        ASSERT_EQ(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
        ASSERT_TRUE(runtime::raise_loopback().ok());
        ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }

    static void TearDownTestSuite() { remove_cgroups(); }

    void SetUp() override {
        if (geteuid() != 0) {
            GTEST_SKIP() << "needs root";
        }
        directory_.emplace(TemporaryDirectory::create("/var/tmp").value());
        loop_ = io::EventLoop::create().value();
        thread_ = std::thread([this] { loop_->run(); });
        store_ = store::Store::open({.root = directory_->path() + "/data"}).value();
        driver_ = network::NetworkDriver::start({.table = "berth-build-test"}).value();
        bridge_ = driver_
                      ->create(network::BridgeOptions{
                          .name = "berthbuild0",
                          .subnet = network::IpPrefix::parse("10.213.0.0/24").value()})
                      .value();
        import_busybox();
        open_builder();
    }

    void TearDown() override {
        builder_.reset();
        bridge_.reset();
        if (driver_) {
            EXPECT_TRUE(driver_->remove_all().ok());
            driver_->wait_until_removed();
        }
        driver_.reset();
        if (store_) {
            EXPECT_TRUE(store_->layers().list_writable()->empty()) << "a step left its layer";
            // The store may still be deleting layers there.
            for (const std::string& name : left_in("data/tmp")) {
                EXPECT_FALSE(name.starts_with("tmp-")) << "a context was left: " << name;
            }
            EXPECT_TRUE(left_in("data/containers").empty());
            EXPECT_TRUE(left_in("exec/containers").empty());
        }
        store_.reset();
        if (loop_) {
            loop_->stop();
            thread_.join();
        }
    }

    std::vector<std::string> left_in(const std::string& name) const {
        auto names = list_directory(directory_->path() + "/" + name);
        return names.ok() ? *names : std::vector<std::string>();
    }

    void open_builder() {
        BuilderOptions options{.store = *store_, .loop = *loop_};
        options.find_network =
            [this](const std::string& name) -> Result<std::shared_ptr<network::Network>> {
            if (name != "bridge") {
                return not_found("network " + name + " not found");
            }
            return bridge_;
        };
        options.isolated_namespace = [this] { return driver_->create_isolated_namespace(); };
        options.data_root = directory_->path() + "/data";
        options.exec_root = directory_->path() + "/exec";
        options.monitor_program = program_directory() + "/berth-monitor";
        options.cgroup_parent = test_cgroup_parent;
        options.labeling = labeling_;
        builder_ = Builder::create(std::move(options)).value();
    }

    void import_busybox() {
        std::vector<File> files{directory("bin"), directory("etc"), directory("tmp")};
        files.back().mode = 01777;
        files.push_back(
            {.name = "bin/busybox", .content = read_file("/bin/busybox").value(), .mode = 0755});
        for (const char* name :
             {"sh",
              "cat",
              "ls",
              "echo",
              "id",
              "mkdir",
              "sleep",
              "stat",
              "test",
              "rm",
              "env",
              "touch",
              "false",
              "ip",
              "head"}) {
            files.push_back(
                {.name = std::string("bin/") + name,
                 .type = tar::EntryType::SymbolicLink,
                 .link = "busybox"});
        }
        files.push_back(
            {.name = "etc/passwd",
             .content = "root:x:0:0::/root:/bin/sh\napp:x:1234:1234::/home/app:/bin/sh\n"});
        files.push_back({.name = "etc/group", .content = "root:x:0:\napp:x:1234:\nstaff:x:50:\n"});
        auto lease = store_->images().lease();
        StringSource source(make_tar(files));
        const auto layer = store_->layers().apply(lease, {}, source).value();
        oci::ImageConfig config;
        config.platform = oci::Platform::host();
        config.config.env = {"PATH=/bin"};
        config.config.cmd = {"sh"};
        config.rootfs.diff_ids = {layer.diff_id};
        ASSERT_TRUE(store_->images()
                        .create(
                            {.config_json = config.serialize(),
                             .names = {oci::Reference::parse_normalized("busybox").value()}})
                        .ok());
    }

    Result<BuildResult> build(
        const std::string& dockerfile,
        std::vector<File> files = {},
        const BuildRequest& request = {},
        std::stop_token stop = {}) {
        output_.clear();
        files.insert(files.begin(), {.name = "Dockerfile", .content = dockerfile});
        StringSource archive(make_tar(files));
        TarContext context(archive);
        BuildCallbacks callbacks;
        callbacks.client = client_;
        callbacks.output = [this](std::string_view text) {
            output_ += text;
            if (on_output_) {
                on_output_();
            }
        };
        return builder_->build(stop, request, context, callbacks, &failure_);
    }

    std::string error_of(
        const std::string& dockerfile,
        std::vector<File> files = {},
        const BuildRequest& request = {}) {
        auto built = build(dockerfile, std::move(files), request);
        return built.ok() ? "" : built.error().message();
    }

    oci::Digest must_build(
        const std::string& dockerfile,
        std::vector<File> files = {},
        const BuildRequest& request = {}) {
        auto built = build(dockerfile, std::move(files), request);
        EXPECT_TRUE(built.ok()) << built.error().message() << "\n" << output_;
        return built.ok() ? built->image_id : oci::Digest();
    }

    // A file of an image; "absent" when it is not there.
    std::string
    content(const oci::Digest& id, const std::string& path, struct stat* status = nullptr) {
        const auto image = store_->images().get(id).value();
        EXPECT_TRUE(store_->layers().prepare("look", image.chain_id).ok());
        const std::string mounted = store_->layers().mount("look").value();
        std::string text = "absent";
        {
            const UniqueFd root = open_file(mounted, O_PATH | O_DIRECTORY).value();
            auto file = kernel::open_in_root(root, path, O_RDONLY | O_NONBLOCK);
            if (file.ok()) {
                auto read = read_all(*file, 1U << 20);
                text = read.ok() ? *read : "directory";
                if (status != nullptr) {
                    EXPECT_EQ(fstat(file->get(), status), 0);
                }
            }
        }
        EXPECT_TRUE(store_->layers().remove_writable("look").ok());
        return text;
    }

    oci::ContainerDefaults config(const oci::Digest& id) {
        return store_->images().get(id).value().config.config;
    }

    std::optional<TemporaryDirectory> directory_;
    std::unique_ptr<io::EventLoop> loop_;
    std::thread thread_;
    std::unique_ptr<store::Store> store_;
    std::unique_ptr<network::NetworkDriver> driver_;
    std::shared_ptr<network::BridgeNetwork> bridge_;
    std::unique_ptr<Builder> builder_;
    StepLabeling labeling_;
    ClientServices* client_ = nullptr;
    std::string output_;
    std::function<void()> on_output_;
    StepFailure failure_;
};

} // namespace berth::build
