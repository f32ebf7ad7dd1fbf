// SPDX-License-Identifier: Apache-2.0
// New layers from what lies in others: a container's changes, several layers squashed into one. And
// a container's whole root as a tar.
#include "base/file.h"
#include "base/without_sigpipe.h"
#include "store/layer_store.h"
#include "store/layer_store_parts.h"
#include "store/layer_tar.h"
#include "store/read_ahead.h"
#include "store/stoppable_source.h"

#include <cerrno>
#include <thread>

#include <fcntl.h>

namespace berth::store {

// A pipe inside the process: the tar is written on one thread and unpacked on another.
Result<LayerInfo> LayerStore::commit_difference(
    std::stop_token stop, Lease& lease, const oci::Digest& parent, const Difference& difference) {
    Pipe pipe = TRY(Pipe::create());
    Result<void> written;
    std::thread writer([&] {
        const WithoutSigpipe without_sigpipe; // of a reader that gave up
        FdSink sink(std::move(pipe.write_end));
        written = write_difference_tar(difference, sink);
    });
    Result<StagedLayer> staged = [&] {
        FdSource source(std::move(pipe.read_end));
        StoppableSource stoppable(source, std::move(stop), "making a layer");
        return stage(lease, stoppable);
        // The read end closes here, so that a writer whose reader gave up ends with EPIPE.
    }();
    writer.join();
    if (!written.ok() && (staged.ok() || written.error().error_number() != EPIPE)) {
        return written.error(); // else the reader says why it gave up
    }
    return publish(lease, parent, TRY(std::move(staged)));
}

Result<LayerInfo> LayerStore::commit(Lease& lease, const std::string& id) {
    Parts::Writable writable = TRY(parts_->find_writable(id));
    LayerHold below = TRY(parts_->hold_below(writable));
    const Difference difference = TRY(parts_->snapshotter->difference(writable.layer));
    return commit_difference({}, lease, writable.parent, difference);
}

Result<std::optional<LayerInfo>> LayerStore::commit_changes(
    std::stop_token stop,
    Lease& lease,
    const std::string& id,
    std::span<const std::string_view> mount_points) {
    Parts::Writable writable = TRY(parts_->find_writable(id));
    LayerHold below = TRY(parts_->hold_below(writable));
    Difference difference = TRY(parts_->snapshotter->difference(writable.layer));
    leave_out_mount_points(difference, mount_points);
    if (is_empty(difference)) {
        return std::optional<LayerInfo>();
    }
    LayerInfo layer = TRY(commit_difference(std::move(stop), lease, writable.parent, difference));
    return std::optional(std::move(layer));
}

Result<LayerInfo> LayerStore::squash(
    std::stop_token stop,
    Lease& lease,
    UniqueFd root,
    const oci::Digest& chain_id,
    const oci::Digest& below) {
    lease.add_layer(chain_id);
    const LayerHold held = TRY(parts_->hold(chain_id));
    const std::vector<std::string>& all = held.directories(); // topmost first
    const std::size_t kept = below.empty() ? 0 : TRY(chain(below)).size();
    VERIFY(kept <= all.size());
    const auto border = all.end() - static_cast<std::ptrdiff_t>(kept);
    const Difference difference =
        TRY(joint_difference(std::move(root), {all.begin(), border}, {border, all.end()}));
    return commit_difference(std::move(stop), lease, below, difference);
}

Result<void> LayerStore::write_root(
    std::stop_token stop,
    const std::string& id,
    std::shared_ptr<const kernel::OwnerMap> owners,
    ByteSink& sink) {
    const std::string path = TRY(mount(id, owners));
    TreeTarOptions options;
    if (owners != nullptr) {
        options.change_header = [&owners](tar::Header& header) {
            header.uid = kernel::id_on_disk(owners->exchange().uids, header.uid);
            header.gid = kernel::id_on_disk(owners->exchange().gids, header.gid);
        };
    }
    Result<void> written = [&]() -> Result<void> {
        const UniqueFd root = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
        return write_tree_tar(std::move(stop), root, sink, options);
    }();
    Result<void> unmounted = unmount(id);
    TRY(std::move(written));
    if (!has_writable(id)) {
        // Its files vanished under the walk, which takes that for a container's own doing.
        return conflict("the container was removed before all of it was read");
    }
    return unmounted;
}

} // namespace berth::store
