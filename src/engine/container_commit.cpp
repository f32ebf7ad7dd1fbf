// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/commit.go and export.go. The layer is published before the image that names
// it, and the image gets its name in one transaction with itself: a crash anywhere leaves nothing
// but a layer that nobody needs, which the garbage collector takes.
#include "engine/container_commit.h"

#include "base/strings.h"
#include "engine/config_merge.h"
#include "engine/container_config_json.h"
#include "engine/user_namespace.h"

#include <array>

namespace berth::engine {
namespace {

// What the runtime makes below a container's mounts where it is not there already
// (store/mount_points.h): in containers of earlier versions, with drivers that copy, and where an
// image's root hides what is below it. dockerd has it in a layer of its own.
constexpr auto runtime_mount_points = std::to_array<std::string_view>(
    {".dockerenv",
     "dev",
     "dev/console",
     "dev/mqueue",
     "dev/pts",
     "dev/shm",
     "etc/hostname",
     "etc/hosts",
     "etc/mtab",
     "etc/resolv.conf",
     "proc",
     "sys",
     "sys/fs",
     "sys/fs/cgroup"});

Result<void> check_readable(const ContainerView& view, std::string_view verb) {
    const std::string which =
        "You cannot " + std::string(verb) + " container " + view.definition->id + " which is ";
    if (view.life.state.status == ContainerStatus::Dead) {
        return conflict(which + "Dead");
    }
    if (view.life.state.status == ContainerStatus::Removing) {
        return conflict(which + "being removed");
    }
    return ok();
}

// Of a container's configuration, what an image keeps.
Result<oci::ContainerDefaults> image_defaults(const ContainerConfig& config) {
    return json::decode<oci::ContainerDefaults>(json::encode(config));
}

Result<oci::ImageConfig> derived_config(
    const store::Image& parent,
    const ContainerDefinition& container,
    const CommitRequest& request,
    const std::optional<store::LayerInfo>& layer) {
    ContainerConfig merged = request.config.value_or(container.config);
    merge_image_config(merged, container.config);
    oci::ImageConfig config = parent.config;
    config.created = Timestamp::now();
    config.author = request.author;
    config.config = TRY(image_defaults(merged));
    config.comment.clear();
    config.parent.clear();
    config.container = container.id;
    config.history.push_back(
        {.created = config.created,
         .created_by = join(container.config.cmd.value_or(std::vector<std::string>()), " "),
         .author = request.author,
         .comment = request.comment,
         .empty_layer = !layer});
    if (layer) {
        config.rootfs.diff_ids.push_back(layer->diff_id);
    }
    return config;
}

} // namespace

void ContainerCommitter::publish_image(const store::Image& image, const std::string& action) const {
    StringMap attributes = image.config.config.labels;
    attributes["name"] = action == "tag" ? image.names.front().familiar() : image.id.to_string();
    core_.events->publish(
        {.type = "image",
         .action = action,
         .actor_id = image.id.to_string(),
         .attributes = std::move(attributes),
         .scope = "local",
         .time = {}});
}

Result<std::string> ContainerCommitter::commit(
    std::stop_token stop, const ContainerPtr& container, const CommitRequest& request) {
    const auto name = TRY(parse_new_name(request.repository, request.tag));
    const std::lock_guard operation(container->operation);
    const ContainerView view = view_of(*container);
    TRY(check_readable(view, "commit"));
    const ContainerDefinition& definition = *view.definition;
    store::Store& store = *core_.store;
    const store::Image parent = TRY(store.images().get(definition.image_id));
    std::shared_ptr<void> frozen;
    if (request.pause) {
        frozen = TRY(control_.freeze_for_work(container));
    }
    store::Lease lease = store.images().lease();
    if (!parent.chain_id.empty()) {
        lease.add_layer(parent.chain_id);
    }
    const auto layer = TRY(
        store.layers().commit_changes(std::move(stop), lease, definition.id, runtime_mount_points));
    const oci::ImageConfig config = TRY(derived_config(parent, definition, request, layer));
    store::NewImage image;
    image.config_json = config.serialize();
    image.parent = parent.id;
    if (name) {
        image.names = {*name};
    }
    const store::Image made = TRY(store.images().create(image));
    publish_image(made, "create");
    if (name) {
        publish_image(made, "tag");
    }
    core_.publish(
        definition,
        "commit",
        {{"comment", request.comment},
         {"imageID", made.id.to_string()},
         {"imageRef", name ? name->familiar() : ""}});
    return made.id.to_string();
}

// Without the container's lock: a client that reads slowly keeps nobody from stopping or removing
// it.
Result<void> ContainerCommitter::export_files(
    std::stop_token stop, const ContainerPtr& container, ByteSink& sink) const {
    const ContainerView view = view_of(*container);
    TRY(check_readable(view, "export"));
    core_.publish(*view.definition, "export");
    OwnerMapPtr owners = TRY(owners_of(core_, view));
    return core_.store->layers().write_root(
        std::move(stop), container->id, std::move(owners), sink);
}

Result<std::vector<store::Change>>
ContainerCommitter::changes(const ContainerPtr& container) const {
    return core_.store->layers().changes(container->id, runtime_mount_points);
}

} // namespace berth::engine
