// SPDX-License-Identifier: Apache-2.0
// One file for each attachment, and the thread that goes on with what has failed.
#include "network/cni_attachments.h"

#include "base/file.h"
#include "base/log.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <unistd.h>

namespace berth::network {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view extension = ".json";
constexpr std::size_t attachment_size_limit = 8U << 20;
constexpr std::chrono::minutes longest_delay{10};

struct Leftover {
    UniqueFd netns{};
    Clock::time_point next{};
    std::chrono::milliseconds delay{};
    bool is_tried = false;
};

struct Checked {
    std::string id;
    UniqueFd netns;
};

} // namespace

struct CniAttachments::State {
    Options options;
    std::mutex mutex{};
    std::condition_variable changed{};
    std::map<std::string, Leftover> leftovers{};
    std::vector<Checked> checks{};
    std::size_t busy = 0;
    bool stopping = false;
    Pipe stop{}; // its writing end is closed when the thread shall end
    std::thread thread{};

    std::string file_of(const std::string& id) const {
        return options.directory + "/" + id + std::string(extension);
    }

    CniPatience patience() const { return {.until = Clock::now() + options.timeout}; }

    void start_thread();
    void add_leftover(const std::string& id, Leftover leftover);
    bool has_untried() const;
    void run();
    void run_check(std::unique_lock<std::mutex>& lock);
    void run_leftover(std::unique_lock<std::mutex>& lock, const std::string& id);
    Result<CniAttachment> load(const std::string& id) const;
    Result<void>
    undo(const CniAttachment& attachment, FdRef netns, const CniPatience& patience) const;
};

std::string cni_netns_path(FdRef netns) {
    if (netns.get() < 0) {
        return "";
    }
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(netns.get());
}

Result<CniAttachment> CniAttachments::State::load(const std::string& id) const {
    const auto text = read_file(file_of(id), attachment_size_limit);
    if (!text.ok() && text.error().error_number() == ENOENT) {
        return not_found("no CNI attachment " + id);
    }
    if (!text.ok()) {
        return Error(text.error());
    }
    return CniAttachment::parse(*text);
}

Result<void> CniAttachments::State::undo(
    const CniAttachment& attachment, FdRef netns, const CniPatience& patience) const {
    TRY(cni_delete(options.plugins, attachment, cni_netns_path(netns), patience));
    if (::unlink(file_of(attachment.id).c_str()) != 0 && errno != ENOENT) {
        return errno_error("remove " + file_of(attachment.id));
    }
    return ok();
}

// REQUIRES for this and the next: the mutex is held.
void CniAttachments::State::start_thread() {
    if (thread.joinable() || stopping) {
        return;
    }
    auto pipe = Pipe::create();
    if (!pipe.ok()) {
        log::warn(
            "what CNI plugins have left stays, ignoring", {{"error", pipe.error().message()}});
        return;
    }
    stop = std::move(pipe).value();
    thread = std::thread([this] { run(); });
}

void CniAttachments::State::add_leftover(const std::string& id, Leftover leftover) {
    leftovers.insert_or_assign(id, std::move(leftover));
    start_thread();
    changed.notify_all();
}

bool CniAttachments::State::has_untried() const {
    return busy != 0 || !checks.empty() ||
           std::ranges::any_of(leftovers, [](const auto& entry) { return !entry.second.is_tried; });
}

void CniAttachments::State::run_check(std::unique_lock<std::mutex>& lock) {
    Checked checked = std::move(checks.back());
    checks.pop_back();
    CniPatience patience = this->patience();
    patience.stop = stop.read_end;
    ++busy;
    lock.unlock();
    const auto attachment = load(checked.id);
    const Result<void> result =
        attachment.ok()
            ? cni_check(options.plugins, *attachment, cni_netns_path(checked.netns), patience)
            : ok();
    if (!result.ok() && result.error().kind() != ErrorKind::Cancelled) {
        log::warn(
            "a container's CNI network is not as its plugins left it, ignoring",
            {{"endpoint", checked.id}, {"error", result.error().message()}});
    }
    checked.netns.reset();
    lock.lock();
    --busy;
}

