// SPDX-License-Identifier: Apache-2.0
// One solve of BuildKit's API: what Control/Solve asked for, what its frontend's calls have built,
// and what those who follow it are told. And all of them, by the name that the client made up.
#pragma once

#include "api/buildkit.h"
#include "api/frontend_attributes.h"
#include "base/result.h"
#include "build/proto/control.pb.h"
#include "build/solve_status.h"
#include "oci/digest.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::api {

class Solve {
  public:
    // InvalidArgument or NotImplemented for what cannot be solved or exported here.
    static Result<std::shared_ptr<Solve>> create(const build::control::SolveRequest& request);

    const std::string& ref() const { return ref_; }

    build::StatusLog& status() { return status_; }

    // Empty: the client's own calls say what to build.
    const std::string& frontend() const { return frontend_; }

    const FrontendAttributes& attributes() const { return attributes_; }

    // Builds with the Dockerfile frontend; the result's name for later calls.
    Result<std::string>
    build(BuildKit& buildkit, const std::stop_token& stop, const FrontendAttributes& attributes);

    // The frontend's last word: the result's name, or what went wrong.
    void set_result(Result<std::string> result);
    // Waits for it; Cancelled when stop fires.
    Result<std::string> wait_for_result(const std::stop_token& stop);

    // Gives the image its names; what the exporter answers.
    Result<std::map<std::string, std::string>>
    export_image(BuildKit& buildkit, const std::string& result);

    // No more calls: those that wait end.
    void finish();

  private:
    std::string ref_;
    std::string session_;
    std::string frontend_;
    FrontendAttributes attributes_;
    bool has_exporter_ = false;
    std::vector<oci::Reference> names_;
    build::StatusLog status_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::optional<Result<std::string>> result_;
    std::map<std::string, oci::Digest> images_; // by the name of the result
};

// Thread-safe.
class Solves {
  public:
    Result<void> add(const std::shared_ptr<Solve>& solve);
    // Kept for a little while: the client may ask for its status only now.
    void finish(const std::shared_ptr<Solve>& solve);
    // Waits a little: clients call Solve and what belongs to it at the same time.
    Result<std::shared_ptr<Solve>> wait_for(const std::stop_token& stop, const std::string& ref);

  private:
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::map<std::string, std::shared_ptr<Solve>> running_;
    std::deque<std::shared_ptr<Solve>> finished_;
};

} // namespace berth::api
