// SPDX-License-Identifier: Apache-2.0
// Archives that docker before 23.0 sends in a request of their own ("upload-request:ID") beside
// the build that wants them: the two requests meet here.
#pragma once

#include "base/result.h"
#include "codec/stream.h"

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

namespace berth::api {

// Thread-safe.
class BodyUploads {
    struct Upload {
        ByteSource* source = nullptr; // nullptr: a build has taken it
        bool given_back = false;
    };

  public:
    // A body for the time that a build reads it: its request waits until this goes.
    class Taken {
      public:
        Taken(BodyUploads& uploads, std::shared_ptr<Upload> upload, ByteSource& source)
            : uploads_(uploads)
            , upload_(std::move(upload))
            , source_(source) {}

        Taken(const Taken&) = delete;
        Taken& operator=(const Taken&) = delete;
        ~Taken();

        ByteSource& source() const { return source_; }

      private:
        BodyUploads& uploads_;
        std::shared_ptr<Upload> upload_;
        ByteSource& source_;
    };

    // Lends the body to the build of that id; returns when that is done with it. NotFound when none
    // comes for it, Conflict when there is one of that id.
    Result<void> offer(const std::stop_token& stop, const std::string& id, ByteSource& body);
    // NotFound when no request brings it.
    Result<std::unique_ptr<Taken>> take(const std::stop_token& stop, const std::string& id);

  private:
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::map<std::string, std::shared_ptr<Upload>> uploads_;
};

} // namespace berth::api
