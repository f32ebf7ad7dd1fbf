// SPDX-License-Identifier: Apache-2.0
// The tree: a repository's folder is <root>/repositories/<name>/ with _layout and _uploads in it.
// No name component begins with an underscore, so names can neither collide with these nor leave
// the tree.
#include "registry/server/storage.h"

#include "registry/server/route.h"
#include "registry/server/storage_files.h"

#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

namespace {

constexpr int depth_limit = 128; // components of a name
constexpr std::string_view layout_file = R"({"imageLayoutVersion":"1.0.0"})";
} // namespace

Storage::Storage(StorageOptions options, FileLock lock)
    : options_(std::move(options))
    , lock_(std::move(lock))
    , total_(options_.total_bytes, "the registry") {}

Storage::~Storage() {
    for (const std::shared_ptr<Repository>& repository : all_repositories()) {
        std::lock_guard writer(repository->writing);
        settle_or_warn(*repository);
    }
}

Result<std::unique_ptr<Storage>> Storage::open(StorageOptions options) {
    const std::string& root = options.root;
    for (const char* folder : {"/blobs/sha256", "/blobs/sha512", "/repositories", "/tmp"}) {
        TRY(make_directories(root + folder, 0750));
    }
    FileLock lock = TRY_CONTEXT(FileLock::acquire(root + "/lock"), "registry " + root);
    std::unique_ptr<Storage> storage(new Storage(std::move(options), std::move(lock)));
    TRY(storage->sweep_pool());
    TRY(storage->find_repositories("", 0));
    return storage;
}

// Manifests that a killed process was writing, and blobs whose last repository let go of them just
// before it died.
Result<void> Storage::sweep_pool() {
    std::string temporary = options_.root + "/tmp/";
    for (const std::string& name : TRY(list_directory(temporary))) {
        unlink((temporary + name).c_str());
    }
    for (const char* algorithm : oci::blob_algorithms) {
        std::string pool = options_.root + "/blobs/" + algorithm + "/";
        for (const std::string& name : TRY(list_directory(pool))) {
            struct stat status {};

            if (lstat((pool + name).c_str(), &status) != 0) {
                continue;
            }
            if (status.st_nlink == 1) {
                unlink((pool + name).c_str());
            } else {
                total_.add(static_cast<std::uint64_t>(status.st_size));
            }
        }
    }
    return ok();
}

Result<void> Storage::find_repositories(const std::string& prefix, int depth) {
    std::string folder = options_.root + "/repositories/" + prefix;
    for (const std::string& name : TRY(list_directory(folder))) {
        if (name == "_layout" && exists(folder + "/_layout/oci-layout")) {
            repositories_.lock()->emplace(
                prefix, std::make_shared<Repository>(prefix, options_.repository_bytes));
        } else if (name == "_uploads") {
            uploads_on_disk_ += TRY(list_directory(folder + "/_uploads")).size();
            total_.add(size_of_files(folder + "/_uploads"));
        } else if (depth < depth_limit && is_name_component(name)) {
            TRY(find_repositories(prefix.empty() ? name : prefix + "/" + name, depth + 1));
        }
    }
    return ok();
}

std::string Storage::folder_of(const std::string& repository) const {
    return options_.root + "/repositories/" + repository;
}

std::string Storage::layout_of(const std::string& repository) const {
    return folder_of(repository) + "/_layout";
}

std::string Storage::blob_path(const std::string& repository, const oci::Digest& digest) const {
    std::string path = layout_of(repository);
    path.append("/blobs/").append(digest.algorithm()).append("/").append(digest.hex());
    return path;
}

std::string Storage::pool_path(const oci::Digest& digest) const {
    std::string path = options_.root;
    path.append("/blobs/").append(digest.algorithm()).append("/").append(digest.hex());
    return path;
}

std::shared_ptr<Repository> Storage::find_repository(std::string_view name) const {
    auto repositories = repositories_.lock();
    auto found = repositories->find(name);
    return found == repositories->end() ? nullptr : found->second;
}

Result<std::shared_ptr<Repository>> Storage::loaded(std::string_view name) {
    std::shared_ptr<Repository> repository = find_repository(name);
    if (!repository) {
        return not_found("repository name not known to registry");
    }
    TRY(load(*repository));
    return repository;
}

Result<std::shared_ptr<Repository>> Storage::ensure_repository(const std::string& name) {
    if (std::shared_ptr<Repository> known = find_repository(name)) {
        TRY(load(*known));
        return known;
    }
    std::lock_guard one_at_a_time(creating_);
    if (std::shared_ptr<Repository> known = find_repository(name)) {
        TRY(load(*known));
        return known;
    }
    if (repository_count() >= options_.repositories) {
        return Error(
            ErrorKind::ResourceExhausted,
            "more than " + std::to_string(options_.repositories) + " repositories");
    }
    std::string layout = layout_of(name);
    for (const char* algorithm : oci::blob_algorithms) {
        TRY(make_directories(layout + "/blobs/" + algorithm, 0750));
    }
    TRY(make_directories(folder_of(name) + "/_uploads", 0750));
    if (!exists(layout + "/index.json")) {
        TRY(replace_file(layout + "/index.json", RepositoryIndex().serialize(), 0640));
    }
    TRY(replace_file(layout + "/oci-layout", layout_file, 0640)); // makes it a repository
    for (std::string folder = folder_of(name); folder.size() > options_.root.size();
         folder.resize(folder.rfind('/'))) {
        TRY(sync_directory(folder)); // its names are new, perhaps
    }
    auto made = std::make_shared<Repository>(name, options_.repository_bytes);
    TRY(load(*made));
    repositories_.lock()->emplace(name, made);
    return made;
}

std::vector<std::shared_ptr<Repository>> Storage::all_repositories() const {
    auto repositories = repositories_.lock();
    std::vector<std::shared_ptr<Repository>> all;
    all.reserve(repositories->size());
    for (const auto& [name, repository] : *repositories) {
        all.push_back(repository);
    }
    return all;
}

NamePage Storage::repositories(std::string_view last, std::size_t count) const {
    auto repositories = repositories_.lock();
    NamePage page;
    auto next = last.empty() ? repositories->begin() : repositories->upper_bound(last);
    for (; next != repositories->end() && page.names.size() < count; ++next) {
        page.names.push_back(next->first);
    }
    page.more = next != repositories->end();
    return page;
}

} // namespace berth::registry
