// SPDX-License-Identifier: Apache-2.0
// The engine: owns the stores, the network, the loop and one service per noun. Thread-safe after
// open(). Destroying it leaves running containers alone; shutdown() stops them as dockerd does.
#pragma once

#include "base/result.h"
#include "engine/containers.h"
#include "engine/daemon_config.h"
#include "engine/events.h"
#include "engine/execs.h"
#include "engine/networks.h"
#include "engine/system.h"
#include "engine/volumes.h"

#include <memory>
#include <string>

namespace berth::io {
class EventLoop;
}

namespace berth::store {
class Database;
class BlobStore;
class LayerStore;
class ImageStore;
class Store;
} // namespace berth::store

namespace berth::network {
class Network;
}

namespace berth::engine {

class Collector;      // engine/collector.h
class Images;         // engine/images.h
struct Metrics;       // engine/metrics.h
class SelinuxLabeler; // engine/selinux.h

struct EngineOptions {
    DaemonConfig config;
    // Programs beside this one: <directory of the running program>/berth-monitor, berth-init.
    std::string program_directory;
    std::string version = "0.1.0";
};

class Engine {
  public:
    // Takes the lock on the data root ("…: in use by another engine" is a Conflict), opens the
    // stores, sets the bridge up, finds the containers of the last run again and applies restart
    // policies in the background.
    static Result<std::unique_ptr<Engine>> open(EngineOptions options);
    ~Engine();

    Containers& containers();
    Execs& execs();
    Images& images();
    Networks& networks();
    Volumes& volumes();
    Events& events();
    System& system();
    Metrics& metrics();
    Collector& collector(); // its caller starts it

    // For build and the image routes, which work on the stores directly.
    store::Store& store();
    store::Database& database();
    store::BlobStore& blobs();
    store::LayerStore& layers();
    store::ImageStore& image_store();
    network::Network* default_bridge(); // nullptr: bridge none
    // "bridge", "" or "default"; NotFound "network x not found".
    Result<std::shared_ptr<network::Network>> find_bridge(const std::string& name);
    // A network namespace with nothing but lo.
    Result<UniqueFd> isolated_namespace();
    SelinuxLabeler& selinux();
    io::EventLoop& loop();

    const EngineOptions& options() const;
    // As it is now; valid for as long as the engine, whatever is reloaded.
    const DaemonConfig& config() const;

    // Takes from a configuration that was read again what dockerd takes, and tells it in an event.
    // An Error leaves all as it is. Called by one thread at a time.
    Result<void> reload(const DaemonConfig& fresh);

    // Without live-restore: stops all containers in parallel within the shutdown timeout. Then no
    // service may be called any more.
    void shutdown();

  private:
    friend class System;
    struct Parts;
    explicit Engine(std::unique_ptr<Parts> parts);

    std::unique_ptr<Parts> parts_;
};

} // namespace berth::engine
