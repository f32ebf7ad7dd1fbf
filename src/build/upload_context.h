// SPDX-License-Identifier: Apache-2.0
// A build's files as one archive that its client uploads over its session: what `docker build -`
// reads from its standard input. BuildKit's Upload/Pull; the Dockerfile is in the archive.
#pragma once

#include "build/client_sessions.h"
#include "build/context_source.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace berth::build {

// The address of an upload, "http://buildkit-session/ID": its path; nullopt for other addresses.
std::optional<std::string> upload_path(std::string_view address);

class UploadContext final : public ContextSource {
  public:
    UploadContext(std::shared_ptr<ClientSession> session, std::string path);
    ~UploadContext() override;

    Result<std::string> dockerfile(const ContextPlace& place, const std::string& name) override;
    Result<BuildContext> files(const ContextPlace& place) override;

  private:
    class Upload;

    std::shared_ptr<ClientSession> session_;
    std::string path_;
    std::unique_ptr<Upload> upload_;
    std::optional<TarContext> archive_;
};

} // namespace berth::build
