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
constexpr std::size_t described_limit = 65'536;
constexpr std::chrono::seconds away_time{10};
constexpr int attempts = 3; // somebody waits
constexpr int turns = 3;    // of a request that waits for another one's download

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
    options.attempts = attempts;
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
    note_blobs(call.route.repository, *document);
    if (reference.find(':') == std::string::npos) {
        manifest.tag = reference;
    }
    manifest.bytes = std::move(fetched->bytes);
    make_room(manifest.bytes.size());
    TRY(storage_.put_manifest(call.route.repository, manifest));
    return ok();
}

void Upstream::note_away() {
    away_until_ = (Clock::now() + away_time).time_since_epoch().count();
}

void Upstream::warn_of_age(http::Headers& headers, std::string_view what) const {
    headers.add(
        "Warning",
        warning_value(
            options_.registry + " cannot be reached: this " + std::string(what) +
            " may be outdated"));
}

Result<void> Upstream::follow_tag(const Call& call, const oci::Digest* stored) {
    const std::string& repository = call.route.repository;
    const std::string& reference = call.route.reference;
    std::shared_ptr<Client> client = client_of(repository);
    if (stored != nullptr) {
        auto found = client->find_manifest(call.stop, reference);
        if (!found.ok()) {
            return as_ours(std::move(found).error());
        }
        if (!*found) {
            [[maybe_unused]] auto forgotten = storage_.remove_manifest(repository, reference);
            return not_found("manifest unknown");
        }
        if ((*found)->digest == *stored) {
            return ok();
        }
    }
    return fetch_manifest(*client, call);
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
    if (stored.ok() && is_away()) {
        warn_of_age(headers, "manifest");
        return ok();
    }
    Result<void> followed = follow_tag(call, stored.ok() ? &stored->descriptor.digest : nullptr);
    if (followed.ok()) {
        note_fresh(key);
        return ok();
    }
    if (followed.error().kind() != ErrorKind::Unavailable) {
        return followed;
    }
    note_away();
    if (!stored.ok()) {
        return followed;
    }
    log::warn(
        "the upstream registry does not answer, sending what is stored",
        {{"manifest", key}, {"error", followed.error().message()}});
    warn_of_age(headers, "manifest");
    return ok();
}

template <class T>
Result<std::optional<T>>
Upstream::or_stored(Result<T> answer, http::Headers& headers, std::string_view what) {
    if (answer.ok()) {
        return std::optional(std::move(*answer));
    }
    Error error = as_ours(std::move(answer).error());
    if (error.kind() != ErrorKind::Unavailable) {
        return error;
    }
    note_away();
    warn_of_age(headers, what);
    return std::optional<T>();
}

Result<std::optional<std::vector<std::string>>>
Upstream::tags(const Call& call, http::Headers& headers) {
    constexpr std::string_view what = "list of tags";
    if (is_away()) {
        warn_of_age(headers, what);
        return std::optional<std::vector<std::string>>();
    }
    return or_stored(client_of(call.route.repository)->tags(call.stop), headers, what);
}

Result<std::optional<std::vector<oci::Descriptor>>> Upstream::referrers(
    const Call& call,
    const oci::Digest& subject,
    std::string_view artifact_type,
    http::Headers& headers) {
    constexpr std::string_view what = "list of referrers";
    if (is_away()) {
        warn_of_age(headers, what);
        return std::optional<std::vector<oci::Descriptor>>();
    }
    std::shared_ptr<Client> client = client_of(call.route.repository);
    return or_stored(client->referrers(call.stop, subject, artifact_type), headers, what);
}

void Upstream::note_blobs(const std::string& repository, const oci::ManifestDocument& document) {
    const auto* manifest = std::get_if<oci::Manifest>(&document);
    if (manifest == nullptr) {
        return;
    }
    auto described = described_.lock();
    if (described->size() >= described_limit) {
        described->clear(); // the manifests that are stored still have them
    }
    described->insert_or_assign(
        repository + "@" + manifest->config.digest.to_string(), manifest->config);
    for (const oci::Descriptor& layer : manifest->layers) {
        described->insert_or_assign(repository + "@" + layer.digest.to_string(), layer);
    }
}

Result<oci::Descriptor>
Upstream::describe(const std::string& repository, const oci::Digest& digest) {
    {
        auto described = described_.lock();
        auto found = described->find(repository + "@" + digest.to_string());
        if (found != described->end()) {
            return found->second;
        }
    }
    return storage_.describe_blob(repository, digest);
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
    oci::Descriptor blob = TRY(describe(call.route.repository, digest));
    if (call.request.method == "HEAD") {
        headers.set("Content-Length", std::to_string(blob.size));
        TRY(call.response.begin(200, std::move(headers)));
        TRY(call.response.finish());
        return true;
    }
    std::string key = call.route.repository + "@" + digest.to_string();
    auto is_stored = [&] { return storage_.open_blob(call.route.repository, digest).ok(); };
    for (int turn = 1; !TRY(take_turn(key, call.stop)); ++turn) {
        if (is_stored()) {
            return false;
        }
        // The other one's download failed, which must not make this blob unknown.
        if (turn == turns) {
            return Error(ErrorKind::Unavailable, options_.registry + " does not give the blob");
        }
    }
    bool whole = !call.request.headers.contains("Range");
    Result<bool> sent = is_stored() ? Result<bool>(false) // meanwhile
                                    : fetch(call, blob, std::move(headers), whole);
    {
        std::lock_guard lock(fetches_mutex_);
        fetches_.erase(key);
    }
    fetches_changed_.notify_all();
    return sent;
}

} // namespace berth::registry