void CniAttachments::State::run_leftover(
    std::unique_lock<std::mutex>& lock, const std::string& id) {
    Leftover leftover = std::move(leftovers[id]);
    leftovers.erase(id);
    CniPatience patience = this->patience();
    patience.stop = stop.read_end;
    ++busy;
    lock.unlock();
    const auto attachment = load(id);
    Result<void> undone = ok();
    if (attachment.ok()) {
        undone = undo(*attachment, leftover.netns, patience);
    } else if (attachment.error().kind() != ErrorKind::NotFound) {
        log::warn(
            "what CNI plugins have left stays: it cannot be read, ignoring",
            {{"endpoint", id}, {"error", attachment.error().message()}});
    }
    lock.lock();
    --busy;
    if (undone.ok() || stopping) {
        return;
    }
    log::warn(
        "a CNI attachment is not removed, retrying",
        {{"endpoint", id}, {"error", undone.error().message()}});
    leftover.is_tried = true;
    leftover.delay = std::min<std::chrono::milliseconds>(leftover.delay * 2, longest_delay);
    leftover.next = Clock::now() + leftover.delay;
    leftovers.insert_or_assign(id, std::move(leftover));
}

void CniAttachments::State::run() {
    std::unique_lock lock(mutex);
    while (!stopping) {
        if (!checks.empty()) {
            run_check(lock);
            changed.notify_all();
            continue;
        }
        const auto first = std::ranges::min_element(
            leftovers, {}, [](const auto& entry) { return entry.second.next; });
        if (first == leftovers.end()) {
            changed.wait(lock);
        } else if (first->second.next > Clock::now()) {
            changed.wait_until(lock, Clock::time_point(first->second.next));
        } else {
            const std::string id = first->first;
            run_leftover(lock, id);
            changed.notify_all();
        }
    }
}

CniAttachments::CniAttachments(Options options)
    : state_(new State{.options = std::move(options)}) {}

CniAttachments::~CniAttachments() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stopping = true;
        state_->stop.write_end.reset();
        state_->changed.notify_all();
    }
    if (state_->thread.joinable()) {
        state_->thread.join();
    }
}

const CniPlugins& CniAttachments::plugins() const {
    return state_->options.plugins;
}

CniPatience CniAttachments::patience() const {
    return state_->patience();
}

Result<void> CniAttachments::save(const CniAttachment& attachment) {
    TRY(make_directories(state_->options.directory, 0700));
    // The configuration may have secrets.
    return replace_file(state_->file_of(attachment.id), attachment.text(), 0600);
}

Result<CniAttachment> CniAttachments::load(const std::string& id) const {
    return state_->load(id);
}

std::vector<std::string> CniAttachments::ids() const {
    std::vector<std::string> ids;
    const auto names = list_directory(state_->options.directory);
    if (names.ok()) {
        for (const std::string& name : *names) {
            if (name.ends_with(extension)) {
                ids.push_back(name.substr(0, name.size() - extension.size()));
            }
        }
    }
    return ids;
}

Result<void> CniAttachments::remove(const CniAttachment& attachment, UniqueFd netns) {
    Result<void> undone = state_->undo(attachment, netns, state_->patience());
    if (!undone.ok()) {
        const std::lock_guard lock(state_->mutex);
        const auto delay = state_->options.first_retry;
        state_->add_leftover(
            attachment.id,
            {.netns = std::move(netns),
             .next = Clock::now() + delay,
             .delay = delay,
             .is_tried = true});
    }
    return undone;
}

void CniAttachments::abandon(const std::string& id) {
    const std::lock_guard lock(state_->mutex);
    state_->add_leftover(id, {.delay = state_->options.first_retry});
}

void CniAttachments::check(const std::string& id, UniqueFd netns) {
    const std::lock_guard lock(state_->mutex);
    state_->checks.push_back({.id = id, .netns = std::move(netns)});
    state_->start_thread();
    state_->changed.notify_all();
}

void CniAttachments::finish() {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(
        lock, [this] { return !state_->thread.joinable() || !state_->has_untried(); });
}

} // namespace berth::network
