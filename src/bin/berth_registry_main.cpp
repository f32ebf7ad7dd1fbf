// SPDX-License-Identifier: Apache-2.0
// berth-registry: an OCI registry server over a directory.
#include "base/file.h"
#include "base/log.h"
#include "base/log_spdlog.h"
#include "http/server.h"
#include "registry/server.h"
#include "registry/server/command_line.h"
#include "registry/server/control.h"

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using berth::Result;
using berth::registry::Options;
using berth::registry::RegistryArguments;
using berth::registry::RegistryCommand;
using HttpServer = std::unique_ptr<berth::http::Server>;

using TlsContext = std::shared_ptr<berth::http::TlsContext>;

// nullptr where the options say nothing of TLS.
Result<TlsContext> make_tls(const berth::registry::TlsFiles& files) {
    using berth::http::TlsOptions;
    if (files.certificate.empty()) {
        return TlsContext();
    }
    return berth::http::TlsContext::create(
        {.certificate_file = files.certificate,
         .key_file = files.key,
         .client_ca_file = files.client_ca,
         .minimum = files.minimum == "1.3" ? TlsOptions::Minimum::Version13
                                           : TlsOptions::Minimum::Version12});
}

// The address that clients can use.
Result<std::string>
listen(berth::http::Server& server, const std::string& address, const TlsContext& tls = nullptr) {
    constexpr std::string_view unix_scheme = "unix://";
    std::string bound = address;
    if (address.starts_with(unix_scheme)) {
        TRY(server.listen_unix(address.substr(unix_scheme.size()), 0660));
    } else {
        std::uint16_t port = TRY(server.listen_tcp(address, tls));
        bound = address.substr(0, address.rfind(':') + 1) + std::to_string(port);
    }
    berth::log::info("listening", {{"address", bound}});
    return bound;
}

Result<HttpServer> make_public_server(berth::registry::Server& registry, const Options& options) {
    berth::http::ServerOptions server;
    server.handler = registry.handler();
    server.error_body = berth::registry::Server::error_body;
    server.worker_threads = options.limits.requests;
    server.limits.connections = options.limits.connections;
    server.limits.head_time = options.limits.head_time.value;
    server.limits.idle_time = options.limits.idle_time.value;
    server.limits.transfer_time = options.limits.transfer_time.value;
    server.default_headers = {{"X-Content-Type-Options", "nosniff"}};
    return berth::http::Server::create(std::move(server));
}

// For those who run the registry: few requests, each a short one.
Result<HttpServer> make_small_server(berth::http::Handler handler) {
    berth::http::ServerOptions server;
    server.handler = std::move(handler);
    server.worker_threads = 2;
    return berth::http::Server::create(std::move(server));
}

Result<void> serve(const RegistryArguments& arguments) {
    // Blocked before any thread starts, so that only sigwait() below takes them.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    const Options& options = arguments.options;
    auto registry = TRY(berth::registry::Server::open(options));
    HttpServer control = TRY(make_small_server(registry->control_handler()));
    auto reachable = control->listen_unix(berth::registry::control_path(options.root), 0600);
    if (!reachable.ok()) { // a long path: collections by itself go on
        berth::log::warn("no control socket, ignoring", {{"error", reachable.error().message()}});
    }
    TRY(control->start());
    HttpServer metrics = TRY(make_small_server(registry->metrics_handler()));
    std::string bound_metrics;
    if (!options.metrics.empty()) {
        bound_metrics = "metrics " + TRY(listen(*metrics, options.metrics)) + "\n";
        TRY(metrics->start());
    }
    TlsContext tls = TRY(make_tls(options.tls));
    HttpServer server = TRY(make_public_server(*registry, options));
    std::string bound;
    for (const std::string& address : options.listen) {
        bound += TRY(listen(*server, address, tls)) + "\n";
    }
    TRY(server->start());
    if (!arguments.address_file.empty()) {
        TRY(berth::replace_file(
            arguments.address_file, bound + bound_metrics, 0644, berth::Sync::No));
    }
    int signal = 0;
    sigwait(&signals, &signal);
    berth::log::info("stopping", {{"signal", signal}});
    server->stop(options.limits.stop_time.value);
    return berth::ok();
}

// The exit status.
Result<int> run(const RegistryArguments& arguments) {
    using berth::registry::Server;
    switch (arguments.command) {
    case RegistryCommand::Help:
        std::fputs(berth::registry::registry_usage.data(), stdout);
        return 0;
    case RegistryCommand::Serve:
        TRY_CONTEXT(serve(arguments), "cannot serve");
        return 0;
    case RegistryCommand::Collect: {
        std::string report = TRY_CONTEXT(Server::collect_root(arguments.options), "cannot collect");
        std::printf("%s\n", report.c_str());
        return 0;
    }
    case RegistryCommand::Check: {
        auto outcome =
            TRY_CONTEXT(Server::check_root(arguments.options, arguments.repair), "cannot check");
        std::printf("%s\n", outcome.report.c_str());
        return outcome.clean ? 0 : 1;
    }
    }
    return 2;
}

} // namespace

int main(int argc, char** argv) {
    auto arguments =
        berth::registry::parse_registry_arguments(std::vector<std::string>(argv + 1, argv + argc));
    if (!arguments.ok()) {
        std::fprintf(
            stderr,
            "berth-registry: %s\n\n%s",
            arguments.error().message().c_str(),
            berth::registry::registry_usage.data());
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN); // of an access log whose reader went away
    berth::log::use_spdlog();
    if (arguments->debug) {
        berth::log::set_level(berth::log::Level::Debug);
    }
    auto status = run(*arguments);
    if (!status.ok()) {
        berth::log::error("the command failed", {{"error", status.error().message()}});
        return 1;
    }
    return *status;
}
