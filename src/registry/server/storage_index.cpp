// SPDX-License-Identifier: Apache-2.0
// A repository's index on disk: index.json, and a journal of what it does not have yet.
//
// index.json makes the repository an image layout that others can read, and lists everything: to
// write it at each push would cost more the more there is. So a change of a large index is one
// line, appended to the journal and synced; index.json follows once nothing was changed for a
// second, after half a minute of changes without a pause, or when the journal has grown to a
// quarter of it. Changes are numbered and index.json has the number of its last one, so no order
// between the two files matters: of a journal only what is newer counts. What a removed manifest
// leaves on disk goes after index.json has forgotten it, so that what that names is always there.
#include "base/log.h"
#include "registry/server/index_change.h"
#include "registry/server/storage.h"
#include "registry/server/storage_files.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::registry {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t least_backlog =
    64; // changes that the journal may have however small the index
constexpr std::chrono::seconds pause{1};
constexpr std::chrono::seconds longest_delay{30};

// What was appended of a line that could not be written whole goes again.
Result<void> append_synced(const std::string& path, std::string_view line, Journal& journal) {
    bool fresh = !exists(path);
    UniqueFd fd = TRY(open_file(path, O_WRONLY | O_CREAT, 0640));
    auto fail = [&](Error error) {
        journal.broken = ftruncate(fd.get(), static_cast<off_t>(journal.bytes)) != 0;
        return error;
    };
    if (lseek(fd.get(), static_cast<off_t>(journal.bytes), SEEK_SET) < 0) {
        return errno_error("seek in " + path);
    }
    if (auto written = write_all(fd, line); !written.ok()) {
        return fail(std::move(written).error().with_context(path));
    }
    if (fdatasync(fd.get()) != 0) {
        return fail(errno_error("sync " + path));
    }
    if (fresh) {
        TRY(sync_directory(path.substr(0, path.rfind('/'))));
    }
    journal.bytes += line.size();
    return ok();
}

} // namespace

std::string Storage::journal_path(const std::string& repository) const {
    return folder_of(repository) + "/_changes";
}

// Reads index and journal and counts the blobs, once.
Result<void> Storage::load(Repository& repository) {
    {
        std::shared_lock lock(repository.mutex);
        if (repository.index) {
            return ok();
        }
    }
    std::lock_guard writer(repository.writing);
    std::unique_lock lock(repository.mutex);
    if (repository.index) {
        return ok();
    }
    std::string layout = layout_of(repository.name);
    auto text = read_file(layout + "/index.json", index_limit);
    if (!text.ok()) {
        return is_missing(text.error()) ? not_found("repository name not known to registry")
                                        : std::move(text).error();
    }
    RepositoryIndex index =
        TRY_CONTEXT(RepositoryIndex::parse(*text), "index of repository " + repository.name);
    auto lines = read_file(journal_path(repository.name), index_limit);
    if (lines.ok()) {
        auto journal = TRY_CONTEXT(read_journal(*lines), "repository " + repository.name);
        for (const IndexChange& change : journal.changes) {
            if (change.number > index.changes()) {
                change.apply(index);
                repository.journal.changes += 1;
            }
        }
        repository.journal.bytes = journal.bytes;
        if (lines->size() > journal.bytes) {
            repository.journal.broken =
                truncate(
                    journal_path(repository.name).c_str(), static_cast<off_t>(journal.bytes)) != 0;
        }
    } else if (!is_missing(lines.error())) {
        return std::move(lines).error();
    }
    for (const char* algorithm : oci::blob_algorithms) {
        repository.usage.add(size_of_files(layout + "/blobs/" + algorithm));
    }
    repository.usage.add(size_of_files(folder_of(repository.name) + "/_uploads"));
    repository.index = std::move(index);
    if (repository.journal.changes > 0) {
        keeper_.note(repository);
    }
    return ok();
}

Result<void> Storage::replace_index(Repository& repository, RepositoryIndex changed) {
    TRY(replace_file(layout_of(repository.name) + "/index.json", changed.serialize(), 0640));
    std::unique_lock lock(repository.mutex);
    repository.index = std::move(changed);
    return ok();
}

// REQUIRES: the caller holds `writing`, so that nobody else changes the index meanwhile.
Result<void> Storage::commit(Repository& repository, IndexChange change) {
    Journal& journal = repository.journal;
    change.number = repository.index->changes() + 1;
    bool straight = repository.index->size() < options_.small_index || journal.broken;
    if (straight && journal.changes == 0) {
        RepositoryIndex changed = *repository.index;
        change.apply(changed);
        return replace_index(repository, std::move(changed));
    }
    if (journal.broken) {
        TRY(settle(repository));
        return commit(repository, std::move(change));
    }
    TRY(append_synced(journal_path(repository.name), change.to_line(), journal));
    {
        std::unique_lock lock(repository.mutex);
        change.apply(*repository.index);
    }
    journal.last = Clock::now();
    journal.first = journal.changes == 0 ? journal.last : journal.first;
    journal.changes += 1;
    if (journal.changes > std::max(least_backlog, repository.index->size() / 4)) {
        settle_or_warn(repository);
    } else {
        keeper_.note(repository);
    }
    return ok();
}

// Brings index.json up to date. REQUIRES: the caller holds `writing`.
Result<void> Storage::settle(Repository& repository) {
    Journal& journal = repository.journal;
    if (journal.changes > 0 || journal.broken) {
        std::string path = layout_of(repository.name) + "/index.json";
        TRY(replace_file(path, repository.index->serialize(), 0640));
        journal.changes = 0;
        if (truncate(journal_path(repository.name).c_str(), 0) == 0 || errno == ENOENT) {
            journal.bytes = 0;
            journal.broken = false;
        }
    }
    std::unique_lock lock(repository.mutex);
    for (const DoomedManifest& doomed : std::exchange(journal.doomed, {})) {
        // What was sent again in the same second is left to the collector.
        if (repository.index->find(doomed.digest.to_string()) == nullptr &&
            is_older(blob_path(repository.name, doomed.digest), doomed.since)) {
            unlink_blob(repository, doomed.digest);
        }
    }
    return ok();
}

void Storage::settle_or_warn(Repository& repository) {
    if (auto settled = settle(repository); !settled.ok()) {
        log::warn(
            "index.json was not brought up to date, retrying later",
            {{"repository", repository.name}, {"error", settled.error().message()}});
        keeper_.note(repository);
    }
}

// For the keeper: true when nothing is left to do.
bool Storage::settle_when_quiet(Repository& repository) {
    std::lock_guard writer(repository.writing);
    const Journal& journal = repository.journal;
    if (journal.changes > 0 && Clock::now() - journal.last < pause &&
        Clock::now() - journal.first < longest_delay) {
        return false;
    }
    auto settled = settle(repository);
    if (!settled.ok()) {
        log::debug(
            "index.json was not brought up to date",
            {{"repository", repository.name}, {"error", settled.error().message()}});
    }
    return settled.ok();
}

} // namespace berth::registry
