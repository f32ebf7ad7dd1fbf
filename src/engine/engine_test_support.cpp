// SPDX-License-Identifier: Apache-2.0
// The isolation, and a small image made from the static busybox.
#include "engine/engine_test_support.h"

#include "base/file.h"
#include "base/random.h"
#include "codec/tar.h"
#include "kernel/cgroup.h"
#include "oci/reference.h"
#include "store/archive.h"
#include "store/store.h"

#include <gtest/gtest.h>

#include <array>

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::engine {
namespace {

constexpr int failed = 1;

std::string cgroup_parent(pid_t pid) {
    return "/berth-engine-test-" + std::to_string(pid);
}

// In the outer pid namespace, so that names of concurrent runs differ.
std::string own_cgroup_parent;

int run_as_init(const std::function<void()>& body) {
    mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
    body();
    return testing::Test::HasFailure() ? failed : 0;
}

Result<std::string> busybox_tar() {
    const std::string program = TRY(read_file("/bin/busybox"));
    StringSink sink;
    tar::Writer writer(sink);
    for (const char* directory : {"bin", "etc", "tmp", "data", "proc", "sys", "dev"}) {
        TRY(writer.write_header(
            {.name = directory, .type = tar::EntryType::Directory, .mode = 0755}));
    }
    const auto add_file = [&](const char* name, std::string_view content, std::uint32_t mode) {
        auto written = writer.write_header({.name = name, .mode = mode, .size = content.size()});
        return written.ok() ? writer.write(content) : written;
    };
    TRY(add_file("bin/busybox", program, 0755));
    TRY(add_file(
        "etc/passwd", "root:x:0:0::/root:/bin/sh\nuser:x:1000:1001::/home/user:/bin/sh\n", 0644));
    TRY(add_file("etc/group", "root:x:0:\nusers:x:1001:\n", 0644));
    TRY(add_file("data/seed", "from the image\n", 0644));
    for (const char* applet :
         {"sh",
          "echo",
          "sleep",
          "cat",
          "id",
          "hostname",
          "ls",
          "env",
          "kill",
          "test",
          "true",
          "touch",
          "ip",
          "mount",
          "grep",
          "pwd",
          "trap",
          "head"}) {
        TRY(writer.write_header(
            {.name = std::string("bin/") + applet,
             .link_name = "busybox",
             .type = tar::EntryType::SymbolicLink}));
    }
    TRY(writer.finish());
    return sink.take();
}

Result<void> import_busybox(store::Store& store) {
    if (store.images().get("busybox:latest").ok()) {
        return ok();
    }
    const std::string tar = TRY(busybox_tar());
    StringSource source(tar);
    store::ImportOptions options;
    options.config.platform.os = "linux";
    options.config.platform.architecture = "amd64";
    options.config.config.cmd = {"sh"};
    options.config.config.env = {"FROM_IMAGE=yes"};
    options.names = {TRY(oci::Reference::parse_normalized("busybox:latest"))};
    TRY(store::import_rootfs({}, store.images(), source, std::move(options)));
    return ok();
}

} // namespace

bool run_isolated(const std::function<void()>& body) {
    own_cgroup_parent = cgroup_parent(getpid()) + random_hex(2);
    const pid_t outer = fork();
    if (outer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
            std::perror("unshare");
            _exit(failed);
        }
        const pid_t init = fork();
        if (init == 0) {
            _exit(run_as_init(body));
        }
        int status = 0;
        waitpid(init, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : failed);
    }
    int status = 0;
    waitpid(outer, &status, 0);
    if (auto group = kernel::Cgroup::open(own_cgroup_parent); group.ok()) {
        EXPECT_TRUE(group->remove().ok());
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TestEngine::TestEngine(std::string directory)
    : root(std::move(directory)) {
    // A file system of its own: overlayfs cannot lie on overlayfs, and nothing stays.
    EXPECT_TRUE(make_directories(root).ok());
    EXPECT_EQ(mount("tmpfs", root.c_str(), "tmpfs", 0, "size=256m"), 0);
}

EngineOptions TestEngine::options() const {
    EngineOptions options;
    options.config.data_root = root + "/data";
    options.config.exec_root = root + "/run";
    options.config.bridge = bridge;
    options.config.cgroup_parent = own_cgroup_parent;
    options.config.shutdown_timeout = 1;
    std::array<char, 4096> path{};
    const ssize_t size = readlink("/proc/self/exe", path.data(), path.size() - 1);
    options.program_directory.assign(path.data(), static_cast<std::size_t>(size));
    options.program_directory.resize(options.program_directory.rfind('/'));
    return options;
}

std::unique_ptr<Engine> TestEngine::open() {
    auto engine = Engine::open(options());
    EXPECT_TRUE(engine.ok()) << engine.error().message();
    if (!engine.ok()) {
        return nullptr;
    }
    auto imported = import_busybox((*engine)->store());
    EXPECT_TRUE(imported.ok()) << imported.error().message();
    return std::move(engine).value();
}

CreateRequest shell_request(const std::string& script, const std::string& name) {
    CreateRequest request{.name = name};
    request.config.image = "busybox";
    request.config.cmd = std::vector<std::string>{"sh", "-c", script};
    request.host_config.network_mode = "none";
    return request;
}

std::int64_t run_to_end(Engine& engine, CreateRequest request) {
    auto created = engine.containers().create(std::move(request));
    EXPECT_TRUE(created.ok()) << created.error().message();
    if (!created.ok()) {
        return -1;
    }
    auto started = engine.containers().start(created->id);
    EXPECT_TRUE(started.ok()) << started.error().message();
    auto result = engine.containers().wait({}, created->id, WaitCondition::NotRunning);
    EXPECT_TRUE(result.ok());
    return result.ok() ? result->exit_code : -1;
}

std::string log_text(Engine& engine, const std::string& container) {
    std::string text;
    auto read = engine.containers().logs(
        container,
        {.standard_output = true, .standard_error = true},
        {.record =
             [&text](const LogRecord& record) {
                 text += record.bytes;
                 return true;
             },
         .end = [] {}});
    EXPECT_TRUE(read.ok()) << read.error().message();
    return text;
}

} // namespace berth::engine
