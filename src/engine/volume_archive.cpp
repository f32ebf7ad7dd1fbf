// SPDX-License-Identifier: Apache-2.0
// Backup, restore and clones of volumes. Nobody writes while a volume is read: whoever uses it is
// kept quiet, and who wants to use it waits for the volume's lock.
#include "base/file.h"
#include "base/random.h"
#include "codec/compression.h"
#include "codec/tar.h"
#include "engine/volume_copy.h"
#include "engine/volumes.h"
#include "store/layer_extractor.h"
#include "store/layer_tar.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>

namespace berth::engine {
namespace {

// The volume's own directory: owner, mode and time go along.
Result<void> write_root(FdRef directory, ByteSink& sink) {
    struct stat status {};

    if (fstat(directory.get(), &status) != 0) {
        return errno_error("stat");
    }
    tar::Header header;
    header.name = ".";
    header.type = tar::EntryType::Directory;
    header.mode = status.st_mode & 07777;
    header.uid = status.st_uid;
    header.gid = status.st_gid;
    header.mtime = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
    return tar::Writer(sink).write_header(header);
}

} // namespace

// A reader's `user` for one time.
Result<std::string>
Volumes::open_for_reading(const std::string& name, const KeepQuiet& quiet, Reading& reading) {
    std::set<std::string> users;
    if (auto table = table_.lock(); table->contains(name)) {
        const auto& there = table->at(name).users;
        users = {there.begin(), there.end()};
    }
    // Before the volume's own lock: a container that starts has its own lock first.
    reading.quiet = TRY(quiet(users));
    reading.locked = TRY(lock_reached(name, {}));
    const auto is_quiet = [&users](const std::string& user) { return users.contains(user); };
    if (!std::ranges::all_of(reading.locked.users, is_quiet)) {
        return conflict("volume " + name + " was taken into use just now, try again");
    }
    reading.user = "reader-" + random_hex(8);
    const std::string path = TRY(mount_locked(reading.locked, reading.user));
    table_.lock()->at(name).users.insert(reading.user);
    reading.give_back.push(
        [this, &reading] { give_back_locked(reading.locked.row, reading.user, Uses::One); });
    return path;
}

Result<void> Volumes::export_files(
    std::stop_token stop, const std::string& name, const KeepQuiet& quiet, ByteSink& sink) {
    Reading reading;
    const std::string path = TRY(open_for_reading(name, quiet, reading));
    const UniqueFd tree = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    TRY(write_root(tree, sink));
    return store::write_tree_tar(std::move(stop), tree, sink);
}

Result<VolumeInfo> Volumes::import_files(const VolumeCreate& request, ByteSource& tar) {
    const Contents extract = [&tar](const std::string& data) -> Result<void> {
        auto plain =
            TRY(compression::Decompressor::create(tar, compression::DecompressionLimits::none()));
        store::ExtractionLimits limits;
        limits.whiteouts = false;
        store::LayerExtractor extractor = TRY(store::LayerExtractor::create(data, limits));
        return extractor.extract(*plain);
    };
    return make_whole(request, "import ", extract);
}

Result<VolumeInfo>
Volumes::clone(const std::string& source, const VolumeCreate& request, const KeepQuiet& quiet) {
    if (source == request.name) {
        return conflict("clone " + source + ": a volume cannot be cloned to itself");
    }
    Reading reading;
    const std::string path = TRY(open_for_reading(source, quiet, reading));
    const Contents copy = [&path](const std::string& data) -> Result<void> {
        const UniqueFd from = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
        const UniqueFd to = TRY(open_file(data, O_RDONLY | O_DIRECTORY));
        TRY(copy_tree(from, to, OverlayAttributes::Copy));
        return copy_directory_attributes(from, to, OverlayAttributes::Copy);
    };
    VolumeCreate wanted = request;
    if (wanted.labels.empty()) {
        wanted.labels = reading.locked.row.info.labels;
        wanted.labels.erase(anonymous_label);
    }
    return make_whole(wanted, "clone to ", copy);
}

Result<VolumeInfo> Volumes::make_whole(
    const VolumeCreate& request, const std::string& verb, const Contents& contents) {
    VolumeRow row = TRY(row_of(request));
    const std::string name = row.info.name;
    auto made = TRY_CONTEXT(make(std::move(row), "", contents), verb + name);
    if (!made) {
        return conflict(verb + name + ": a volume of that name is there already");
    }
    return std::move(*made);
}

} // namespace berth::engine
