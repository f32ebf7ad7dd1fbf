// SPDX-License-Identifier: Apache-2.0
// An engine's attachments to CNI networks: on the disk from before a container's ADD until after
// its DEL, so that what a killed engine was at is undone by the next one. What could not be undone
// is tried again, in a thread of its own, at longer and longer intervals. Thread-safe.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "network/cni_chain.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace berth::network {

class CniAttachments {
  public:
    struct Options {
        std::string directory; // made with the first attachment
        CniPlugins plugins{};
        std::chrono::milliseconds timeout = std::chrono::seconds(60); // of one operation of a chain
        std::chrono::milliseconds first_retry = std::chrono::seconds(5);
    };

    explicit CniAttachments(Options options);
    // Plugins that run for nobody are killed; the next engine goes on.
    ~CniAttachments();
    CniAttachments(const CniAttachments&) = delete;
    CniAttachments& operator=(const CniAttachments&) = delete;

    const CniPlugins& plugins() const;
    CniPatience patience() const;

    // Survives a power cut.
    Result<void> save(const CniAttachment& attachment);
    // NotFound when there is none.
    Result<CniAttachment> load(const std::string& id) const;
    std::vector<std::string> ids() const;

    // DEL. After an Error it is tried again later. `netns`: empty when it is gone.
    Result<void> remove(const CniAttachment& attachment, UniqueFd netns);
    // The same behind. Of an earlier engine's.
    void abandon(const std::string& id);

    // CHECK, behind; what is wrong goes into the log.
    void check(const std::string& id, UniqueFd netns);

    // Returns when everything that waits was tried once.
    void finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// How a plugin that this process starts may open the namespace; "" for none.
std::string cni_netns_path(FdRef netns);

} // namespace berth::network
