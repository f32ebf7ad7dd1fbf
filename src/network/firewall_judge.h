// SPDX-License-Identifier: Apache-2.0
// How published ports come to obey the host's firewall, whatever that is made of.
//
// A published port's packets are translated before the host's input rules could see them, which is
// why ports published by other engines are open in spite of ufw and firewalld. Rules of others
// cannot be called or asked. So a connection's first packet is not translated: it goes to the host
// itself, as if a program there had the port, through all input chains of whatever firewall there
// is. Our own chain comes last there. What reaches it was let in: a copy leaves by one end of a
// pair of interfaces ("the judge") and comes in again by the other, and there it is translated and
// sent on to the container. Connection tracking knows the connection from then on, so that all its
// other packets take the short way. A connection that the host's firewall refuses is refused by it,
// with its own answer, log entries and limits.
#pragma once

#include "base/result.h"
#include "network/firewall_content.h"

#include <string>

namespace berth::network {

// Makes the pair of interfaces, or takes those that are there. One pair a table.
Result<FirewallJudge> ensure_firewall_judge(const std::string& table);
Result<void> remove_firewall_judge(const std::string& table);

} // namespace berth::network
