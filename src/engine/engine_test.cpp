// SPDX-License-Identifier: Apache-2.0
// Containers from create to remove, on a real kernel.
#include "base/file.h"
#include "engine/engine.h"
#include "engine/engine_test_support.h"
#include "io/stream_multiplexer.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include <sys/socket.h>
#include <unistd.h>

namespace berth::engine {
namespace {

constexpr const char* engine_root = "/tmp/berth-engine-test";

// Each test is one body in its own namespaces.
void with_engine(const std::function<void(Engine&)>& body) {
    EXPECT_TRUE(run_isolated([&body] {
        TestEngine test(engine_root);
        auto engine = test.open();
        if (engine) {
            body(*engine);
        }
    }));
}

struct Client {
    UniqueFd ours;
    UniqueFd theirs;

    Client() {
        int ends[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        ours.reset(ends[0]);
        theirs.reset(ends[1]);
    }

    // Reads to the end of the session and takes the frames apart.
    std::string read_frames() {
        std::string bytes = read_all(ours, 1U << 20).value_or("");
        std::string text;
        io::StreamDemultiplexer demultiplexer;
        auto fed = demultiplexer.feed(bytes, [&text](io::Stream, std::string_view part) {
            text += part;
            return ok();
        });
        EXPECT_TRUE(fed.ok());
        return text;
    }
};

TEST(EngineContainers, RunsAProgramAndKeepsItsExitCodeAndOutput) {
    with_engine([](Engine& engine) {
        EXPECT_EQ(run_to_end(engine, shell_request("echo out; echo err >&2; exit 7", "first")), 7);
        const std::string text = log_text(engine, "first");
        EXPECT_NE(text.find("out\n"), std::string::npos);
        EXPECT_NE(text.find("err\n"), std::string::npos);
        auto shown = engine.containers().inspect("first").value();
        EXPECT_EQ(shown.state.status, ContainerStatus::Exited);
        EXPECT_EQ(shown.state.exit_code, 7);
        EXPECT_EQ(shown.name, "/first");
        EXPECT_EQ(shown.config.image, "busybox");
    });
}

TEST(EngineContainers, AttachedBeforeTheStartGetsEveryByte) {
    with_engine([](Engine& engine) {
        CreateRequest request = shell_request("cat; echo done");
        request.config.open_stdin = true;
        request.config.stdin_once = true;
        const std::string id = engine.containers().create(std::move(request)).value().id;
        Client client;
        const AttachOptions options{
            .stream = true,
            .standard_input = true,
            .standard_output = true,
            .standard_error = true};
        ASSERT_TRUE(
            engine.containers()
                .attach(id, options, {.connection = std::move(client.theirs), .leftover = "first "})
                .ok());
        ASSERT_TRUE(engine.containers().start(id).ok());
        ASSERT_TRUE(write_all(client.ours, "second\n").ok());
        shutdown(client.ours.get(), SHUT_WR);
        EXPECT_EQ(client.read_frames(), "first second\ndone\n");
    });
}

TEST(EngineContainers, TellsWhyAProgramCannotRun) {
    with_engine([](Engine& engine) {
        CreateRequest request = shell_request("");
        request.config.cmd = std::vector<std::string>{"no-such-program"};
        request.name = "broken";
        const std::string id = engine.containers().create(std::move(request)).value().id;
        auto started = engine.containers().start(id);
        ASSERT_FALSE(started.ok());
        EXPECT_EQ(started.error().kind(), ErrorKind::InvalidArgument);
        EXPECT_NE(
            started.error().message().find(
                "exec: \"no-such-program\": executable file not found in $PATH"),
            std::string::npos)
            << started.error().message();
        EXPECT_EQ(engine.containers().inspect("broken").value().state.exit_code, 127);
    });
}

TEST(EngineContainers, NamesAreUniqueAndFreeAfterRemoval) {
    with_engine([](Engine& engine) {
        Containers& containers = engine.containers();
        const std::string id = containers.create(shell_request("true", "web")).value().id;
        auto second = containers.create(shell_request("true", "web"));
        ASSERT_FALSE(second.ok());
        EXPECT_EQ(second.error().kind(), ErrorKind::Conflict);
        EXPECT_EQ(
            second.error().message(),
            "Conflict. The container name \"/web\" is already in use by container \"" + id +
                "\". You have to remove (or rename) that container to be able to reuse that "
                "name.");
        ASSERT_TRUE(containers.rename("web", "old").ok());
        EXPECT_TRUE(containers.create(shell_request("true", "web")).ok());
        ASSERT_TRUE(containers.remove("old", {}).ok());
        EXPECT_EQ(containers.inspect(id).error().message(), "No such container: " + id);
        EXPECT_EQ(containers.resolve(id.substr(0, 12)).error().kind(), ErrorKind::NotFound);
    });
}

TEST(EngineContainers, StopSendsTheStopSignalAndKillsAfterTheTimeout) {
    with_engine([](Engine& engine) {
        Containers& containers = engine.containers();
        const std::string polite =
            containers
                .create(shell_request("trap 'exit 3' USR1; echo; while :; do sleep 0.01; done"))
                .value()
                .id;
        Client client;
        ASSERT_TRUE(containers
                        .attach(
                            polite,
                            {.stream = true, .standard_output = true},
                            {.connection = std::move(client.theirs)})
                        .ok());
        ASSERT_TRUE(containers.start(polite).ok());
        // Its line says that the trap is set: the kernel keeps an unhandled signal from pid 1.
        char first = 0;
        ASSERT_EQ(::read(client.ours.get(), &first, 1), 1);
        ASSERT_TRUE(containers.stop(polite, 30, "SIGUSR1").ok());
        EXPECT_EQ(containers.inspect(polite).value().state.exit_code, 3);
        EXPECT_EQ(containers.stop(polite, 1).error().kind(), ErrorKind::NotModified);

        const std::string stubborn = containers.create(shell_request("sleep 1000")).value().id;
        ASSERT_TRUE(containers.start(stubborn).ok());
        ASSERT_TRUE(containers.stop(stubborn, 0).ok());
        EXPECT_EQ(containers.inspect(stubborn).value().state.exit_code, 137);
    });
}

TEST(EngineContainers, RemoveNeedsForceWhileRunning) {
    with_engine([](Engine& engine) {
        Containers& containers = engine.containers();
        const std::string id = containers.create(shell_request("sleep 1000", "busy")).value().id;
        ASSERT_TRUE(containers.start(id).ok());
        const std::string cause =
            ": container is running: stop the container before removing or force remove";
        EXPECT_EQ(
            containers.remove("busy", {}).error().message(),
            "cannot remove container \"busy\"" + cause);
        EXPECT_EQ(
            containers.remove(id, {}).error().message(),
            "cannot remove container \"" + id + "\"" + cause);
        ASSERT_TRUE(containers.remove(id, {.force = true}).ok());
        EXPECT_EQ(containers.list({.all = true}).value().size(), 0U);
    });
}

TEST(EngineContainers, AutoRemovedOnesTellRemovalWaiters) {
    with_engine([](Engine& engine) {
        CreateRequest request = shell_request("exit 5");
        request.host_config.auto_remove = true;
        const std::string id = engine.containers().create(std::move(request)).value().id;
        std::mutex mutex;
        std::condition_variable changed;
        std::optional<std::int64_t> code;
        auto waiting =
            engine.containers().on_exit(id, WaitCondition::Removed, [&](const ExitResult& result) {
                const std::lock_guard lock(mutex);
                code = result.exit_code;
                changed.notify_all();
            });
        ASSERT_TRUE(engine.containers().start(id).ok());
        std::unique_lock lock(mutex);
        ASSERT_TRUE(
            changed.wait_for(lock, std::chrono::seconds(20), [&] { return code.has_value(); }));
        EXPECT_EQ(code, 5);
        EXPECT_EQ(engine.containers().resolve(id).error().kind(), ErrorKind::NotFound);
    });
}

TEST(EngineContainers, RestartsOnFailureAsOftenAsAsked) {
    with_engine([](Engine& engine) {
        CreateRequest request = shell_request("echo again; exit 1", "loop");
        request.host_config.restart_policy = {"on-failure", 2};
        const std::string id = engine.containers().create(std::move(request)).value().id;
        std::mutex mutex;
        std::condition_variable changed;
        int deaths = 0;
        auto watching = engine.events().subscribe({}, [&](const Event& event) {
            const std::lock_guard lock(mutex);
            deaths += event.action == "die" ? 1 : 0;
            changed.notify_all();
        });
        ASSERT_TRUE(engine.containers().start(id).ok());
        std::unique_lock lock(mutex);
        EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return deaths == 3; }));
        lock.unlock();
        auto shown = engine.containers().inspect(id).value();
        EXPECT_EQ(shown.state.status, ContainerStatus::Exited);
        EXPECT_EQ(shown.restart_count, 2);
        EXPECT_EQ(log_text(engine, id), "again\nagain\nagain\n");
    });
}

