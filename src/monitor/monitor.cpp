// SPDX-License-Identifier: Apache-2.0
// The life of a container, from its creation to exit.json. SIGCHLD comes by signalfd, and
// everything that ends is reaped: processes of the runtime, of execs, and orphans that fell to this
// process as their reaper.
#include "monitor/monitor.h"

#include "kernel/namespace.h"
#include "kernel/socket.h"
#include "monitor/exit_record.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace berth::monitor {
namespace {

constexpr std::size_t untold_exit_limit = 256;
constexpr std::size_t told_exit_limit = 32;
constexpr std::size_t control_limit = 8;

// Docker shows 128 + signal, as shells do.
Exited exit_from(int wait_status) {
    Exited exit{.time = Timestamp::now()};
    if (WIFSIGNALED(wait_status)) {
        exit.signal = WTERMSIG(wait_status);
        exit.code = 128 + exit.signal;
    } else {
        exit.code = WEXITSTATUS(wait_status);
    }
    return exit;
}

bool makes_pid_namespace(const oci::RuntimeConfig& config) {
    for (const oci::Namespace& item : config.linux_.namespaces) {
        if (item.type == "pid") {
            return item.path.empty();
        }
    }
    return false;
}

} // namespace

Result<void> become_monitor() {
    (void)setsid(); // fails when it leads a session already
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        return errno_error("PR_SET_CHILD_SUBREAPER");
    }

    // Handlers and not SIG_IGN, which programs of the container would inherit.
    struct sigaction nothing {};

    nothing.sa_handler = [](int) {};
    nothing.sa_flags = SA_RESTART;
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2}) {
        if (sigaction(number, &nothing, nullptr) != 0) {
            return errno_error("sigaction");
        }
    }
    return ok();
}

Monitor::Monitor(MonitorOptions options, std::unique_ptr<io::EventLoop> loop)
    : options_(std::move(options))
    , loop_(std::move(loop))
    , scratch_(*loop_, [this] { drop_configuration(); }) {}

Monitor::~Monitor() {
    if (signals_) {
        loop_->remove(signals_);
    }
    stop_listening();
}

Result<std::unique_ptr<Monitor>> Monitor::create(MonitorOptions options) {
    auto loop = TRY(io::EventLoop::create());
    std::unique_ptr<Monitor> monitor(new Monitor(std::move(options), std::move(loop)));
    TRY(monitor->set_up());
    return monitor;
}

Result<void> Monitor::set_up() {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &children, nullptr) != 0) {
        return errno_error("sigprocmask");
    }
    signals_ = UniqueFd(signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) {
        return errno_error("signalfd");
    }
    TRY(loop_->add(signals_, EPOLLIN, [this](std::uint32_t) { reap(); }));
    if (options_.control_fd) {
        TRY(add_control(UniqueFd(*options_.control_fd)));
    }
    // A failure is told to whoever asks, in the runtime's words.
    Result<void> created = listen();
    if (created.ok()) {
        created = create_container();
    }
    if (!created.ok()) {
        fail(std::move(created).error());
    }
    scratch_.trim_soon();
    return ok();
}

Result<void> Monitor::create_container() {
    std::vector<UniqueFd> inherited;
    UniqueFd empty_mounts;
    for (const int fd : options_.inherited_fds) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            return errno_error("inherited descriptor " + std::to_string(fd));
        }
        if (fd == options_.empty_mounts_fd) {
            empty_mounts.reset(fd);
        } else {
            inherited.emplace_back(fd);
        }
    }
    if (options_.log) {
        log_ = TRY(io::LogOutput::open(*options_.log));
    }
    streams_ = std::make_unique<ProcessStreams>(
        *loop_,
        scratch_,
        ProcessStreams::Options{
            .terminal = options_.terminal,
            .open_stdin = options_.open_stdin,
            .close_stdin_with_client = options_.stdin_once,
            .log = log_.get()},
        ProcessStreams::Handlers{
            .on_drained = [this] { finish_container(); },
            .on_idle = [this] { consider_quitting(); },
            .on_detach = [this] { tell(Detached{}); }});
    runtime::CreateOptions create{
        .state_root = options_.runtime_root,
        .id = options_.id,
        .bundle = options_.bundle,
        .stdio = {},
        .on_parent_death = runtime::OnParentDeath::Kill,
        .systemd_cgroup = options_.systemd_cgroup};
    if (!options_.terminal) {
        ProcessStreams::ProcessEnds ends = TRY(streams_->make_pipes());
        create.stdio = {std::move(ends.in), std::move(ends.out), std::move(ends.err)};
    }
    create.empty_mounts = std::move(empty_mounts);
    create.cgroup = options_.cgroup;
    container_ = TRY(runtime::Container::create(std::move(create)));
    options_.cgroup.reset(); // the container's from now on
    if (options_.terminal) {
        UniqueFd terminal = container_->take_terminal();
        if (!terminal) {
            return invalid_argument("config.json does not ask for a terminal");
        }
        streams_->set_terminal(std::move(terminal));
    }
    pid_ = container_->pid();
    own_pid_namespace_ = makes_pid_namespace(container_->config());
    if (options_.systemd_cgroup) {
        TRY(watch_for_oom_kills());
    }
    return streams_->open();
}

