// SPDX-License-Identifier: Apache-2.0
// "--name value" and "--name=value".
#include "registry/server/command_line.h"

#include <algorithm>
#include <functional>
#include <map>

namespace berth::registry {

const std::string_view registry_usage =
    "Usage: berth-registry serve --root DIRECTORY [--listen ADDRESS]... [OPTION]...\n"
    "       berth-registry gc --root DIRECTORY [OPTION]...\n"
    "       berth-registry check --root DIRECTORY [--repair] [OPTION]...\n"
    "\n"
    "serve: an OCI registry over a directory. gc: takes the garbage of one. check: reads all of "
    "one "
    "and\n"
    "tells what is damaged or missing. Both also while it is served.\n"
    "\n"
    "  --config FILE              JSON with all that can be set; flags count more\n"
    "  --root DIRECTORY           where repositories are kept; made when absent\n"
    "  --listen ADDRESS           host:port or unix://PATH (127.0.0.1:5000); may be repeated\n"
    "  --address-file FILE        where to write the addresses that were bound\n"
    "  --metrics ADDRESS          where /metrics and /health are served\n"
    "  --tls-certificate FILE     PEM, with its chain\n"
    "  --tls-key FILE             PEM\n"
    "  --tls-client-ca FILE       clients must have a certificate of these\n"
    "  --htpasswd FILE            users and their bcrypt hashes\n"
    "  --token-realm URL          the token server\n"
    "  --token-service NAME       what tokens must be for\n"
    "  --token-issuer NAME        whom tokens must be from\n"
    "  --token-certificates FILE  PEM, of the keys that sign tokens\n"
    "  --upstream REGISTRY        be a cache of that registry\n"
    "  --quota BYTES              of all together (10g)\n"
    "  --repository-quota BYTES   of each repository\n"
    "  --read-only                take no changes\n"
    "  --no-deletion              delete nothing that clients ask to delete\n"
    "  --gc-interval DURATION     between collections (6h); 0s: none by itself\n"
    "  --gc-grace DURATION        what was used since then is not garbage (24h)\n"
    "  --gc-untagged              manifests that no tag leads to are garbage too\n"
    "  --repair                   check: repair what can be repaired\n"
    "  --access-log FILE          one line for each request; - is standard output\n"
    "  --debug                    log every failed request\n";

namespace {

struct Flag {
    std::string_view name;
    bool has_value;
    std::function<Result<void>(RegistryArguments&, const std::string&)> set;
};

template <class T>
Flag text(std::string_view name, T member) {
    return {name, true, [member](RegistryArguments& arguments, const std::string& value) {
                member(arguments) = value;
                return ok();
            }};
}

template <class T>
Flag on(std::string_view name, T member, bool value = true) {
    return {name, false, [member, value](RegistryArguments& arguments, const std::string&) {
                member(arguments) = value;
                return ok();
            }};
}

// Of a type with parse().
template <class T>
Flag parsed(std::string_view name, T member) {
    return {
        name,
        true,
        [member, name](RegistryArguments& arguments, const std::string& value) -> Result<void> {
            auto& target = member(arguments);
            target = TRY_CONTEXT(std::decay_t<decltype(target)>::parse(value), name);
            return ok();
        }};
}

const std::vector<Flag>& flags() {
    using A = RegistryArguments;
    static const std::vector<Flag> table{
        {"--config", true, [](A& a, const std::string& file) { return a.options.read(file); }},
        text(
            "--root", [](A & a) -> auto& { return a.options.root; }),
        {"--listen",
         true,
         [](A& a, const std::string& value) {
             a.options.listen.push_back(value);
             return ok();
         }},
        text(
            "--address-file", [](A & a) -> auto& { return a.address_file; }),
        text(
            "--metrics", [](A & a) -> auto& { return a.options.metrics; }),
        text(
            "--tls-certificate", [](A & a) -> auto& { return a.options.tls.certificate; }),
        text(
            "--tls-key", [](A & a) -> auto& { return a.options.tls.key; }),
        text(
            "--tls-client-ca", [](A & a) -> auto& { return a.options.tls.client_ca; }),
        text(
            "--htpasswd", [](A & a) -> auto& { return a.options.htpasswd.file; }),
        text(
            "--token-realm", [](A & a) -> auto& { return a.options.token.realm; }),
        text(
            "--token-service", [](A & a) -> auto& { return a.options.token.service; }),
        text(
            "--token-issuer", [](A & a) -> auto& { return a.options.token.issuer; }),
        text(
            "--token-certificates",
            [](A & a) -> auto& { return a.options.token.root_certificates; }),
        text(
            "--upstream", [](A & a) -> auto& { return a.options.upstream.registry; }),
        parsed(
            "--quota", [](A & a) -> auto& { return a.options.quota.total; }),
        parsed(
            "--repository-quota", [](A & a) -> auto& { return a.options.quota.repository; }),
        on(
            "--read-only", [](A & a) -> auto& { return a.options.read_only; }),
        on(
            "--no-deletion", [](A & a) -> auto& { return a.options.deletion; }, false),
        parsed(
            "--gc-interval", [](A & a) -> auto& { return a.options.collection.interval; }),
        parsed(
            "--gc-grace", [](A & a) -> auto& { return a.options.collection.grace; }),
        on(
            "--gc-untagged", [](A & a) -> auto& { return a.options.collection.untagged; }),
        on(
            "--repair", [](A & a) -> auto& { return a.repair; }),
        text(
            "--access-log", [](A & a) -> auto& { return a.options.access_log; }),
        on(
            "--debug", [](A & a) -> auto& { return a.debug; }),
    };
    return table;
}

const std::map<std::string_view, RegistryCommand> commands{
    {"serve", RegistryCommand::Serve},
    {"gc", RegistryCommand::Collect},
    {"check", RegistryCommand::Check}};

struct Given {
    const Flag* flag;
    std::string value;
};

} // namespace

Result<RegistryArguments> parse_registry_arguments(const std::vector<std::string>& arguments) {
    RegistryArguments result;
    std::vector<Given> given;
    bool has_command = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& argument = arguments[i];
        if (argument == "--help" || argument == "-h") {
            return RegistryArguments();
        }
        if (auto command = commands.find(argument); !has_command && command != commands.end()) {
            has_command = true;
            result.command = command->second;
            continue;
        }
        std::size_t equals = argument.find('=');
        std::string name = argument.substr(0, equals);
        auto found = std::ranges::find(flags(), name, &Flag::name);
        if (found == flags().end() || (equals != std::string::npos && !found->has_value)) {
            return invalid_argument("unknown argument: " + argument);
        }
        if (found->has_value && equals == std::string::npos && i + 1 == arguments.size()) {
            return invalid_argument("flag needs an argument: " + name);
        }
        given.push_back({&*found, {}});
        if (found->has_value) {
            given.back().value =
                equals == std::string::npos ? arguments[++i] : argument.substr(equals + 1);
        }
    }
    // Not of std::ranges: clang 14 cannot read what that returns.
    std::stable_partition(given.begin(), given.end(), [](const Given& entry) {
        return entry.flag->name == "--config";
    });
    for (const Given& entry : given) {
        TRY(entry.flag->set(result, entry.value));
    }
    if (!has_command) {
        return invalid_argument("a command is needed: serve, gc or check");
    }
    if (result.repair && result.command != RegistryCommand::Check) {
        return invalid_argument("--repair is for check");
    }
    if (result.options.root.empty()) {
        return invalid_argument("--root is needed");
    }
    TRY(result.options.check());
    if (result.options.listen.empty()) {
        result.options.listen.push_back("127.0.0.1:5000");
    }
    return result;
}

} // namespace berth::registry
