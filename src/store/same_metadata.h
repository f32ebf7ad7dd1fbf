// SPDX-License-Identifier: Apache-2.0
// What makes a directory the same before and after, for the two ways to find differences.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/layer_attributes.h"
#include "store/overlay_form.h"

#include <map>
#include <string>

#include <sys/stat.h>

namespace berth::store {

inline bool same_time(const struct stat& a, const struct stat& b) {
    return a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

inline bool same_owner_and_mode(const struct stat& a, const struct stat& b) {
    return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid;
}

// setcap(8) and setfacl(1) leave everything else as it was.
inline Result<bool> same_attributes(FdRef directory, FdRef before, const std::string& name) {
    const std::map<std::string, std::string> now =
        TRY(portable_attributes(descriptor_path(directory, name)));
    return now == TRY(portable_attributes(descriptor_path(before, name)));
}

} // namespace berth::store