// systemd removes a scope, and its count with it, as soon as the last process has gone.
Result<void> Monitor::watch_for_oom_kills() {
    Result<kernel::OomWatch> watch = kernel::OomWatch::create(container_->cgroup());
    if (!watch.ok()) {
        return watch.error().kind() == ErrorKind::Unavailable ? ok() : watch.error();
    }
    oom_watch_ = std::move(*watch);
    return loop_->add(oom_watch_->fd(), EPOLLIN, [this](std::uint32_t) {
        oom_watch_->clear();
        note_oom_kills();
    });
}

void Monitor::note_oom_kills() {
    if (container_ && container_->cgroup().oom_kills().value_or(0) > 0) {
        oom_killed_ = true;
    }
}

Result<void> Monitor::listen() {
    if (options_.listener_fd) {
        listener_ = UniqueFd(*options_.listener_fd);
        if (fcntl(listener_.get(), F_SETFD, FD_CLOEXEC) != 0) {
            return errno_error("the listener's descriptor");
        }
    } else {
        listener_ =
            TRY(kernel::listen_unix(options_.socket_path, 0600, SOCK_STREAM | SOCK_NONBLOCK));
    }
    return loop_->add(listener_, EPOLLIN, [this](std::uint32_t) {
        UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (socket && peer_is_trusted(socket) && controls_.size() < control_limit) {
            (void)add_control(std::move(socket)); // a failure ends the connection
        }
    });
}

Result<void> Monitor::add_control(UniqueFd socket) {
    ControlConnection::Handlers handlers{
        .on_request =
            [this](Request request, std::vector<UniqueFd>& descriptors) {
                return answer(std::move(request), descriptors);
            },
        .on_closed =
            [this](ControlConnection& closed) {
                Monitor& monitor = *this; // this function goes with the connection that holds it
                std::erase_if(controls_, [&](const auto& item) { return item.get() == &closed; });
                monitor.consider_quitting();
            }};
    controls_.push_back(
        TRY(ControlConnection::open(*loop_, std::move(socket), std::move(handlers))));
    return ok();
}

// config.json in memory is half of a quiet monitor. The runtime reads it again when an exec needs
// it.
void Monitor::drop_configuration() {
    if (log_) {
        log_->trim();
    }
    if (!container_ || phase_ == ContainerPhase::Created) {
        return;
    }
    auto loaded = runtime::Container::load(options_.runtime_root, options_.id);
    if (loaded.ok()) {
        container_ = std::move(loaded).value();
    }
}

void Monitor::run() {
    consider_quitting();
    loop_->run();
}

void Monitor::tell(const Notice& notice) {
    for (const auto& control : controls_) {
        control->tell(notice);
    }
}

// Exits

void Monitor::reap() {
    std::array<signalfd_siginfo, 4> infos;
    while (read(signals_.get(), infos.data(), sizeof infos) > 0) {
    }
    while (true) {
        int wait_status = 0;
        const pid_t pid = waitpid(-1, &wait_status, WNOHANG);
        if (pid <= 0) {
            break;
        }
        if (pid == pid_ && !failure_ && phase_ != ContainerPhase::Exited) {
            handle_init_exit(wait_status);
            continue;
        }
        const auto exec = std::find_if(execs_.begin(), execs_.end(), [&](const ExecPtr& candidate) {
            return candidate->pid == pid && !candidate->reaped;
        });
        if (exec != execs_.end()) {
            handle_exec_exit(**exec, wait_status);
        }
    }
}

void Monitor::handle_init_exit(int wait_status) {
    phase_ = ContainerPhase::Exited;
    exit_ = exit_from(wait_status);
    note_oom_kills();
    if (!own_pid_namespace_) {
        // With a pid namespace the kernel has done this.
        (void)container_->kill_all(SIGKILL);
    }
    streams_->process_ended(); // ends in finish_container()
}

