// SPDX-License-Identifier: Apache-2.0
// A fetch goes on when its client hangs up: the next one that asks finds the blob.
#include "registry/server/upstream.h"

#include "base/log.h"
#include "oci/manifest.h"
#include "registry/server/call.h"
#include "registry/server/manifest_references.h"

#include <optional>
#include <variant>

namespace berth::registry {

namespace {

constexpr std::size_t clients_limit = 256;
constexpr std::size_t fresh_limit = 16'384;

// What the other registry refuses is not there, for our clients: they have no account with it.
Error as_ours(Error error) {
    switch (error.kind()) {
    case ErrorKind::Unauthorized:
    case ErrorKind::Forbidden:
        return std::move(error).as(ErrorKind::NotFound);
    case ErrorKind::NotFound:
    case ErrorKind::Cancelled:
        return error;
    case ErrorKind::InvalidArgument:
    case ErrorKind::Conflict:
    case ErrorKind::NotModified:
    case ErrorKind::NotImplemented:
    case ErrorKind::Unavailable:
    case ErrorKind::ResourceExhausted:
    case ErrorKind::DeadlineExceeded:
    case ErrorKind::DataLoss:
    case ErrorKind::Internal:
        return std::move(error).as(ErrorKind::Unavailable);
    }
    return error;
}

// Passes to the client what is read, one piece late: the last one goes out when the whole was found
// right, so that a client never takes a wrong blob for a complete one.
class PassingSource final : public ByteSource {
  public:
    PassingSource(ByteSource& source, http::ResponseWriter* response)
        : source_(source)
        , response_(response) {}

    Result<std::size_t> read(std::span<char> buffer) override {
        std::size_t count = TRY(source_.read(buffer));
        if (count > 0) {
            flush();
            held_.assign(buffer.data(), response_ != nullptr ? count : 0);
        }
        return count;
    }

    // The client may have gone; the fetch goes on then.
    void flush() {
        if (response_ != nullptr && !held_.empty() && !response_->write(held_).ok()) {
            response_ = nullptr;
        }
        held_.clear();
    }

    bool passes() const { return response_ != nullptr; }

