// SPDX-License-Identifier: Apache-2.0
// What a log tells of the container that it comes from: the tag, and the labels and variables that
// the log's options ask for.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "engine/container_config.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

struct ContainerDefinition;
struct ContainerInspect;

struct LogInfo {
    StringMap options; // of --log-opt
    std::string id;
    std::string name; // without its slash
    std::string entrypoint;
    std::vector<std::string> arguments;
    std::string image_id; // sha256:…
    std::string image_name;
    Timestamp created;
    std::vector<std::string> environment; // NAME=value
    StringMap labels;

    std::string_view option(const std::string& name) const;
    std::string command() const;
};

LogInfo log_info_of(const ContainerDefinition& definition);
LogInfo log_info_of(const ContainerInspect& container);

// What the options labels, labels-regex, env and env-regex choose, by names that `rename` makes.
Result<StringMap> log_attributes(
    const LogInfo& info, const std::function<std::string(std::string_view)>& rename = {});

// Those of the container's own files: with the tag where one was asked for. Empty for drivers that
// keep none there.
Result<StringMap> local_log_attributes(const LogInfo& info);

// As `docker logs --details` shows them: name=value pairs, escaped as in a query; empty where the
// driver keeps none in its files.
std::string log_details(const LogInfo& info, std::string_view driver);

// A tag's template in Go's form, {{.Name}}/{{.ID}}: fields, index .ContainerLabels "x", and the
// functions lower, upper and title. InvalidArgument for others.
Result<std::string> expand_log_tag(std::string_view text, const LogInfo& info);

// The option `tag`, or the template that stands where there is none.
Result<std::string> log_tag(const LogInfo& info, std::string_view otherwise = "{{.ID}}");

// Of this machine; what Docker's drivers call the source.
std::string log_host_name();

} // namespace berth::engine
