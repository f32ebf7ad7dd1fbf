// SPDX-License-Identifier: Apache-2.0
// <state root>/<id>/: state.json, config.json (a copy: the bundle may change or go) and start.fifo,
// the gate that init waits at. Format: docs/formats/runtime-state.md.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/json.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace berth::runtime {

struct StateRecord {
    std::string id;
    std::string oci_version;
    std::string bundle;
    std::string rootfs;
    pid_t pid = 0; // 0 while it is being created
    std::uint64_t start_time = 0;
    Timestamp created;
    std::string cgroup;
    std::string systemd_unit; // "": directories of our own
    bool has_hooks = false;
    std::string rdt_group; // directories of resctrl that were made for it
    std::string rdt_monitor;
    std::map<std::string, std::string> annotations;
};

class StateDirectory {
  public:
    // InvalidArgument for an id with other characters than [A-Za-z0-9_+.-] or one of "." and "..".
    static Result<StateDirectory> at(const std::string& root, const std::string& id);

    const std::string& path() const { return path_; }

    std::string gate_path() const { return path_ + "/start.fifo"; }

    std::string config_path() const { return path_ + "/config.json"; }

    // Conflict when it exists.
    Result<void> create() const;

    // Writes config.json. As long as the result is open, and no other descriptor of the file was
    // closed by this process, creator_works() is true for others.
    Result<UniqueFd> write_config(std::string_view text) const;
    bool creator_works() const;
    Result<void> write(const StateRecord& record) const;
    // NotFound: container "x" does not exist.
    Result<StateRecord> read() const;
    Result<void> remove() const;

  private:
    StateDirectory(std::string path, std::string id)
        : path_(std::move(path))
        , id_(std::move(id)) {}

    std::string path_;
    std::string id_;
};

} // namespace berth::runtime

namespace berth::json {

template <>
struct Fields<runtime::StateRecord> {
    static constexpr auto table = std::tuple{
        field("id", &runtime::StateRecord::id),
        field("ociVersion", &runtime::StateRecord::oci_version),
        field("bundle", &runtime::StateRecord::bundle),
        field("rootfs", &runtime::StateRecord::rootfs),
        field("pid", &runtime::StateRecord::pid),
        field("startTime", &runtime::StateRecord::start_time),
        field("created", &runtime::StateRecord::created),
        field("cgroup", &runtime::StateRecord::cgroup),
        field("systemdUnit", &runtime::StateRecord::systemd_unit, OmitEmpty),
        field("hasHooks", &runtime::StateRecord::has_hooks),
        field("rdtGroup", &runtime::StateRecord::rdt_group, OmitEmpty),
        field("rdtMonitor", &runtime::StateRecord::rdt_monitor, OmitEmpty),
        field("annotations", &runtime::StateRecord::annotations, OmitEmpty)};
};

} // namespace berth::json
