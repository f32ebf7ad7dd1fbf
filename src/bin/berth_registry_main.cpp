// SPDX-License-Identifier: Apache-2.0
// berth-registry: an OCI registry server over a directory.
#include "base/file.h"
#include "base/log.h"
#include "base/log_spdlog.h"
#include "http/server.h"
#include "registry/server.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view usage =
    "Usage: berth-registry serve [--listen ADDRESS]... --root DIRECTORY\n"
    "                            [--address-file FILE] [--debug]\n"
    "\n"
    "Serves OCI distribution (pull, push, delete, tags, referrers) from a directory.\n"
    "\n"
    "  --listen ADDRESS     host:port or unix://PATH (default 127.0.0.1:5000); may be repeated\n"
    "  --root DIRECTORY     where repositories are kept; made when absent\n"
    "  --address-file FILE  where to write the address that was bound: --listen may have port 0\n"
    "  --debug              log every failed request\n";

struct Options {
    std::vector<std::string> listen;
    std::string root;
    std::string address_file;
    bool debug = false;
    bool help = false;
};

// "--name value" and "--name=value".
berth::Result<Options> parse_options(const std::vector<std::string>& arguments) {
    Options options;
    bool serve = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& argument = arguments[i];
        std::size_t equals = argument.find('=');
        std::string name = argument.substr(0, equals);
        if (argument == "serve" && !serve) {
            serve = true;
        } else if (argument == "--debug") {
            options.debug = true;
        } else if (argument == "--help" || argument == "-h") {
            options.help = true;
        } else if (name == "--listen" || name == "--root" || name == "--address-file") {
            if (equals == std::string::npos && i + 1 == arguments.size()) {
                return berth::invalid_argument("flag needs an argument: " + name);
            }
            std::string value =
                equals == std::string::npos ? arguments[++i] : argument.substr(equals + 1);
            if (name == "--listen") {
                options.listen.push_back(std::move(value));
            } else if (name == "--root") {
                options.root = std::move(value);
            } else {
                options.address_file = std::move(value);
            }
        } else {
            return berth::invalid_argument("unknown argument: " + argument);
        }
    }
    if (options.help) {
        return options;
    }
    if (!serve || options.root.empty()) {
        return berth::invalid_argument("the command \"serve\" and --root are required");
    }
    if (options.listen.empty()) {
        options.listen.push_back("127.0.0.1:5000");
    }
    return options;
}

// The address that clients can use.
berth::Result<std::string> listen(berth::http::Server& server, const std::string& address) {
    constexpr std::string_view unix_scheme = "unix://";
    std::string bound = address;
    if (address.starts_with(unix_scheme)) {
        TRY(server.listen_unix(address.substr(unix_scheme.size()), 0660));
    } else {
        std::uint16_t port = TRY(server.listen_tcp(address));
        bound = address.substr(0, address.rfind(':') + 1) + std::to_string(port);
    }
    berth::log::info("listening", {{"address", bound}});
    return bound;
}

berth::Result<void> serve(const Options& options) {
    // Blocked before any thread starts, so that only sigwait() below takes them.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    auto registry = TRY(berth::registry::Server::open(options.root));
    berth::http::ServerOptions server_options;
    server_options.handler = registry->handler();
    server_options.error_body = berth::registry::Server::error_body;
    auto server = TRY(berth::http::Server::create(std::move(server_options)));
    std::string bound;
    for (const std::string& address : options.listen) {
        bound += TRY(listen(*server, address)) + "\n";
    }
    TRY(server->start());
    if (!options.address_file.empty()) {
        TRY(berth::replace_file(options.address_file, bound, 0644, berth::Sync::No));
    }
    int signal = 0;
    sigwait(&signals, &signal);
    berth::log::info("stopping", {{"signal", signal}});
    server->stop(std::chrono::seconds(5));
    return berth::ok();
}

} // namespace

int main(int argc, char** argv) {
    auto options = parse_options(std::vector<std::string>(argv + 1, argv + argc));
    if (!options.ok()) {
        std::fprintf(
            stderr, "berth-registry: %s\n\n%s", options.error().message().c_str(), usage.data());
        return 2;
    }
    if (options->help) {
        std::fputs(usage.data(), stdout);
        return 0;
    }
    berth::log::use_spdlog();
    if (options->debug) {
        berth::log::set_level(berth::log::Level::Debug);
    }
    if (auto served = serve(*options); !served.ok()) {
        berth::log::error("cannot serve", {{"error", served.error().message()}});
        return 1;
    }
    return 0;
}
