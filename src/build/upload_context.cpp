// SPDX-License-Identifier: Apache-2.0
// https://github.com/moby/buildkit/tree/v0.25.1/session/upload
#include "build/upload_context.h"

#include "build/proto/session.pb.h"

#include <algorithm>
#include <functional>
#include <span>
#include <stop_token>
#include <utility>

namespace berth::build {

namespace {

constexpr const char* pull = "/moby.upload.v1.Upload/Pull";
constexpr std::string_view upload_host = "http://buildkit-session/";

} // namespace

std::optional<std::string> upload_path(std::string_view address) {
    if (!address.starts_with(upload_host)) {
        return std::nullopt;
    }
    return std::string(address.substr(upload_host.size() - 1));
}

// The bytes that the client sends, one message after the other.
class UploadContext::Upload final : public ByteSource {
  public:
    Upload(ClientSession& session, const std::string& path, std::stop_token stop)
        : stop_(std::move(stop))
        , stream_(session.channel().open(pull, {{"urlpath", path}}, std::nullopt))
        , on_stop_(stop_, [this] { stream_->cancel(); }) {
        stream_->end_writes();
    }

    Result<std::size_t> read(std::span<char> buffer) override {
        while (given_ == message_.data().size()) {
            std::string bytes;
            if (ended_ || !stream_->read(bytes)) {
                TRY(end());
                return std::size_t{0};
            }
            if (!message_.ParseFromString(bytes)) {
                return invalid_argument("the client sent a message that cannot be read");
            }
            given_ = 0;
        }
        const std::string_view rest = std::string_view(message_.data()).substr(given_);
        const std::size_t count = std::min(rest.size(), buffer.size());
        std::ranges::copy(rest.substr(0, count), buffer.begin());
        given_ += count;
        return count;
    }

  private:
    // A connection that broke is no end of an archive.
    Result<void> end() {
        if (!std::exchange(ended_, true)) {
            verdict_ = stream_->finish();
        }
        if (stop_.stop_requested()) {
            return Error(ErrorKind::Cancelled, "build cancelled");
        }
        return verdict_;
    }

    std::stop_token stop_;
    std::unique_ptr<RpcStream> stream_;
    std::stop_callback<std::function<void()>> on_stop_;
    session::BytesMessage message_;
    std::size_t given_ = 0; // of the message
    bool ended_ = false;
    Result<void> verdict_ = ok();
};

UploadContext::UploadContext(std::shared_ptr<ClientSession> session, std::string path)
    : session_(std::move(session))
    , path_(std::move(path)) {}

UploadContext::~UploadContext() = default;

Result<std::string> UploadContext::dockerfile(const ContextPlace& place, const std::string& name) {
    upload_ = std::make_unique<Upload>(*session_, path_, place.stop);
    archive_.emplace(*upload_);
    return archive_->dockerfile(place, name);
}

Result<BuildContext> UploadContext::files(const ContextPlace& place) {
    return archive_->files(place);
}

} // namespace berth::build
