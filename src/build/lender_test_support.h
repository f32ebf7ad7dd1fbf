// SPDX-License-Identifier: Apache-2.0
// A client that lends to build steps what a test gives it.
#pragma once

#include "build/client_services.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace berth::build {

class Lender final : public ClientServices {
  public:
    class Forward final : public AgentForward {
      public:
        Forward(Lender& lender, UniqueFd listener)
            : lender_(lender)
            , listener_(std::move(listener)) {}

        ~Forward() override { lender_.ended_agents += 1; }

      private:
        Lender& lender_;
        UniqueFd listener_;
    };

    Result<std::optional<std::string>>
    secret(const std::stop_token&, const std::string& id) override {
        asked.push_back(id);
        if (failure) {
            return Error(*failure);
        }
        const auto found = secrets.find(id);
        return found == secrets.end() ? std::optional<std::string>() : found->second;
    }

    Result<std::unique_ptr<AgentForward>>
    forward_agent(const std::stop_token&, const std::string& id, UniqueFd listener) override {
        asked.push_back(id);
        if (failure) {
            return Error(*failure);
        }
        return agents.contains(id) ? std::make_unique<Forward>(*this, std::move(listener))
                                   : std::unique_ptr<AgentForward>();
    }

    std::map<std::string, std::string> secrets;
    std::set<std::string> agents;
    std::optional<Error> failure;
    std::vector<std::string> asked;
    int ended_agents = 0;
};

} // namespace berth::build
