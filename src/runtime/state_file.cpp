// SPDX-License-Identifier: Apache-2.0
// The state root usually is on a tmpfs and goes with the machine, so nothing is synced.
#include "runtime/state_file.h"

#include "base/file.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::runtime {

namespace {

constexpr std::size_t max_id = 1024;

bool is_valid_id(std::string_view id) {
    return !id.empty() && id.size() <= max_id && id != "." && id != ".." &&
           std::all_of(id.begin(), id.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '+' || c == '-' || c == '.';
           });
}

} // namespace

Result<StateDirectory> StateDirectory::at(const std::string& root, const std::string& id) {
    if (!is_valid_id(id)) {
        return invalid_argument("invalid container ID format: \"" + id + "\"");
    }
    return StateDirectory(root + "/" + id, id);
}

Result<void> StateDirectory::create() const {
    if (::mkdir(path_.c_str(), 0700) < 0) {
        if (errno == ENOENT) {
            TRY(make_directories(path_.substr(0, path_.rfind('/')), 0700));
            if (::mkdir(path_.c_str(), 0700) == 0) {
                return ok();
            }
        }
        if (errno == EEXIST) {
            return conflict("container with given ID already exists");
        }
        return errno_error("state directory " + path_);
    }
    return ok();
}

// A lock of the process (fcntl(2)), not of the descriptor: the container's init, which is a copy of
// its creator, does not hold it, and it goes with the creator whatever ends that.
Result<UniqueFd> StateDirectory::write_config(std::string_view text) const {
    UniqueFd file = TRY(open_file(config_path(), O_WRONLY | O_CREAT | O_EXCL, 0600));

    struct flock lock {};

    lock.l_type = F_WRLCK;
    if (::fcntl(file.get(), F_SETLK, &lock) < 0) {
        return errno_error("lock " + config_path());
    }
    TRY(write_all(file, text));
    return file;
}

bool StateDirectory::creator_works() const {
    Result<UniqueFd> file = open_file(config_path(), O_RDWR);
    if (!file.ok()) {
        return false;
    }

    struct flock lock {};

    lock.l_type = F_WRLCK;
    return ::fcntl(file->get(), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

Result<void> StateDirectory::write(const StateRecord& record) const {
    return replace_file(path_ + "/state.json", json::encode_text(record), 0600, Sync::No);
}

Result<StateRecord> StateDirectory::read() const {
    Result<std::string> text = read_file(path_ + "/state.json");
    if (!text.ok()) {
        // A directory without state.json: another process is just creating or removing it.
        return text.error().error_number() == ENOENT || text.error().error_number() == ENOTDIR
                   ? not_found("container \"" + id_ + "\" does not exist")
                   : std::move(text).error();
    }
    return TRY_CONTEXT(json::decode_text<StateRecord>(*text), path_ + "/state.json");
}

Result<void> StateDirectory::remove() const {
    return remove_tree(path_);
}

} // namespace berth::runtime