TEST(EngineContainers, HonoursUserWorkingDirectoryEnvironmentAndHostname) {
    with_engine([](Engine& engine) {
        CreateRequest request = shell_request("id -u; id -g; pwd; echo $A $FROM_IMAGE; hostname");
        request.config.user = "user";
        request.config.working_dir = "/tmp";
        request.config.env = {"A=b"};
        request.config.hostname = "box";
        request.name = "configured";
        EXPECT_EQ(run_to_end(engine, std::move(request)), 0);
        EXPECT_EQ(log_text(engine, "configured"), "1000\n1001\n/tmp\nb yes\nbox\n");
    });
}

TEST(EngineContainers, VolumesGetTheImagesFilesAndOutliveContainers) {
    with_engine([](Engine& engine) {
        CreateRequest first = shell_request("cat /data/seed; echo mine > /data/new", "first");
        first.host_config.binds = {"store:/data"};
        EXPECT_EQ(run_to_end(engine, std::move(first)), 0);
        EXPECT_EQ(log_text(engine, "first"), "from the image\n");
        EXPECT_EQ(engine.volumes().remove("store", false).error().kind(), ErrorKind::Conflict);
        ASSERT_TRUE(engine.containers().remove("first", {.volumes = true}).ok());
        CreateRequest second = shell_request("cat /mnt/new; touch /mnt/x", "second");
        second.host_config.binds = {"store:/mnt:ro"};
        EXPECT_NE(run_to_end(engine, std::move(second)), 0);
        EXPECT_NE(log_text(engine, "second").find("mine\n"), std::string::npos);
    });
}

