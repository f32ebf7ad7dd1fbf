// SPDX-License-Identifier: Apache-2.0
// state, list, ps.
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "codec/json.h"
#include "kernel/process.h"
#include "runtime/command_line/commands.h"
#include "runtime/command_line/table_text.h"
#include "runtime/container.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <cerrno>
#include <map>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

Result<void> print_all(std::string_view text) {
    return write_all(FdRef::unowned(STDOUT_FILENO), text);
}

struct Listed {
    State state;
    std::string owner;
};

// runc's members, in its order.
json::Object object_of(const Listed& listed) {
    const State& state = listed.state;
    json::Object object;
    object["ociVersion"] = state.oci_version;
    object["id"] = state.id;
    object["pid"] = state.pid;
    object["status"] = to_string(state.status);
    object["bundle"] = state.bundle;
    object["rootfs"] = state.rootfs;
    object["created"] = format_rfc3339(state.created);
    if (!state.annotations.empty()) {
        json::Object annotations;
        for (const auto& [key, value] : state.annotations) {
            annotations[key] = value;
        }
        object["annotations"] = std::move(annotations);
    }
    object["owner"] = listed.owner;
    return object;
}

std::string user_name(uid_t uid) {
    const std::string number = std::to_string(uid);
    std::string passwd = read_file("/etc/passwd").value_or("");
    for (std::string_view line : split(passwd, '\n')) {
        std::vector<std::string_view> fields = split(line, ':');
        if (fields.size() > 2 && fields[2] == number) {
            return std::string(fields[0]);
        }
    }
    return "#" + number;
}

Result<std::vector<Listed>> all_containers(const std::string& root) {
    std::vector<Listed> found;
    std::map<uid_t, std::string> names;
    for (const std::string& id : TRY(Container::list(root))) {
        struct stat status {};

        Result<Container> container = Container::load(root, id);
        if (!container.ok()) {
            if (container.error().kind() != ErrorKind::NotFound) { // else it went meanwhile
                log::error("load container", {{"id", id}, {"cause", container.error().message()}});
            }
            continue;
        }
        if (::stat((root + "/" + id).c_str(), &status) < 0) {
            continue;
        }
        auto [name, is_new] = names.emplace(status.st_uid, "");
        if (is_new) {
            name->second = user_name(status.st_uid);
        }
        found.push_back({TRY(container->state()), name->second});
    }
    return found;
}

std::string list_table(const std::vector<Listed>& containers) {
    std::vector<std::vector<std::string>> rows{
        {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
    for (const Listed& listed : containers) {
        const State& state = listed.state;
        rows.push_back(
            {state.id,
             std::to_string(state.pid),
             std::string(to_string(state.status)),
             state.bundle,
             format_rfc3339(state.created),
             listed.owner});
    }
    return table_text(rows);
}

// The output of ps(1), standard error included.
Result<std::string> output_of_ps(const std::vector<std::string>& options) {
    UniqueFd output(::memfd_create("ps", MFD_CLOEXEC));
    if (!output) {
        return errno_error("memfd_create");
    }
    kernel::SpawnOptions spawn;
    spawn.arguments = {"ps"};
    spawn.arguments.insert(spawn.arguments.end(), options.begin(), options.end());
    spawn.fds = {{output.get(), STDOUT_FILENO}, {output.get(), STDERR_FILENO}};
    kernel::Child child = TRY_CONTEXT(kernel::spawn(spawn), "ps");
    kernel::ExitStatus status = TRY(child.wait());
    if (::lseek(output.get(), 0, SEEK_SET) < 0) {
        return errno_error("output of ps");
    }
    constexpr std::size_t limit = 64U << 20;
    std::string text = TRY(read_all(output, limit));
    if (status.shell_code() != 0) {
        return internal_error(
            "ps: exit status " + std::to_string(status.shell_code()) + ": " + text);
    }
    return text;
}

Result<std::string>
ps_table(const std::vector<pid_t>& pids, const std::vector<std::string>& options) {
    const std::string text = TRY(output_of_ps(options));
    std::vector<std::string_view> lines = split(text, '\n');
    std::vector<std::string_view> header = words(lines[0]);
    auto column = std::find(header.begin(), header.end(), "PID");
    if (column == header.end()) {
        return invalid_argument("couldn't find PID field in ps output");
    }
    const auto index = static_cast<std::size_t>(column - header.begin());
    std::string table = std::string(lines[0]) + "\n";
    for (std::string_view line : std::span(lines).subspan(1)) {
        std::vector<std::string_view> fields = words(line);
        if (fields.size() <= index) {
            continue;
        }
        pid_t pid = TRY_CONTEXT(parse_number<pid_t>(fields[index]), "unable to parse pid");
        if (std::find(pids.begin(), pids.end(), pid) != pids.end()) {
            table += std::string(line) + "\n";
        }
    }
    return table;
}

Result<std::string> checked_format(const Flags& flags) {
    std::string format = flags.is_given("format") ? flags.value("format") : "table";
    return format == "table" || format == "json"
               ? Result<std::string>(format)
               : Result<std::string>(invalid_argument("invalid format option"));
}

} // namespace

Result<int> state(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    Container container = TRY(Container::load(globals.root, id));
    Listed listed{TRY(container.state()), ""};
    TRY(print_all(json::serialize_indented(json::Value(object_of(listed)), "  ") + "\n"));
    return 0;
}

Result<int> list(const Globals& globals, const Flags& flags) {
    // Only the default one may be made by the first container.
    if (globals.root_is_given && !exists(globals.root)) {
        errno = ENOENT;
        return errno_error("open " + globals.root);
    }
    if (flags.is_set("quiet")) {
        std::string text;
        for (const std::string& id : TRY(Container::list(globals.root))) {
            text += id + "\n";
        }
        TRY(print_all(text));
        return 0;
    }
    const std::string format = TRY(checked_format(flags));
    std::vector<Listed> containers = TRY(all_containers(globals.root));
    if (format == "table") {
        TRY(print_all(list_table(containers)));
        return 0;
    }
    json::Array array;
    for (const Listed& listed : containers) {
        array.emplace_back(object_of(listed));
    }
    TRY(print_all(json::serialize(json::Value(std::move(array))) + "\n"));
    return 0;
}

Result<int> processes(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    const std::string format = TRY(checked_format(flags));
    Container container = TRY(Container::load(globals.root, id));
    std::vector<pid_t> pids = TRY(container.processes());
    if (format == "json") {
        json::Array array;
        for (pid_t pid : pids) {
            array.emplace_back(pid);
        }
        TRY(print_all(json::serialize(json::Value(std::move(array))) + "\n"));
        return 0;
    }
    std::vector<std::string> options(flags.rest().begin() + 1, flags.rest().end());
    if (options.empty()) {
        options = {"-ef"};
    }
    std::string table = TRY(ps_table(pids, options));
    TRY(print_all(table));
    return 0;
}

} // namespace berth::runtime::command_line
