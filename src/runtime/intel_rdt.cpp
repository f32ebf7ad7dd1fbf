// SPDX-License-Identifier: Apache-2.0
// https://docs.kernel.org/filesystems/resctrl.html: a directory is a class, its schemata file takes
// one line a write, its tasks file takes processes.
#include "runtime/intel_rdt.h"

#include "base/file.h"
#include "base/rollback.h"
#include "base/strings.h"

#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

// "36 35 98:0 / /sys/fs/resctrl rw - resctrl resctrl rw"
Result<std::string> mount_point() {
    std::string text = TRY(read_file("/proc/self/mountinfo"));
    for (std::string_view line : split(text, '\n')) {
        std::optional<Cut> parts = cut(line, " - ");
        if (parts && parts->after.starts_with("resctrl ")) {
            std::vector<std::string_view> fields = words(parts->before);
            if (fields.size() > 4) {
                return std::string(fields[4]);
            }
        }
    }
    return Error(
        ErrorKind::Unavailable,
        "linux.intelRdt: no resctrl file system is mounted (the kernel or the processor lacks it, "
        "or /sys/fs/resctrl was not mounted)");
}

std::vector<std::string> schemata_of(const oci::IntelRdt& rdt) {
    std::vector<std::string> lines;
    for (const std::string* text : {&rdt.l3_cache_schema, &rdt.mem_bw_schema}) {
        for (std::string_view line : split(*text, '\n')) {
            if (!line.empty()) {
                lines.emplace_back(line);
            }
        }
    }
    lines.insert(lines.end(), rdt.schemata.begin(), rdt.schemata.end());
    return lines;
}

bool is_plain_name(const std::string& name) {
    return name.find('/') == std::string::npos && name != "." && name != "..";
}

// True when the directory is new.
Result<bool> make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0755) == 0) {
        return true;
    }
    return errno == EEXIST ? Result<bool>(false) : errno_error("linux.intelRdt: make " + path);
}

} // namespace

Result<void> check_intel_rdt(const std::optional<oci::IntelRdt>& rdt) {
    if (!rdt) {
        return ok();
    }
    // "/" is the root class.
    if (rdt->clos_id != "/" && !is_plain_name(rdt->clos_id)) {
        return invalid_argument("linux.intelRdt.closID: \"" + rdt->clos_id + "\" is no class name");
    }
    if (!rdt->mem_bw_schema.empty() && (!rdt->mem_bw_schema.starts_with("MB:") ||
                                        rdt->mem_bw_schema.find('\n') != std::string::npos)) {
        return invalid_argument(
            "linux.intelRdt.memBwSchema: must be one line that begins with MB:");
    }
    for (std::size_t i = 0; i < rdt->schemata.size(); ++i) {
        if (rdt->schemata[i].empty() || rdt->schemata[i].find('\n') != std::string::npos) {
            return invalid_argument(
                "linux.intelRdt.schemata[" + std::to_string(i) + "]: must be one line");
        }
    }
    return ok();
}

Result<RdtGroup>
make_rdt_group(const std::optional<oci::IntelRdt>& rdt, const std::string& container_id) {
    RdtGroup group;
    if (!rdt) {
        return group;
    }
    const std::string root = TRY(mount_point());
    const std::vector<std::string> schemata = schemata_of(*rdt);
    group.tasks = rdt->clos_id == "/"
                      ? root
                      : root + "/" + (rdt->clos_id.empty() ? container_id : rdt->clos_id);
    Rollback rollback;
    rollback.push([&group] { remove_rdt_group(group.made_group, group.made_monitor); });
    if (!rdt->clos_id.empty() && schemata.empty()) {
        // The specification: a class that only is named must be there.
        if (!exists(group.tasks)) {
            return not_found(
                "linux.intelRdt.closID: there is no class \"" + rdt->clos_id + "\" in resctrl");
        }
    } else if (TRY(make_directory(group.tasks))) {
        group.made_group = group.tasks;
    }
    for (const std::string& line : schemata) {
        TRY_CONTEXT(
            write_existing(group.tasks + "/schemata", line + "\n"),
            "linux.intelRdt: schema \"" + line + "\"");
    }
    if (rdt->enable_monitoring) {
        group.tasks += "/mon_groups/" + container_id;
        if (TRY(make_directory(group.tasks))) {
            group.made_monitor = group.tasks;
        }
    }
    rollback.commit();
    return group;
}

Result<void> join_rdt_group(const RdtGroup& group, pid_t pid) {
    if (group.tasks.empty()) {
        return ok();
    }
    // A monitoring group takes only tasks of its class.
    const std::size_t monitors = group.tasks.find("/mon_groups/");
    if (monitors != std::string::npos) {
        TRY_CONTEXT(
            write_existing(group.tasks.substr(0, monitors) + "/tasks", std::to_string(pid)),
            "linux.intelRdt");
    }
    TRY_CONTEXT(write_existing(group.tasks + "/tasks", std::to_string(pid)), "linux.intelRdt");
    return ok();
}

void remove_rdt_group(const std::string& made_group, const std::string& made_monitor) {
    if (!made_monitor.empty()) {
        ::rmdir(made_monitor.c_str());
    }
    if (!made_group.empty()) {
        ::rmdir(made_group.c_str());
    }
}

} // namespace berth::runtime
