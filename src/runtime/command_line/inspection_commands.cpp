// SPDX-License-Identifier: Apache-2.0
// state, list, ps, pause, resume, update, spec, features.
#include "base/file.h"
#include "codec/json.h"
#include "kernel/capabilities.h"
#include "kernel/kernel_features.h"
#include "runtime/command_line/commands.h"
#include "runtime/command_line/flags.h"
#include "runtime/container.h"
#include "runtime/defaults.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>

#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

Result<void> print(std::string_view text) {
    return write_all(FdRef::unowned(STDOUT_FILENO), text);
}

// runc's own fields beside the specification's.
json::Object listed(const State& state) {
    json::Object object = state_object(state).as_object();
    object["rootfs"] = state.rootfs;
    object["created"] = format_rfc3339(state.created);
    object["owner"] = "";
    return object;
}

Result<Container> load_named(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    return Container::load(globals.root, id);
}

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(width, text.size() + 1), ' ');
    return text;
}

std::string list_table(const std::vector<State>& states) {
    auto line = [](const std::string& id,
                   const std::string& pid,
                   const std::string& status,
                   const std::string& bundle,
                   const std::string& created) {
        return padded(id, 20) + padded(pid, 12) + padded(status, 12) + padded(bundle, 40) +
               padded(created, 32) + "OWNER\n";
    };
    std::string text = line("ID", "PID", "STATUS", "BUNDLE", "CREATED");
    for (const State& state : states) {
        std::string row = line(
            state.id,
            std::to_string(state.pid),
            std::string(to_string(state.status)),
            state.bundle,
            format_rfc3339(state.created));
        text += row.substr(0, row.rfind("OWNER")) + "root\n";
    }
    return text;
}

json::Array array_of(const std::vector<std::string>& names) {
    json::Array array;
    for (const std::string& name : names) {
        array.emplace_back(name);
    }
    return array;
}

} // namespace

Result<int> state(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, {}));
    Container container = TRY(load_named(globals, flags));
    State now = TRY(container.state());
    TRY(print(json::serialize_indented(listed(now), "  ") + "\n"));
    return 0;
}

Result<int> list(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(
        arguments, {{"format", "f", FlagKind::Value}, {"quiet", "q", FlagKind::Switch}}));
    std::vector<State> states;
    for (const std::string& id : TRY(Container::list(globals.root))) {
        Result<Container> container = Container::load(globals.root, id);
        if (container.ok()) { // else it went meanwhile
            states.push_back(TRY(container->state()));
        }
    }
    std::string text;
    if (flags.is_set("quiet")) {
        for (const State& state : states) {
            text += state.id + "\n";
        }
    } else if (flags.value("format") == "json") {
        json::Array array;
        for (const State& state : states) {
            array.emplace_back(listed(state));
        }
        text = json::serialize(json::Value(std::move(array)));
    } else {
        text = list_table(states);
    }
    TRY(print(text));
    return 0;
}

Result<int> processes(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, {{"format", "f", FlagKind::Value}}));
    if (flags.value("format") != "json") {
        return not_implemented("ps without --format json is not implemented");
    }
    Container container = TRY(load_named(globals, flags));
    json::Array array;
    for (pid_t pid : TRY(container.processes())) {
        array.emplace_back(pid);
    }
    TRY(print(json::serialize(json::Value(std::move(array)))));
    return 0;
}

Result<int> pause(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, {}));
    Container container = TRY(load_named(globals, flags));
    TRY(container.pause());
    return 0;
}

Result<int> resume(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, {}));
    Container container = TRY(load_named(globals, flags));
    TRY(container.resume());
    return 0;
}

