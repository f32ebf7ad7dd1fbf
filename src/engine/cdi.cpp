// SPDX-License-Identifier: Apache-2.0
// The files are read anew at each start: vendors' tools write them while the engine runs.
#include "engine/cdi.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/cdi_spec.h"
#include "engine/config_merge.h"
#include "engine/gpu_request.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace berth::engine {
namespace {

using cdi::ContainerEdits;
using SpecPtr = std::shared_ptr<const cdi::Spec>;

struct FoundDevice {
    SpecPtr spec;
    const cdi::Device* device = nullptr; // nullptr: two files of one directory have it
    std::size_t priority = 0;
};

using Registry = std::map<std::string, FoundDevice>; // by qualified name

void add_spec(Registry& registry, const SpecPtr& spec, std::size_t priority) {
    for (const cdi::Device& device : spec->devices) {
        const std::string name = spec->kind + "=" + device.name;
        FoundDevice found{.spec = spec, .device = &device, .priority = priority};
        const auto [there, is_new] = registry.emplace(name, found);
        if (is_new) {
            continue;
        }
        if (there->second.priority == priority) {
            log::warn("two CDI files have the device, ignoring", {{"device", name}});
            found.device = nullptr;
        }
        there->second = found;
    }
}

// Files that are wrong do not keep other vendors' devices away.
Registry read_registry(const std::vector<std::string>& directories) {
    Registry registry;
    for (std::size_t i = 0; i < directories.size(); ++i) {
        const auto names = list_directory(directories[i]);
        if (!names.ok()) {
            continue;
        }
        for (const std::string& name : *names) {
            if (!name.ends_with(".json") && !name.ends_with(".yaml")) {
                continue;
            }
            auto spec = cdi::read_spec(directories[i] + "/" + name);
            if (!spec.ok()) {
                log::warn("CDI file is wrong, ignoring", {{"error", spec.error().message()}});
                continue;
            }
            add_spec(registry, std::make_shared<const cdi::Spec>(std::move(*spec)), i);
        }
    }
    return registry;
}

Result<oci::Device> device_of(const cdi::DeviceNode& node, const oci::RuntimeConfig& config) {
    oci::Device device;
    device.path = node.path;
    device.type = node.type == "u" ? "c" : node.type;
    device.major = node.major;
    device.minor = node.minor;
    device.file_mode = node.file_mode;
    device.uid = node.uid;
    device.gid = node.gid;
    if (device.type.empty() || (device.type != "p" && device.major == 0 && device.minor == 0)) {
        const std::string& path = node.host_path.empty() ? node.path : node.host_path;

        struct stat status {};

        if (stat(path.c_str(), &status) != 0) {
            return internal_error(
                "failed to stat CDI host device \"" + path + "\": no such file or directory");
        }
        if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode) && !S_ISFIFO(status.st_mode)) {
            return internal_error("failed to stat CDI host device \"" + path + "\": no device");
        }
        device.type = S_ISFIFO(status.st_mode) ? "p" : (S_ISBLK(status.st_mode) ? "b" : "c");
        device.major = major(status.st_rdev);
        device.minor = minor(status.st_rdev);
        if (!device.file_mode) {
            device.file_mode = static_cast<std::uint32_t>(status.st_mode & 07777);
        }
    }
    // Who runs in the container may use what was asked for.
    const oci::User& user = config.process->user;
    if (!device.uid && user.uid > 0) {
        device.uid = user.uid;
    }
    if (!device.gid && user.gid > 0) {
        device.gid = user.gid;
    }
    return device;
}

Result<void> add_nodes(oci::RuntimeConfig& config, const ContainerEdits& edits) {
    for (const cdi::DeviceNode& node : edits.device_nodes) {
        oci::Device device = TRY(device_of(node, config));
        if (device.type != "p") {
            config.linux_.resources->devices.push_back(oci::DeviceRule{
                .allow = true,
                .type = device.type,
                .major = device.major,
                .minor = device.minor,
                .access = node.permissions.empty() ? "rwm" : node.permissions});
        }
        std::erase_if(config.linux_.devices, [&device](const oci::Device& other) {
            return other.path == device.path;
        });
        config.linux_.devices.push_back(std::move(device));
    }
    return ok();
}

void add_mounts(oci::RuntimeConfig& config, const ContainerEdits& edits) {
    for (const cdi::Mount& wanted : edits.mounts) {
        std::erase_if(config.mounts, [&wanted](const oci::Mount& other) {
            return other.destination == wanted.container_path;
        });
        oci::Mount mount{
            .destination = wanted.container_path,
            .type = wanted.type,
            .source = wanted.host_path,
            .options = wanted.options};
        const bool is_bind = std::ranges::any_of(mount.options, [](const std::string& option) {
            return option == "bind" || option == "rbind";
        });
        if (mount.type.empty()) {
            mount.type = "bind";
        }
        if (mount.type == "bind" && !is_bind) {
            mount.options.emplace_back("rbind");
        }
        config.mounts.push_back(std::move(mount));
    }
}

