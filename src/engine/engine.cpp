// SPDX-License-Identifier: Apache-2.0
// Opening and closing. Order matters twice: what others point at is made before them and destroyed
// after, and monitors are found before the network sweeps what nobody claims.
#include "engine/engine.h"

#include "base/log.h"
#include "base/poll.h"
#include "engine/apparmor.h"
#include "engine/cgroup_place.h"
#include "engine/container_logs.h"
#include "engine/embedded_dns.h"
#include "engine/engine_parts.h"
#include "engine/user_namespace.h"
#include "kernel/block_groups.h"
#include "kernel/empty_mounts.h"

#include <chrono>

namespace berth::engine {
namespace {

constexpr std::size_t background_threads = 16;
constexpr std::size_t spare_monitors = 2;    // 0.9 MiB each
constexpr std::size_t spare_directories = 4; // two for each container
constexpr std::size_t background_queue = 1U << 16;
constexpr std::size_t probe_threads = 8;
constexpr std::size_t start_threads = 32;
constexpr std::size_t pool_stack_bytes = 512U << 10;
constexpr std::chrono::milliseconds lock_interval{5};
constexpr std::chrono::seconds longest_wait_for_lock{1};

Result<void> make_roots(const DaemonConfig& config) {
    TRY(make_directories(config.data_root, 0710));
    TRY(make_directories(config.data_root + "/containers", 0710));
    kernel::spread_children(config.data_root + "/containers");
    TRY(make_directories(config.exec_root, 0711));
    TRY(make_directories(config.exec_root + "/containers", 0700));
    return make_directories(config.exec_root + "/runtime", 0700);
}

// What an engine was just starting when it was killed has its descriptors, and with them its lock,
// until it executes its program.
Result<std::unique_ptr<FileLock>> take_lock(const std::string& data_root) {
    std::unique_ptr<FileLock> lock;
    Result<void> taken;
    const auto try_to = [&] {
        auto acquired = FileLock::acquire(data_root + "/lock");
        if (acquired.ok()) {
            lock = std::make_unique<FileLock>(std::move(acquired).value());
            return true;
        }
        taken = std::move(acquired).error();
        return taken.error().kind() != ErrorKind::Conflict;
    };
    if (!poll_until(try_to, lock_interval, longest_wait_for_lock)) {
        return conflict("the data root " + data_root + " is in use by another engine");
    }
    if (!lock) {
        return std::move(taken).error();
    }
    return lock;
}

// A label for all files of a container, its image's among them, is an option of its mount.
Result<std::unique_ptr<SelinuxLabeler>>
open_selinux(const DaemonConfig& config, std::string_view storage_driver) {
    auto labeler = TRY(SelinuxLabeler::open(config.selinux_enabled));
    if (labeler->is_enabled() && storage_driver != "overlay2") {
        return not_implemented(
            "--selinux-enabled with the storage driver " + std::string(storage_driver) +
            " is not implemented by this engine: it needs overlay2");
    }
    return labeler;
}

ImagesOptions images_options(Core& core) {
    ImagesOptions options;
    options.store = core.store.get();
    options.events = core.events.get();
    options.hello_binary = core.options.program_directory + "/berth-init";
    options.left_garbage = [&core] { core.collector->request(); };
    return options;
}

UniqueFd open_empty_mounts() {
    auto made = kernel::make_empty_mount_namespace();
    if (made.ok()) {
        return std::move(*made);
    }
    log::info(
        "mount namespaces of containers begin with the engine's mounts",
        {{"error", made.error().message()}});
    return {};
}

} // namespace

Engine::Engine(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)) {}

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options) {
    auto engine = std::unique_ptr<Engine>(new Engine(std::make_unique<Parts>()));
    Core& core = engine->parts_->core;
    core.options = std::move(options);
    const DaemonConfig& config = core.config();
    TRY(check_exec_root(config.exec_root));
    TRY(check_cgroup_driver(config));
    TRY(make_roots(config));
    core.lock = TRY(take_lock(config.data_root));
    store::StoreOptions store_options{.root = config.data_root};
    store_options.snapshotter = TRY(store::parse_snapshotter_kind(config.storage_driver));
    store_options.form = TRY(store::parse_layer_form(config.layer_form));
    store_options.limits.bytes = static_cast<std::uint64_t>(config.max_layer_size);
    store_options.limits.ratio = static_cast<std::uint64_t>(config.max_layer_ratio);
    core.store = TRY(store::Store::open(store_options));
    core.owners = TRY(configured_owners(config));
    if (core.owners != nullptr) {
        TRY_CONTEXT(core.store->layers().try_owners(core.owners), "--userns-remap");
    }
    core.selinux = TRY(open_selinux(config, core.store->layers().driver_name()));
    core.events = std::make_unique<Events>();
    core.volumes = TRY(Volumes::open(
        config.data_root,
        core.store->database(),
        *core.events,
        {.program = core.monitor_program()}));
    core.images = std::make_unique<Images>(images_options(core));
    core.images->reconfigure(config);
    core.loop_thread = TRY(io::EventLoopThread::start());
    core.collector = std::make_unique<Collector>(Collector::Options{
        .store = core.store->garbage_collector(),
        .loop = core.loop(),
        .delay = config.gc_delay,
        .interval = config.gc_interval,
        .unused_for = config.gc_unused_for,
        .finished = {}});
    core.log_watch = TRY(io::LogWatch::create(core.loop()));
    WorkerPool::Options pool{
        .threads = background_threads,
        .queue_limit = background_queue,
        .stack_bytes = pool_stack_bytes,
        .name = "background"};
    core.background = std::make_unique<WorkerPool>(pool);
    pool.threads = probe_threads;
    pool.name = "probes";
    core.probes = std::make_unique<WorkerPool>(pool);
    pool.threads = start_threads;
    pool.name = "starts";
    core.starts = std::make_unique<WorkerPool>(pool);
    const auto later = [&core](std::chrono::milliseconds delay, std::function<void()> job) {
        core.after(delay, std::move(job));
    };
    core.spare_monitors = std::make_unique<monitor::SpareMonitors>(monitor::SpareMonitors::Options{
        .program = core.monitor_program(), .count = spare_monitors, .later = later});
    core.spare_directories = std::make_unique<SpareDirectories>(SpareDirectories::Options{
        .place = config.data_root + "/spare", .count = spare_directories, .later = later});
    core.empty_mounts = open_empty_mounts();
    core.table =
        std::make_unique<ContainerTable>(TRY(ContainerTable::open(core.store->database())));
    std::vector<ContainerRecord> records = TRY(core.table->load());
    core.dns = TRY(EmbeddedDns::start(config));
    core.network = TRY(ContainerNetwork::start(config, core.store->database(), records));
    core.network->set_watch(core.dns.get());

    Parts& parts = *engine->parts_;
    parts.supervisor = std::make_unique<ContainerSupervisor>(core);
    parts.containers = std::make_unique<Containers>(*parts.supervisor);
    parts.execs = std::make_unique<Execs>(*parts.supervisor);
    parts.networks = std::make_unique<Networks>(*parts.supervisor);
    parts.system = std::make_unique<System>(*engine);
    core.images->set_users([&parts](const std::string& id, bool running_only) {
        return parts.containers->using_image(id, running_only);
    });
    load_default_apparmor_profile();
    TRY(parts.supervisor->restore(std::move(records)));
    return engine;
}