TEST(EngineContainers, PausedOnesStandStill) {
    with_engine([](Engine& engine) {
        Containers& containers = engine.containers();
        const std::string id = containers.create(shell_request("sleep 1000")).value().id;
        EXPECT_EQ(containers.pause(id).error().kind(), ErrorKind::Conflict);
        ASSERT_TRUE(containers.start(id).ok());
        ASSERT_TRUE(containers.pause(id).ok());
        EXPECT_EQ(containers.inspect(id).value().state.status, ContainerStatus::Paused);
        EXPECT_EQ(containers.pause(id).error().message(), "Container " + id + " is already paused");
        ASSERT_TRUE(containers.unpause(id).ok());
        ASSERT_TRUE(containers.pause(id).ok());
        ASSERT_TRUE(containers.stop(id, 0).ok());
    });
}

TEST(EngineExecs, RunInTheContainerAndTellTheirExitCode) {
    with_engine([](Engine& engine) {
        const std::string id = engine.containers().create(shell_request("sleep 1000")).value().id;
        ASSERT_TRUE(engine.containers().start(id).ok());
        ExecConfig config{.attach_stdout = true, .attach_stderr = true};
        config.cmd = {"sh", "-c", "hostname; exit 4"};
        const std::string exec = engine.execs().create(id, config).value();
        Client client;
        ASSERT_TRUE(
            engine.execs()
                .start(exec, {}, ExecStream{.connection = std::move(client.theirs), .leftover = {}})
                .ok());
        EXPECT_EQ(client.read_frames(), id.substr(0, 12) + "\n");
        EXPECT_EQ(engine.execs().inspect(exec).value().exit_code, 4);

        config.cmd = {"no-such"};
        const std::string broken = engine.execs().create(id, config).value();
        Client other;
        auto started = engine.execs().start(
            broken, {}, ExecStream{.connection = std::move(other.theirs), .leftover = {}});
        EXPECT_FALSE(started.ok());
        EXPECT_NE(other.read_frames().find("executable file not found"), std::string::npos);
        EXPECT_EQ(engine.execs().inspect(broken).value().exit_code, 127);
        ASSERT_TRUE(engine.containers().remove(id, {.force = true}).ok());
    });
}

TEST(EngineLogs, FollowEndsWithTheContainer) {
    with_engine([](Engine& engine) {
        const std::string id =
            engine.containers().create(shell_request("echo a; read x; echo b")).value().id;
        std::mutex mutex;
        std::condition_variable changed;
        std::string text;
        bool ended = false;
        ASSERT_TRUE(engine.containers().start(id).ok());
        auto following = engine.containers().logs(
            id,
            {.standard_output = true, .follow = true},
            {.record =
                 [&](const LogRecord& record) {
                     const std::lock_guard lock(mutex);
                     text += record.bytes;
                     return true;
                 },
             .end =
                 [&] {
                     const std::lock_guard lock(mutex);
                     ended = true;
                     changed.notify_all();
                 }});
        ASSERT_TRUE(following.ok());
        std::unique_lock lock(mutex);
        EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return ended; }));
        EXPECT_EQ(text, "a\nb\n");
    });
}

TEST(EngineNetworks, BridgeGivesAnAddressAndPublishesPorts) {
    with_engine([](Engine& engine) {
        CreateRequest request = shell_request("ip addr show eth0 | grep 'inet '", "net");
        request.host_config.network_mode = "bridge";
        request.config.exposed_ports = {{"80/tcp", {}}};
        request.host_config.publish_all_ports = true;
        EXPECT_EQ(run_to_end(engine, std::move(request)), 0);
        EXPECT_NE(log_text(engine, "net").find("inet 172."), std::string::npos);
        CreateRequest idle = shell_request("sleep 1000", "idle");
        idle.host_config.network_mode = "bridge";
        idle.host_config.port_bindings = {{"80/tcp", {PortBinding{"", "18080"}}}};
        const std::string id = engine.containers().create(idle).value().id;
        ASSERT_TRUE(engine.containers().start(id).ok());
        auto shown = engine.containers().inspect(id).value();
        EXPECT_EQ(shown.network_settings.ports.at("80/tcp").at(0).host_port, "18080");
        EXPECT_EQ(engine.networks().inspect("bridge").value().containers.size(), 1U);
        idle.name = "second";
        engine.containers().create(idle).value();
        auto clash = engine.containers().start("second");
        ASSERT_FALSE(clash.ok());
        EXPECT_NE(clash.error().message().find("port is already allocated"), std::string::npos)
            << clash.error().message();
        ASSERT_TRUE(engine.containers().remove(id, {.force = true}).ok());
        EXPECT_TRUE(engine.containers().start("second").ok());
        engine.shutdown();
    });
}

} // namespace
} // namespace berth::engine