void Monitor::handle_exec_exit(ExecProcess& exec, int wait_status) {
    exec.reaped = true;
    const std::string id = exec.id;
    exec.exit = exit_from(wait_status);
    exec.exit.exec_id = id;
    exec.streams->process_ended(); // ends in finish_exec()
}

// The object lives on in told_execs_ until its clients have gone: this is called from inside of its
// streams.
void Monitor::finish_exec(ExecProcess& exec) {
    if (controls_.empty()) {
        if (untold_exits_.size() == untold_exit_limit) {
            untold_exits_.pop_front();
        }
        untold_exits_.push_back(exec.exit);
    } else {
        tell(exec.exit);
        keep_told(exec.exit);
    }
    const auto found = std::find_if(execs_.begin(), execs_.end(), [&](const ExecPtr& candidate) {
        return candidate.get() == &exec;
    });
    told_execs_.push_back(std::move(*found));
    execs_.erase(found);
    loop_->post([this] { sweep_execs(); });
}

// An engine may be killed between hearing of an exit and answering the client that waits for it.
void Monitor::keep_told(Exited exit) {
    if (told_exits_.size() == told_exit_limit) {
        told_exits_.pop_front();
    }
    told_exits_.push_back(std::move(exit));
}

void Monitor::sweep_execs() {
    std::erase_if(told_execs_, [](const ExecPtr& exec) { return !exec->streams->has_clients(); });
    scratch_.trim_soon();
    consider_quitting();
}

void Monitor::finish_container() {
    // Init has ended, so every process in its pid namespace has, and was reaped. In another's
    // namespace they were killed: their ends follow at once, and are not waited for.
    while (!execs_.empty()) {
        ExecProcess& exec = *execs_.back();
        if (!exec.reaped) {
            exec.exit = {.exec_id = exec.id, .code = 128 + SIGKILL, .signal = SIGKILL};
            exec.exit.time = exit_.time;
            exec.reaped = true;
            exec.streams->process_ended();
        }
        if (!execs_.empty() && execs_.back().get() == &exec) {
            exec.streams->give_up();
        }
    }
    note_oom_kills();
    exit_.oom_killed = oom_killed_;
    (void)write_exit_record(options_.exit_path, exit_);
    finished_ = true;
    tell(exit_);
    // Behind their backs: who needs it to be gone asks for the monitor's release.
    mounts_.reset();
    remove_container();
    stop_listening();
    consider_quitting();
}

// The kernel takes a mount namespace apart with its last user, and lets init's end be known only
// after that; with another user it is our doing, when the exit has been told.
void Monitor::keep_mounts() {
    if (phase_ == ContainerPhase::Exited) {
        return; // reaped: the pid may be another's
    }
    Result<UniqueFd> mounts =
        kernel::open_namespace("/proc/" + std::to_string(pid_) + "/ns/mnt", CLONE_NEWNS);
    if (mounts.ok()) { // else it has just ended
        mounts_ = std::move(*mounts);
    }
}

void Monitor::stop_listening() {
    if (listener_) {
        loop_->remove(listener_);
        // While it listens: who is refused may make the path anew.
        (void)unlink(options_.socket_path.c_str());
        listener_.reset();
    }
}

// After a failure, too: nobody finds what cannot be used.
void Monitor::fail(Error error) {
    failure_ = std::move(error);
    remove_container();
    stop_listening();
}

void Monitor::remove_container() {
    if (oom_watch_) {
        loop_->remove(oom_watch_->fd());
        oom_watch_.reset();
    }
    if (container_) {
        (void)container_->destroy(runtime::Container::Force::Yes);
        container_.reset();
    } else if (options_.cgroup) {
        (void)options_.cgroup->remove();
    }
}

bool Monitor::has_clients() const {
    return !told_execs_.empty() || (streams_ && streams_->has_clients());
}

void Monitor::consider_quitting() {
    if (phase_ == ContainerPhase::Created && controls_.empty() && !failure_) {
        // Nobody will start it: a restarted engine makes a new one.
        fail(Error(ErrorKind::Cancelled, "the engine went away before the start"));
    }
    const bool ended = finished_ || failure_;
    const bool told = controls_.empty() || released_;
    if (ended && told && !has_clients()) {
        loop_->stop();
    }
}

} // namespace berth::monitor
