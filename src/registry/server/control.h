// SPDX-License-Identifier: Apache-2.0
// The socket in a registry's root, by which its owner asks the process that serves it for what that
// alone may do. Internal to the server.
#pragma once

#include "http/message.h"
#include "http/response_writer.h"
#include "registry/server/collector.h"
#include "registry/server/options.h"
#include "registry/server/storage.h"

#include <stop_token>
#include <string>

namespace berth::registry {

std::string control_path(const std::string& root);

// POST /collect?grace=…&untagged=1 and POST /check?repair=1, answered with the report.
struct Control {
    Storage& storage;
    Collector& collector;
    const Options& options;

    void serve(
        const std::stop_token& stop, const http::Request& request, http::ResponseWriter& response);

  private:
    Result<std::string> run(const std::stop_token& stop, const http::Request& request);
};

// These ask the process that serves the root; Unavailable when there is none.
Result<std::string> collect_by_control(const std::string& root, const CollectionOptions& options);
Result<std::string> check_by_control(const std::string& root, bool repair);

// {"manifests":…,"blobs":…,"uploads":…,"bytes":…,"skipped":…}
std::string to_json(const CollectReport& report);
// {"repositories":…,"manifests":…,"blobs":…,"bytes":…,"repaired":…,"unrepaired":…,
//  "problems":[{"where":…,"what":…,"repaired":…}]}
std::string to_json(const CheckReport& report);

} // namespace berth::registry