void add_hooks(oci::RuntimeConfig& config, const ContainerEdits& edits) {
    const std::pair<std::string_view, std::vector<oci::Hook>*> lists[] = {
        {"prestart", &config.hooks.prestart},
        {"createRuntime", &config.hooks.create_runtime},
        {"createContainer", &config.hooks.create_container},
        {"startContainer", &config.hooks.start_container},
        {"poststart", &config.hooks.poststart},
        {"poststop", &config.hooks.poststop}};
    for (const cdi::Hook& hook : edits.hooks) {
        for (const auto& [name, list] : lists) {
            if (name == hook.hook_name) {
                list->push_back(
                    {.path = hook.path,
                     .args = hook.args,
                     .env = hook.env,
                     .timeout = hook.timeout});
            }
        }
    }
}

Result<void> apply(oci::RuntimeConfig& config, const ContainerEdits& edits) {
    if (edits.intel_rdt || !edits.net_devices.empty()) {
        return not_implemented(
            "CDI device injection failed: intelRdt and netDevices of a CDI file are not "
            "implemented by this engine");
    }
    oci::Process& process = *config.process;
    process.env = replace_or_append(std::move(process.env), edits.env);
    TRY(add_nodes(config, edits));
    add_mounts(config, edits);
    add_hooks(config, edits);
    for (const std::uint32_t gid : edits.additional_gids) {
        auto& groups = process.user.additional_gids;
        if (gid != 0 && std::ranges::find(groups, gid) == groups.end()) {
            groups.push_back(gid);
        }
    }
    return ok();
}

Result<void> inject(
    oci::RuntimeConfig& config, const std::vector<std::string>& names, const Registry& registry) {
    std::vector<const FoundDevice*> wanted;
    std::vector<std::string> unresolvable;
    for (const std::string& name : names) {
        const auto found = registry.find(name);
        if (found == registry.end() || found->second.device == nullptr) {
            unresolvable.push_back(name);
        } else {
            wanted.push_back(&found->second);
        }
    }
    if (!unresolvable.empty()) {
        return internal_error(
            "CDI device injection failed: unresolvable CDI devices " + join(unresolvable, ", "));
    }
    std::set<SpecPtr> seen;
    for (const FoundDevice* found : wanted) {
        if (seen.insert(found->spec).second) {
            TRY(apply(config, found->spec->container_edits));
        }
        TRY(apply(config, found->device->container_edits));
    }
    return ok();
}

std::set<std::string> kinds_of(const Registry& registry) {
    std::set<std::string> kinds;
    for (const auto& [name, found] : registry) {
        kinds.insert(found.spec->kind);
    }
    return kinds;
}

std::string capabilities_text(const DeviceRequest& request) {
    std::string text = "[";
    for (const auto& group : request.capabilities) {
        text += (text == "[" ? "[" : " [") + join(group, " ") + "]";
    }
    return text + "]";
}

} // namespace

std::vector<std::string> cdi_directories(const DaemonConfig& daemon) {
    if (daemon.cdi_spec_dirs.empty()) {
        return {"/etc/cdi", "/var/run/cdi"};
    }
    std::vector<std::string> directories = daemon.cdi_spec_dirs;
    std::erase(directories, "");
    return directories;
}

std::vector<std::string> cdi_devices(const std::vector<std::string>& directories) {
    std::vector<std::string> names;
    for (const auto& [name, found] : read_registry(directories)) {
        if (found.device != nullptr) {
            names.push_back(name);
        }
    }
    return names;
}

Result<void> inject_devices(
    oci::RuntimeConfig& config,
    const std::vector<DeviceRequest>& requests,
    const std::vector<std::string>& directories) {
    if (requests.empty()) {
        return ok();
    }
    const Registry registry = read_registry(directories);
    for (const DeviceRequest& request : requests) {
        if (request.driver != "cdi") {
            const std::string kind = gpu_kind(request, kinds_of(registry));
            if (kind.empty()) {
                return internal_error(
                    "could not select device driver \"" + request.driver +
                    "\" with capabilities: " + capabilities_text(request));
            }
            const std::vector<std::string> names = TRY(gpu_device_names(request, kind));
            TRY(inject(config, names, registry));
            continue;
        }
        if (request.count != 0) {
            return invalid_argument("unexpected count in CDI device request");
        }
        if (!request.options.empty()) {
            return invalid_argument("unexpected options in CDI device request");
        }
        TRY(inject(config, request.device_ids, registry));
    }
    return ok();
}

} // namespace berth::engine
