// SPDX-License-Identifier: Apache-2.0
// update: new limits for a container that runs.
#include "base/file.h"
#include "runtime/command_line/commands.h"
#include "runtime/command_line/update_flags.h"
#include "runtime/container.h"

#include <unistd.h>

namespace berth::runtime::command_line {

namespace {

constexpr std::size_t max_resources_file = 1U << 20;
constexpr std::string_view resctrl = "/sys/fs/resctrl";

Result<oci::Resources> wanted_resources(const Flags& flags) {
    const std::string file = flags.value("resources");
    if (file.empty()) {
        return resources_from_flags(flags);
    }
    std::string text = file == "-" ? TRY(read_all(FdRef::unowned(STDIN_FILENO), max_resources_file))
                                   : TRY(read_file(file, max_resources_file));
    return TRY_CONTEXT(oci::parse_resources_text(text), file == "-" ? "stdin" : file);
}

// https://docs.kernel.org/filesystems/resctrl.html
Result<void> check_resource_control(const Flags& flags) {
    const std::string info = std::string(resctrl) + "/info/";
    if (!flags.value("l3-cache-schema").empty() && !exists(info + "L3") &&
        !exists(info + "L3CODE")) {
        return Error(
            ErrorKind::Unavailable,
            "Intel RDT/CAT: l3 cache schema is not enabled on this machine");
    }
    if (!flags.value("mem-bw-schema").empty() && !exists(info + "MB")) {
        return Error(
            ErrorKind::Unavailable,
            "Intel RDT/MBA: memory bandwidth schema is not enabled on this machine");
    }
    return ok();
}

Result<void> update_resource_control(const Container& container, const Flags& flags) {
    const std::string group = std::string(resctrl) + "/" + container.id();
    for (std::string_view name : {"l3-cache-schema", "mem-bw-schema"}) {
        const std::string schema = flags.value(name);
        if (schema.empty()) {
            continue;
        }
        if (!exists(group)) {
            return not_found("container " + container.id() + " has no Intel RDT group");
        }
        TRY_CONTEXT(write_existing(group + "/schemata", schema + "\n"), std::string(name));
    }
    return ok();
}

} // namespace

Result<int> update(const Globals& globals, const Flags& flags) {
    std::string id = TRY(flags.container_id());
    oci::Resources resources = TRY(wanted_resources(flags));
    TRY(check_resource_control(flags));
    Container container = TRY(Container::load(globals.root, id));
    TRY(container.update(resources));
    TRY(update_resource_control(container, flags));
    return 0;
}

} // namespace berth::runtime::command_line
