// SPDX-License-Identifier: Apache-2.0
// Volume plugins over Docker's protocol: JSON over HTTP on a socket that is found by the plugin's
// name. https://docs.docker.com/engine/extend/plugin_api/ and plugins_volume/. Thread-safe; calls
// block, for as long as Options says at most, whatever the plugin does.
#pragma once

#include "base/result.h"
#include "base/synchronized.h"
#include "engine/container_config.h"
#include "http/client.h"

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::engine {

struct PluginVolume {
    std::string name;
    std::string mountpoint;
    std::string created_at; // RFC 3339, or empty
    std::string status;     // a JSON object, or empty
};

class VolumePlugins {
  public:
    struct Options {
        std::string sockets = "/run/docker/plugins";
        std::vector<std::string> specifications{"/etc/docker/plugins", "/usr/lib/docker/plugins"};
        // Unreachable for this long: given up (Docker's times).
        std::chrono::milliseconds patience{30'000};
        std::chrono::milliseconds first_wait{1'000};
        // For a whole answer: of a creation or a mount, and of all else.
        std::chrono::milliseconds long_time{120'000};
        std::chrono::milliseconds short_time{60'000};
        // Of one that is asked in passing; who leaves that unanswered is not asked so for a while.
        std::chrono::milliseconds glance_time{5'000};
        std::chrono::milliseconds silence{30'000};
    };

    // One that is asked by name may be about to start; one that is asked because it happens to be
    // there must not make others wait.
    enum class Patience : bool { None, Full };

    VolumePlugins();
    explicit VolumePlugins(Options options);
    ~VolumePlugins();

    // NotFound "error looking up volume plugin x: plugin "x" not found" for a driver that is not
    // there; the plugin's own words otherwise.
    Result<void>
    create(const std::string& driver, const std::string& volume, const StringMap& options);
    Result<void> remove(const std::string& driver, const std::string& volume);
    // The directory where it is mounted now. `user` stands for one use of it.
    Result<std::string>
    mount(const std::string& driver, const std::string& volume, const std::string& user);
    Result<void>
    unmount(const std::string& driver, const std::string& volume, const std::string& user);
    // nullopt: the plugin does not know it.
    Result<std::optional<PluginVolume>>
    get(const std::string& driver, const std::string& volume, Patience patience = Patience::Full);
    Result<std::vector<PluginVolume>> list(const std::string& driver, Patience patience);
    // "local" or "global".
    std::string scope(const std::string& driver);

    // Names of those that lie in the directories; the ones that turn out not to be volume plugins
    // are left out once that is known.
    std::vector<std::string> names() const;

  private:
    struct Plugin;
    using PluginPtr = std::shared_ptr<Plugin>;

    Result<PluginPtr> find(const std::string& driver, Patience patience = Patience::Full);
    // Asks what it is.
    Result<void> activate(Plugin& plugin, const std::string& driver, Patience patience);

    struct Call {
        std::string_view method;
        std::string body;
        Patience patience = Patience::Full;
    };

    std::chrono::milliseconds answer_time(const Call& call) const;
    Error given_up(Plugin& plugin, const Call& call, const Error& error) const;
    Result<std::string> call(Plugin& plugin, const Call& call) const;

    Options options_;
    Synchronized<std::map<std::string, PluginPtr>> active_;
};

} // namespace berth::engine
