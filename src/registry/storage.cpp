// SPDX-License-Identifier: Apache-2.0
// A repository's folder is <root>/repositories/<name>/_layout: no name component begins with an
// underscore, so names can neither collide with it nor leave the tree.
#include "registry/storage.h"

#include "base/log.h"
#include "base/strings.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

namespace {

constexpr std::string_view layout_folder = "_layout";
constexpr std::size_t name_limit = 255;
constexpr int depth_limit = 128; // components of a name
constexpr std::string_view layout_file = R"({"imageLayoutVersion":"1.0.0"})";

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_component(std::string_view text) {
    if (text.empty() || !is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) {
        return false;
    }
    for (std::size_t i = 0; i < text.size();) {
        if (is_alphanumeric(text[i])) {
            ++i;
            continue;
        }
        std::size_t end = i;
        while (!is_alphanumeric(text[end])) { // ends: the last character is alphanumeric
            ++end;
        }
        std::string_view separator = text.substr(i, end - i);
        bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
        if (!dashes && separator != "." && separator != "_" && separator != "__") {
            return false;
        }
        i = end;
    }
    return true;
}

Result<void> sync_directory(const std::string& path) {
    UniqueFd fd = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    return fsync(fd.get()) == 0 ? ok() : Result<void>(errno_error(path));
}

Result<void> link_file(const std::string& from, const std::string& to) {
    if (link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) {
        return errno_error("link " + to);
    }
    return ok();
}

bool is_missing(const Error& error) {
    return error.error_number() == ENOENT || error.error_number() == ENOTDIR;
}

} // namespace

bool is_repository_name(std::string_view name) {
    if (name.empty() || name.size() > name_limit) {
        return false;
    }
    std::vector<std::string_view> components = split(name, '/');
    return std::ranges::all_of(components, is_component);
}

Upload::~Upload() {
    unlink(path_.c_str());
}

Result<void> Upload::append(ByteSource& source) {
    std::vector<char> buffer(128U << 10);
    while (std::size_t count = TRY(source.read(buffer))) {
        std::string_view bytes(buffer.data(), count);
        TRY(write_all(fd, bytes));
        hash.update(bytes);
        size += count;
    }
    return ok();
}

Result<std::unique_ptr<Storage>> Storage::open(const std::string& root) {
    for (const char* folder : {"/blobs/sha256", "/repositories", "/uploads"}) {
        TRY(make_directories(root + folder, 0750));
    }
    FileLock lock = TRY_CONTEXT(FileLock::acquire(root + "/lock"), "registry " + root);
    std::unique_ptr<Storage> storage(new Storage(root, std::move(lock)));
    TRY(storage->sweep());
    return storage;
}

// Uploads of a killed process, and blobs whose last repository let go of them just before it died.
Result<void> Storage::sweep() {
    std::string uploads = root_ + "/uploads/";
    for (const std::string& name : TRY(list_directory(uploads))) {
        unlink((uploads + name).c_str());
    }
    std::string pool = root_ + "/blobs/sha256/";
    for (const std::string& name : TRY(list_directory(pool))) {
        struct stat status {};

        if (lstat((pool + name).c_str(), &status) == 0 && status.st_nlink == 1) {
            unlink((pool + name).c_str());
        }
    }
    return ok();
}

std::string Storage::layout_of(const std::string& repository) const {
    return root_ + "/repositories/" + repository + "/" + std::string(layout_folder);
}

std::string Storage::blob_path(const std::string& repository, const oci::Digest& digest) const {
    return layout_of(repository) + "/blobs/sha256/" + std::string(digest.hex());
}

std::string Storage::pool_path(const oci::Digest& digest) const {
    return root_ + "/blobs/sha256/" + std::string(digest.hex());
}

Result<void> Storage::ensure_layout(const std::string& repository) {
    std::string layout = layout_of(repository);
    if (exists(layout + "/oci-layout")) {
        return ok();
    }
    TRY(make_directories(layout + "/blobs/sha256", 0750));
    if (!exists(layout + "/index.json")) {
        TRY(write_index(repository, oci::Index{}));
    }
    return replace_file(layout + "/oci-layout", layout_file, 0640);
}

// ---- blobs ----

Result<OpenBlob>
Storage::open_blob(const std::string& repository, const oci::Digest& digest) const {
    auto fd = open_file(blob_path(repository, digest), O_RDONLY | O_NOFOLLOW);
    if (!fd.ok()) {
        Error error = std::move(fd).error();
        return is_missing(error) ? not_found("blob unknown to registry") : error;
    }

    struct stat status {};

    if (fstat(fd->get(), &status) != 0) {
        return errno_error("blob " + digest.to_string());
    }
    return OpenBlob{std::move(*fd), static_cast<std::uint64_t>(status.st_size)};
}

Result<void> Storage::link_blob(const std::string& repository, const oci::Digest& digest) {
    TRY(ensure_layout(repository));
    TRY(link_file(pool_path(digest), blob_path(repository, digest)));
    return sync_directory(layout_of(repository) + "/blobs/sha256");
}

Result<bool>
Storage::mount(const std::string& from, const std::string& to, const oci::Digest& digest) {
    std::lock_guard lock(mutex_);
    if (!exists(blob_path(from, digest))) {
        return false;
    }
    TRY(link_blob(to, digest));
    return true;
}

void Storage::drop_from_pool(const oci::Digest& digest) {
    std::string path = pool_path(digest);

    struct stat status {};

    if (lstat(path.c_str(), &status) == 0 && status.st_nlink == 1) {
        unlink(path.c_str());
    }
}

Result<void> Storage::remove_blob(const std::string& repository, const oci::Digest& digest) {
    std::lock_guard lock(mutex_);
    if (unlink(blob_path(repository, digest).c_str()) != 0) {
        return errno == ENOENT || errno == ENOTDIR ? not_found("blob unknown to registry")
                                                   : errno_error("remove " + digest.to_string());
    }
    drop_from_pool(digest);
    return ok();
}

// The bytes are on disk before their name is.
Result<void> Storage::publish(
    const std::string& temporary, const std::string& repository, const oci::Digest& digest) {
    std::lock_guard lock(mutex_);
    TRY(link_file(temporary, pool_path(digest)));
    TRY(sync_directory(root_ + "/blobs/sha256"));
    return link_blob(repository, digest);
}

// ---- repositories ----

Result<void> Storage::list_repositories(
    const std::string& prefix, std::vector<std::string>& names, int depth) const {
    std::string folder = root_ + "/repositories/" + prefix;
    for (const std::string& name : TRY(list_directory(folder))) {
        if (name == layout_folder) {
            names.push_back(prefix);
        } else if (depth < depth_limit && is_component(name)) {
            TRY(list_repositories(prefix.empty() ? name : prefix + "/" + name, names, depth + 1));
        }
    }
    return ok();
}

Result<std::vector<std::string>> Storage::repositories() const {
    std::vector<std::string> names;
    TRY(list_repositories("", names, 0));
    std::ranges::sort(names);
    return names;
}

} // namespace berth::registry
