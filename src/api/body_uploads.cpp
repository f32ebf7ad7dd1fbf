// SPDX-License-Identifier: Apache-2.0
// https://github.com/moby/moby/blob/v28.5.2/builder/builder-next/builder.go, SetUpload, WaitUpload
#include "api/body_uploads.h"

#include <chrono>
#include <utility>

namespace berth::api {

namespace {

constexpr std::chrono::seconds patience{5}; // dockerd's

} // namespace

BodyUploads::Taken::~Taken() {
    {
        const std::lock_guard lock(uploads_.mutex_);
        upload_->given_back = true;
    }
    uploads_.changed_.notify_all();
}

Result<void>
BodyUploads::offer(const std::stop_token& stop, const std::string& id, ByteSource& body) {
    auto upload = std::make_shared<Upload>(Upload{.source = &body});
    std::unique_lock lock(mutex_);
    if (!uploads_.emplace(id, upload).second) {
        return conflict("an upload for the build " + id + " is there already");
    }
    changed_.notify_all();
    changed_.wait_for(lock, stop, patience, [&upload] { return upload->source == nullptr; });
    if (upload->source != nullptr) {
        uploads_.erase(id);
        return not_found("no build " + id + " wants an upload");
    }
    // However long the build reads: a client that goes ends its reading.
    changed_.wait(lock, [&upload] { return upload->given_back; });
    return ok();
}

Result<std::unique_ptr<BodyUploads::Taken>>
BodyUploads::take(const std::stop_token& stop, const std::string& id) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, stop, patience, [this, &id] { return uploads_.contains(id); })) {
        return not_found("no upload came for the build " + id);
    }
    auto upload = uploads_.extract(id).mapped();
    ByteSource& source = *std::exchange(upload->source, nullptr);
    changed_.notify_all();
    return std::make_unique<Taken>(*this, std::move(upload), source);
}

} // namespace berth::api