Result<int> update(const Globals& globals, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(arguments, {{"resources", "r", FlagKind::Value}}));
    const std::string file = flags.value("resources");
    if (file.empty()) {
        return not_implemented("update without --resources FILE is not implemented");
    }
    constexpr std::size_t limit = 1U << 20;
    std::string text = file == "-" ? TRY(read_all(FdRef::unowned(STDIN_FILENO), limit))
                                   : TRY(read_file(file, limit));
    oci::Resources resources = TRY(oci::parse_resources_text(text));
    Container container = TRY(load_named(globals, flags));
    TRY(container.update(resources));
    return 0;
}

Result<int> spec(const Globals&, const Arguments& arguments) {
    Flags flags = TRY(Flags::parse(
        arguments, {{"bundle", "b", FlagKind::Value}, {"rootless", "", FlagKind::Switch}}));
    if (flags.is_set("rootless")) {
        return not_implemented("spec --rootless is not implemented");
    }
    oci::RuntimeConfig config =
        TRY(default_config({.root_path = "rootfs", .root_readonly = true, .hostname = "berth"}));
    config.process->terminal = true;
    config.process->args = {"sh"};
    config.process->env = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
    config.process->no_new_privileges = true;
    const std::string folder = flags.value("bundle").empty() ? "." : flags.value("bundle");
    const std::string path = folder + "/config.json";
    if (exists(path)) {
        return conflict("file " + path + " exists. Remove it first");
    }
    TRY(replace_file(
        path, json::serialize_indented(json::encode(config), "\t") + "\n", 0666, Sync::No));
    return 0;
}

// https://github.com/opencontainers/runtime-spec/blob/main/features.md
Result<int> features(const Globals&, const Arguments&) {
    json::Object linux_features{
        {"namespaces", array_of({"cgroup", "ipc", "mount", "network", "pid", "user", "uts"})},
        {"capabilities", array_of(all_capabilities())},
        {"cgroup",
         json::Object{
             {"v1", true},
             {"v2", true},
             {"systemd", false},
             {"systemdUser", false},
             {"rdma", false}}},
        {"seccomp",
         json::Object{
             {"enabled", kernel::kernel_features().seccomp_filter},
             {"actions",
              array_of(
                  {"SCMP_ACT_ALLOW",
                   "SCMP_ACT_ERRNO",
                   "SCMP_ACT_KILL",
                   "SCMP_ACT_KILL_PROCESS",
                   "SCMP_ACT_KILL_THREAD",
                   "SCMP_ACT_LOG",
                   "SCMP_ACT_TRACE",
                   "SCMP_ACT_TRAP"})},
             {"operators",
              array_of(
                  {"SCMP_CMP_EQ",
                   "SCMP_CMP_GE",
                   "SCMP_CMP_GT",
                   "SCMP_CMP_LE",
                   "SCMP_CMP_LT",
                   "SCMP_CMP_MASKED_EQ",
                   "SCMP_CMP_NE"})}}},
        {"apparmor", json::Object{{"enabled", true}}},
        {"selinux", json::Object{{"enabled", false}}},
        {"intelRdt", json::Object{{"enabled", false}}},
        {"mountExtensions", json::Object{{"idmap", json::Object{{"enabled", false}}}}}};
    json::Object object{
        {"ociVersionMin", "1.0.0"},
        {"ociVersionMax", "1.2.0"},
        {"hooks",
         array_of(
             {"prestart",
              "createRuntime",
              "createContainer",
              "startContainer",
              "poststart",
              "poststop"})},
        {"mountOptions",
         array_of({"bind",        "rbind",      "ro",         "rw",          "nosuid",  "suid",
                   "nodev",       "dev",        "noexec",     "exec",        "noatime", "relatime",
                   "strictatime", "nodiratime", "private",    "rprivate",    "shared",  "rshared",
                   "slave",       "rslave",     "unbindable", "runbindable", "rro",     "rnosuid",
                   "rnodev",      "rnoexec",    "nosymfollow"})},
        {"linux", std::move(linux_features)}};
    TRY(print(json::serialize_indented(json::Value(std::move(object)), "    ") + "\n"));
    return 0;
}

} // namespace berth::runtime::command_line
