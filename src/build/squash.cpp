// SPDX-License-Identifier: Apache-2.0
// After moby's daemon/images/image_squash.go. The steps stay in the history, as empty layers.
#include "build/squash.h"

#include "base/file.h"
#include "build/working_layer.h"

#include <fcntl.h>

namespace berth::build {

Result<oci::Digest> squash_image(BuildJob& job, const SquashRequest& request) {
    store::ImageStore& images = job.store().images();
    const store::Image image = TRY(images.get(request.image));
    store::Image from;
    if (!request.from_config.empty()) {
        from.id = request.from;
        from.config = TRY(oci::ImageConfig::parse(request.from_config));
        from.chain_id = from.config.chain_id();
    } else if (!request.from.empty()) {
        from = TRY(images.get(request.from));
    }
    if (image.chain_id == from.chain_id) {
        return image.id;
    }
    const WorkingLayer whole =
        TRY(WorkingLayer::create(job.store().layers(), job.database(), image.chain_id));
    UniqueFd root = TRY(open_file(whole.path(), O_RDONLY | O_DIRECTORY));
    const store::LayerInfo layer = TRY(job.store().layers().squash(
        job.stop(), job.lease(), std::move(root), image.chain_id, from.chain_id));
    oci::ImageConfig config = image.config;
    config.rootfs.diff_ids = from.config.rootfs.diff_ids;
    config.rootfs.diff_ids.push_back(layer.diff_id);
    for (std::size_t i = from.config.history.size(); i < config.history.size(); ++i) {
        config.history[i].empty_layer = true;
    }
    config.created = Timestamp::now();
    config.parent.clear();
    config.history.push_back(
        {.created = config.created,
         .comment = from.id.empty()
                        ? "create new from " + image.id.to_string()
                        : "merge " + image.id.to_string() + " to " + from.id.to_string()});
    const store::Image made = TRY(images.create({.config_json = config.serialize()}));
    return made.id;
}

} // namespace berth::build