void Engine::shutdown() {
    Core& core = parts_->core;
    core.stopping = true;
    core.collector->stop();
    parts_->supervisor->call_starts_off();
    if (core.config().live_restore) {
        log::info("live restore: containers go on");
        return;
    }
    parts_->supervisor->stop_all(std::chrono::seconds(core.config().shutdown_timeout));
    core.starts->wait_idle();
    core.background->wait_idle();
    core.network->settle();
    core.network->remove_all();
    remove_cgroup_parent(core.config());
}

Containers& Engine::containers() {
    return *parts_->containers;
}

Execs& Engine::execs() {
    return *parts_->execs;
}

Images& Engine::images() {
    return *parts_->core.images;
}

Networks& Engine::networks() {
    return *parts_->networks;
}

Volumes& Engine::volumes() {
    return *parts_->core.volumes;
}

Events& Engine::events() {
    return *parts_->core.events;
}

Collector& Engine::collector() {
    return *parts_->core.collector;
}

Metrics& Engine::metrics() {
    return parts_->core.metrics;
}

System& Engine::system() {
    return *parts_->system;
}

store::Store& Engine::store() {
    return *parts_->core.store;
}

store::Database& Engine::database() {
    return parts_->core.store->database();
}

store::BlobStore& Engine::blobs() {
    return parts_->core.store->blobs();
}

store::LayerStore& Engine::layers() {
    return parts_->core.store->layers();
}

store::ImageStore& Engine::image_store() {
    return parts_->core.store->images();
}

network::Network* Engine::default_bridge() {
    return parts_->core.network->bridge().get();
}

Result<std::shared_ptr<network::Network>> Engine::find_bridge(const std::string& name) {
    return parts_->core.network->find_bridge(name);
}

Result<UniqueFd> Engine::isolated_namespace() {
    return parts_->core.network->isolated_namespace();
}

SelinuxLabeler& Engine::selinux() {
    return *parts_->core.selinux;
}

io::EventLoop& Engine::loop() {
    return parts_->core.loop();
}

const EngineOptions& Engine::options() const {
    return parts_->core.options;
}

const DaemonConfig& Engine::config() const {
    return parts_->core.config();
}

} // namespace berth::engine
