// SPDX-License-Identifier: Apache-2.0
// Steps of a creation; each has its undo until the row is committed.
#include "engine/container_creator.h"

#include "base/log.h"
#include "base/random.h"
#include "base/rollback.h"
#include "base/strings.h"
#include "engine/config_check.h"
#include "engine/config_merge.h"
#include "engine/legacy_links.h"
#include "engine/names.h"
#include "engine/user_namespace.h"

#include <algorithm>

#include <sys/utsname.h>

namespace berth::engine {
namespace {

constexpr std::size_t hostname_length = 12;
constexpr unsigned generated_name_attempts = 16;

void set_hostname(ContainerConfig& config, const HostConfig& host_config, const std::string& id) {
    if (!config.hostname.empty() || !container_of_mode(host_config.network_mode).empty()) {
        return;
    }
    if (is_host_mode(host_config.network_mode) || is_host_mode(host_config.uts_mode)) {
        utsname host{};
        uname(&host);
        config.hostname = host.nodename;
        return;
    }
    config.hostname = id.substr(0, hostname_length);
}

// Of --volumes-from.
Result<std::vector<PlannedMount>>
inherited_mounts(const ContainerIndex& index, const std::string& name) {
    auto other = index.find(name);
    if (!other.ok()) {
        return std::move(other).error().as(ErrorKind::InvalidArgument);
    }
    const auto theirs = view_of(**other).definition;
    std::vector<PlannedMount> inherited = theirs->mounts;
    // As with Docker, what --tmpfs asked for is nobody else's.
    std::erase_if(inherited, [&theirs](const PlannedMount& mount) {
        return std::ranges::any_of(theirs->host_config.tmpfs, [&mount](const auto& entry) {
            return clean_path(entry.first) == mount.point.destination;
        });
    });
    return inherited;
}

} // namespace

Result<CreateResult> ContainerCreator::create(CreateRequest request) {
    if (!request.name.empty() && request.name.starts_with('/')) {
        request.name.erase(0, 1);
    }
    if (!request.name.empty() && !is_valid_container_name(request.name)) {
        return invalid_argument(
            "Invalid container name (" + request.name + "), only " +
            std::string(container_name_rule) + " are allowed");
    }
    const ImageForContainer image =
        TRY(core_.images->for_container(request.config.image, request.platform));
    merge_image_config(request.config, image.config);
    TRY(check_command(request.config));
    if (request.config.network_disabled &&
        container_of_mode(request.host_config.network_mode).empty()) {
        request.host_config.network_mode = "none"; // whatever networks are named
        request.networking_config.endpoints_config.clear();
    }
    CreateResult result;
    result.warnings = TRY(check_and_complete(request.config, request.host_config, core_.config()));
    TRY(check_runtime(request.host_config));
    TRY(check_networks(request));
    TRY(ContainerNetwork::port_requests(request.config, request.host_config, core_.config().ip));

    auto definition = std::make_shared<ContainerDefinition>();
    definition->id = random_hex(32);
    definition->created = Timestamp::now();
    definition->image_id = image.id;
    definition->chain_id = image.chain_id;
    set_hostname(request.config, request.host_config, definition->id);
    CommandLine line = command_line(request.config);
    definition->path = std::move(line.path);
    definition->arguments = std::move(line.arguments);
    const MountsOf mounts_of = [this](const std::string& name) {
        return inherited_mounts(core_.index, name);
    };
    std::vector<PlannedMount> mounts =
        TRY(plan_mounts(request.config, request.host_config, mounts_of));
    definition->config = std::move(request.config);
    definition->host_config = std::move(request.host_config);
    definition->networking = std::move(request.networking_config);

    Rollback rollback;
    TRY(label(*definition));
    rollback.push([&] { core_.selinux->release(definition->process_label); });
    definition->name = TRY(reserve_name(request.name, definition->id));
    rollback.push([&] { core_.index.release_name(definition->name); });
    definition->links = TRY(take_links(definition->host_config, core_.index));
    definition->mounts = std::move(mounts);
    rollback.push([&] {
        for (PlannedMount& mount : definition->mounts) {
            mount.anonymous = mount.anonymous && !mount.inherited; // somebody else's
        }
        mounts_.remove(*definition, AnonymousVolumes::Remove);
    });
    TRY(mounts_.make(*definition));
    oci::Digest chain;
    if (!definition->chain_id.empty()) {
        chain = TRY(oci::Digest::parse(definition->chain_id));
    }
    const std::uint64_t size = TRY(size_limit(definition->host_config, core_.config()));
    auto prepared = core_.store->layers().prepare(
        definition->id,
        chain,
        {.size_limit = size,
         .mount_label = definition->mount_label,
         .mount_points = true,
         .make_directory = [this](const std::string& path, mode_t mode) {
             return core_.spare_directories->make(path, mode);
         }});
    if (!prepared.ok() && size != 0 && prepared.error().kind() == ErrorKind::NotImplemented) {
        return std::move(prepared).error().with_context("--storage-opt size");
    }
    TRY(std::move(prepared));
    rollback.push([&] {
        auto removed = core_.store->layers().remove_writable(definition->id);
        if (!removed.ok()) {
            log::warn("writable layer not removed, ignoring", {{"id", definition->id}});
        }
    });
    TRY(core_.spare_directories->make(core_.directory(definition->id), 0700));
    rollback.push([&] {
        auto removed = remove_tree(core_.directory(definition->id));
        if (!removed.ok()) {
            log::warn("directory not removed, ignoring", {{"id", definition->id}});
        }
    });
    TRY(mounts_.fill(*definition, owners_at_start(core_, definition->host_config)));
    ContainerLife life;
    TRY(core_.table->insert(*definition, life));
    core_.index.add(std::make_shared<LiveContainer>(
        ContainerRecord{.definition = definition, .life = std::move(life)}));
    rollback.commit();
    mounts_.settle(*definition);
    core_.publish(*definition, "create");
    result.id = definition->id;
    return result;
}

// moby's generateSecurityOpt: who shares processes or memory with another has its label.
Result<void> ContainerCreator::label(ContainerDefinition& definition) const {
    HostConfig& host = definition.host_config;
    const bool is_given = std::ranges::any_of(host.security_opt, [](const std::string& option) {
        return option == "label" || option.starts_with("label=");
    });
    std::vector<std::string> shared;
    if (!is_given &&
        (host.privileged || is_host_mode(host.ipc_mode) || is_host_mode(host.pid_mode))) {
        shared = {"disable"};
    } else if (!is_given) {
        for (const std::string& mode : {host.ipc_mode, host.pid_mode}) {
            const std::string other = container_of_mode(mode);
            if (other.empty()) {
                continue;
            }
            const ContainerPtr found = TRY(core_.index.find(other));
            const auto options = shared_label_options(view_of(*found).definition->process_label);
            if (!shared.empty() && !options.empty() && options != shared) {
                return invalid_argument(
                    "--ipc and --pid containers SELinux labels aren't the same");
            }
            shared = options.empty() ? shared : options;
        }
    }
    for (const std::string& option : shared) {
        host.security_opt.push_back("label=" + option);
    }
    const SelinuxLabels labels = TRY(core_.selinux->make(label_options(host.security_opt)));
    definition.process_label = labels.process;
    definition.mount_label = labels.mount;
    return ok();
}

Result<void> ContainerCreator::check_runtime(const HostConfig& host_config) const {
    const std::string& runtime = host_config.runtime;
    if (runtime == "runc" || runtime == "berth" || runtime == "io.containerd.runc.v2") {
        return ok();
    }
    if (core_.config().runtimes.contains(runtime)) {
        return not_implemented(
            "the runtime \"" + runtime +
            "\" is configured, but only the built-in one is "
            "implemented by this engine");
    }
    return invalid_argument("unknown or invalid runtime name: " + runtime);
}

Result<void> ContainerCreator::check_networks(CreateRequest& request) const {
    // By its id, as Docker: the other container may get another name.
    const auto settle = [this](std::string& mode) -> Result<void> {
        if (const std::string other = container_of_mode(mode); !other.empty()) {
            mode = "container:" + TRY(core_.index.find(other))->id;
        }
        return ok();
    };
    for (std::string* shared : {&request.host_config.ipc_mode, &request.host_config.pid_mode}) {
        if (auto settled = settle(*shared); !settled.ok()) {
            return std::move(settled).error().as(ErrorKind::InvalidArgument);
        }
    }
    std::string& mode = request.host_config.network_mode;
    TRY(settle(mode));
    return container_of_mode(mode).empty()
               ? core_.network->normalize(mode, request.networking_config)
               : ok();
}

Result<std::string>
ContainerCreator::reserve_name(const std::string& wanted, const std::string& id) {
    if (!wanted.empty()) {
        TRY(core_.index.reserve_name(wanted, id));
        return wanted;
    }
    for (unsigned attempt = 0; attempt < generated_name_attempts; ++attempt) {
        std::string name = generate_container_name(attempt);
        if (core_.index.reserve_name(name, id).ok()) {
            return name;
        }
    }
    std::string name = id.substr(0, hostname_length);
    TRY(core_.index.reserve_name(name, id));
    return name;
}

} // namespace berth::engine
