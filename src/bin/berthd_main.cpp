// SPDX-License-Identifier: Apache-2.0
// berthd: the engine behind the Docker Engine API. Under the name dockerd it takes dockerd's paths.
#include "api/authorization.h"
#include "api/metrics.h"
#include "api/router.h"
#include "base/build_commit.h"
#include "base/log.h"
#include "base/log_spdlog.h"
#include "bin/berthd_build_cache.h"
#include "bin/berthd_build_labels.h"
#include "bin/berthd_listeners.h"
#include "bin/berthd_metrics.h"
#include "bin/berthd_process.h"
#include "bin/berthd_reload.h"
#include "build/builder.h"
#include "engine/apparmor.h"
#include "engine/cgroup_place.h"
#include "engine/collector.h"
#include "engine/container_files.h"
#include "engine/engine.h"
#include "front/front.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

using berth::Result;
using berth::bin::Invocation;
using berth::engine::DaemonAction;
using berth::engine::DaemonConfig;
using berth::engine::Engine;

constexpr const char* version = BERTH_VERSION;
// Most of them wait: for a container's end, for a slow client's next bytes.
constexpr std::size_t api_threads = 512;

Result<std::unique_ptr<berth::build::Builder>> make_builder(Engine& engine) {
    const DaemonConfig& config = engine.config();
    berth::build::BuilderOptions options{.store = engine.store(), .loop = engine.loop()};
    options.find_network = [&engine](const std::string& name) { return engine.find_bridge(name); };
    options.isolated_namespace = [&engine] { return engine.isolated_namespace(); };
    options.data_root = config.data_root;
    options.exec_root = config.exec_root;
    options.monitor_program = engine.options().program_directory + "/berth-monitor";
    options.cgroup_parent = berth::engine::build_cgroup_parent(config);
    options.dns = config.dns;
    options.dns_search = config.dns_search;
    options.dns_options = config.dns_options;
    options.host_gateways = [&engine] {
        return berth::engine::host_gateways(engine.config(), engine.default_bridge());
    };
    options.labeling = berth::bin::step_labeling(engine.selinux());
    options.apparmor_profile = [] { return berth::engine::apparmor_profile({}, {}); };
    options.cache_policy = berth::bin::build_cache_policy(config);
    options.ended = [&engine] { engine.collector().request(); };
    return berth::build::Builder::create(std::move(options));
}

Result<void>
serve(const DaemonConfig& config, const sigset_t& signals, const Invocation& invocation) {
    TRY(berth::bin::write_pid_file(config.pidfile));
    for (const std::string& flag : config.ignored) {
        berth::log::info("option has no effect here, ignoring", {{"option", flag}});
    }
    std::unique_ptr<Engine> engine = TRY(Engine::open(
        {.config = config,
         .program_directory = berth::bin::program_directory(),
         .version = version}));
    auto builder = TRY(make_builder(*engine));
    const berth::api::Services services{.engine = engine.get(), .builder = builder.get()};
    berth::api::Authorization authorization;
    authorization.use(TRY(authorization.find(config.authorization_plugins)));
    berth::http::ServerOptions options;
    options.handler = authorization.guard(berth::api::make_handler(services));
    berth::api::Metrics metrics;
    options.answered = [&metrics](const auto& answered) { metrics.count(answered); };
    options.worker_threads = api_threads;
    options.error_body = berth::api::server_error;
    options.default_headers = berth::api::default_headers(version, config.experimental);
    const auto front = std::make_shared<berth::front::Front>(
        engine->loop(), engine->options().program_directory + "/berth-front");
    options.relays = front;
    auto server = TRY(berth::http::Server::create(std::move(options)));
    TRY(berth::bin::add_listeners(*server, config, front));
    TRY(server->start());
    auto metrics_server = TRY(berth::bin::serve_metrics(config, metrics, *engine));
    engine->collector().add_part("build cache", [&builder](std::uint64_t bound) {
        return berth::bin::collect_build_cache(*builder, bound);
    });
    engine->collector().start();
    berth::log::info("Daemon has completed initialization", {{"version", version}});
    berth::bin::notify_system("READY=1");
    int signal = 0;
    while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) {
        berth::bin::reload(invocation, *engine, authorization);
    }
    berth::log::info("Processing signal", {{"signal", signal}});
    berth::bin::notify_system("STOPPING=1");
    metrics_server.reset();
    // Requests that are under way may wait for containers, so both end together.
    engine->shutdown();
    server->stop(std::chrono::seconds(1));
    unlink(config.pidfile.c_str());
    return berth::ok();
}

int run(const DaemonConfig& config, const Invocation& invocation) {
    berth::log::use_spdlog();
    berth::bin::set_log_level(config);
    berth::bin::set_proxies(config);
    const sigset_t signals = berth::bin::prepare_process();
    if (auto served = serve(config, signals, invocation); !served.ok()) {
        std::fprintf(stderr, "failed to start daemon: %s\n", served.error().message().c_str());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    std::string program = argc > 0 ? argv[0] : "berthd";
    program = program.substr(program.rfind('/') + 1) == "dockerd" ? "dockerd" : "berthd";
    auto parsed = berth::engine::parse_daemon_flags(program, arguments);
    if (!parsed.ok()) {
        std::fprintf(stderr, "%s\n", parsed.error().message().c_str());
        return EXIT_FAILURE; // dockerd's too
    }
    switch (parsed->action) {
    case DaemonAction::ShowHelp:
        std::fputs(berth::engine::daemon_help(program).c_str(), stdout);
        return EXIT_SUCCESS;
    case DaemonAction::ShowVersion:
        std::printf(
            "Berth version %s, build %s\n", version, std::string(berth::build_commit()).c_str());
        return EXIT_SUCCESS;
    case DaemonAction::Validate:
        std::puts("configuration OK");
        return EXIT_SUCCESS;
    case DaemonAction::Run:
        return run(parsed->config, {.program = program, .arguments = arguments});
    }
    return EXIT_FAILURE;
}
