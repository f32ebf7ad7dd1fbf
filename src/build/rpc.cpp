// SPDX-License-Identifier: Apache-2.0
// Loading the module, and the simple form of a call.
#include "build/rpc.h"

#include <mutex>

#include <dlfcn.h>

namespace berth::build {

Result<RpcTransport*> load_rpc_transport(const std::string& path) {
    static std::mutex mutex;
    static RpcTransport* loaded = nullptr;
    const std::lock_guard lock(mutex);
    if (loaded != nullptr) {
        return loaded;
    }
    // Never unloaded: gRPC has threads of its own, and cannot be.
    void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (module == nullptr) {
        const char* reason = ::dlerror();
        return Error(
            ErrorKind::Unavailable,
            "BuildKit's protocols need " + path +
                ", which cannot be loaded: " + (reason != nullptr ? reason : "unknown error"));
    }
    using Entry = RpcTransport* (*)();
    // SAFETY: the symbol's name holds the version of exactly this type.
    const auto entry = reinterpret_cast<Entry>(::dlsym(module, rpc_module_entry));
    if (entry == nullptr) {
        return Error(ErrorKind::Unavailable, path + " is of another version of Berth");
    }
    loaded = entry();
    return loaded;
}

Result<std::string> call_once(
    RpcChannel& channel,
    const std::string& method,
    std::string_view request,
    const std::stop_token& stop,
    std::chrono::milliseconds limit) {
    auto stream = channel.open(method, {}, limit);
    const std::stop_callback on_stop(stop, [&stream] { stream->cancel(); });
    std::string answer;
    bool answered = false;
    if (stream->write(request)) {
        stream->end_writes();
        answered = stream->read(answer);
    }
    auto finished = stream->finish();
    if (stop.stop_requested()) {
        return Error(ErrorKind::Cancelled, "build cancelled");
    }
    TRY(std::move(finished));
    if (!answered) {
        return Error(ErrorKind::DataLoss, method + " was answered without a message");
    }
    return answer;
}

} // namespace berth::build