  private:
    ByteSource& source_;
    http::ResponseWriter* response_;
    std::string held_;
};

} // namespace

Upstream::Upstream(const Options& options, Storage& storage)
    : options_(options.upstream)
    , keep_(options.collection.keep.value)
    , storage_(storage) {}

std::shared_ptr<Client> Upstream::client_of(const std::string& repository) {
    auto clients = clients_.lock();
    if (auto found = clients->find(repository); found != clients->end()) {
        return found->second;
    }
    ClientOptions options;
    options.credentials.username = options_.username;
    options.credentials.password = options_.password;
    options.user_agent = "berth-registry";
    if (options_.insecure) {
        options.hosts.insecure_registries.push_back(options_.registry);
    }
    if (clients->size() >= clients_limit) {
        clients->clear(); // those in use live on with their users
    }
    auto client =
        std::make_shared<Client>(options_.registry, repository, Action::Pull, std::move(options));
    clients->emplace(repository, client);
    return client;
}

// Where there is a quota: what was not asked for longest goes, half of the time at once.
void Upstream::make_room(std::uint64_t bytes) {
    constexpr std::chrono::seconds shortest{1};
    const Usage& usage = storage_.usage();
    CollectOptions options;
    options.stop = stop_.get_token();
    options.keep = keep_;
    while (usage.limit() != 0 && usage.used() + bytes > usage.limit() && options.keep > shortest) {
        options.keep /= 2;
        if (auto collected = storage_.collect(options); !collected.ok()) {
            log::debug("no room was made", {{"error", collected.error().message()}});
            return;
        }
    }
}

bool Upstream::is_fresh(const std::string& key) {
    auto fresh = fresh_.lock();
    auto found = fresh->find(key);
    return found != fresh->end() && found->second > Clock::now();
}

void Upstream::note_fresh(const std::string& key) {
    if (options_.revalidate.value.count() == 0) {
        return;
    }
    auto fresh = fresh_.lock();
    if (fresh->size() >= fresh_limit) {
        fresh->clear();
    }
    fresh->insert_or_assign(key, Clock::now() + options_.revalidate.value);
}

Result<void> Upstream::fetch_manifest(Client& client, const Call& call) {
    const std::string& reference = call.route.reference;
    auto fetched = client.manifest(call.stop, reference);
    if (!fetched.ok()) {
        return as_ours(std::move(fetched).error());
    }
    NewManifest manifest;
    manifest.descriptor = fetched->descriptor;
    auto document = oci::parse_manifest(fetched->bytes, fetched->descriptor.media_type);
    if (!document.ok()) {
        return Error(ErrorKind::Unavailable, document.error().message());
    }
    manifest.subject = subject_of(*document);
    if (reference.find(':') == std::string::npos) {
        manifest.tag = reference;
    }
    manifest.bytes = std::move(fetched->bytes);
    make_room(manifest.bytes.size());
    TRY(storage_.put_manifest(call.route.repository, manifest));
    return ok();
}

Result<void> Upstream::refresh_manifest(const Call& call, http::Headers& headers) {
    const std::string& repository = call.route.repository;
    const std::string& reference = call.route.reference;
    auto stored = storage_.manifest(repository, reference);
    bool by_digest = reference.find(':') != std::string::npos;
    std::string key = repository + ":" + reference;
    if (stored.ok()) {
        storage_.note_use(repository, stored->descriptor.digest);
    }
    if (stored.ok() && (by_digest || is_fresh(key))) {
        return ok();
    }
    std::shared_ptr<Client> client = client_of(repository);
    if (stored.ok()) {
        auto found = client->find_manifest(call.stop, reference);
        if (found.ok() && *found && (*found)->digest == stored->descriptor.digest) {
            note_fresh(key);
            return ok();
        }
        if (found.ok() && !*found) {
            return not_found("manifest unknown");
        }
    }
    Result<void> fetched = fetch_manifest(*client, call);
    if (!fetched.ok() && stored.ok() && fetched.error().kind() == ErrorKind::Unavailable) {
        log::warn(
            "the upstream registry does not answer, sending what is stored",
            {{"manifest", key}, {"error", fetched.error().message()}});
        headers.add(
            "Warning",
            warning_value(options_.registry + " cannot be reached: this manifest may be outdated"));
        return ok();
    }
    if (fetched.ok()) {
        note_fresh(key);
    }
    return fetched;
}

Result<bool> Upstream::take_turn(const std::string& key, const std::stop_token& stop) {
    std::unique_lock lock(fetches_mutex_);
    if (fetches_.insert(key).second) {
        return true;
    }
    bool over = fetches_changed_.wait(lock, stop, [&] { return !fetches_.contains(key); });
    return over ? Result<bool>(false) : Error(ErrorKind::Cancelled, "the client hung up");
}

Result<bool>
Upstream::fetch(Call& call, const oci::Descriptor& blob, http::Headers headers, bool pass_on) {
    std::shared_ptr<Client> client = client_of(call.route.repository);
    auto source = client->open_blob(stop_.get_token(), blob);
    if (!source.ok()) {
        return as_ours(std::move(source).error());
    }
    make_room(static_cast<std::uint64_t>(blob.size));
    auto upload = TRY(storage_.begin_upload(call.route.repository, blob.digest.algorithm()));
    std::lock_guard lock(upload->mutex);
    if (pass_on) {
        headers.set("Content-Length", std::to_string(blob.size));
        pass_on = call.response.begin(200, std::move(headers)).ok();
    }
    PassingSource passing(**source, pass_on ? &call.response : nullptr);
    Result<void> stored = upload->append(passing);
    if (stored.ok()) {
        stored = storage_.finish_upload(*upload, blob.digest);
    }
    storage_.cancel_upload(*upload); // where it is not over
    TRY(std::move(stored));
    passing.flush();
    if (passing.passes()) {
        TRY(call.response.finish());
    }
    return call.response.begun();
}

Result<bool> Upstream::fetch_blob(Call& call, const oci::Digest& digest, http::Headers headers) {
    oci::Descriptor blob = TRY(storage_.describe_blob(call.route.repository, digest));
    if (call.request.method == "HEAD") {
        headers.set("Content-Length", std::to_string(blob.size));
        TRY(call.response.begin(200, std::move(headers)));
        TRY(call.response.finish());
        return true;
    }
    std::string key = call.route.repository + "@" + digest.to_string();
    if (!TRY(take_turn(key, call.stop))) {
        return false;
    }
    bool whole = !call.request.headers.contains("Range");
    Result<bool> sent = fetch(call, blob, std::move(headers), whole);
    {
        std::lock_guard lock(fetches_mutex_);
        fetches_.erase(key);
    }
    fetches_changed_.notify_all();
    return sent;
}

} // namespace berth::registry
