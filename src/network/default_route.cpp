// SPDX-License-Identifier: Apache-2.0
// Default routes inside of a container's namespace.
#include "network/default_route.h"

#include "kernel/netlink_route.h"

#include <cerrno>

namespace berth::network {

using kernel::RouteBatch;
using kernel::RouteSocket;

Result<void>
set_default_route(FdRef netns, const std::string& interface_name, const IpAddress& gateway) {
    RouteSocket inside = TRY(RouteSocket::open_in(netns));
    const std::optional<kernel::Link> link = TRY(inside.find_link(interface_name));
    if (!link) {
        return not_found("the container has no interface " + interface_name);
    }
    RouteBatch batch;
    batch.replace_route({.destination = {}, .gateway = gateway, .output_index = link->index});
    return inside.execute(batch);
}

Result<void> remove_default_route(FdRef netns, kernel::IpFamily family) {
    RouteSocket inside = TRY(RouteSocket::open_in(netns));
    for (const kernel::Route& route : TRY(inside.routes(family))) {
        if (route.destination.length != 0 || !route.gateway) {
            continue;
        }
        RouteBatch batch;
        batch.delete_route(route);
        const std::vector<int> errors = TRY(inside.execute_each(batch));
        if (errors[0] != 0 && errors[0] != ESRCH) {
            return Error::from_errno(batch.messages().description(0), errors[0]);
        }
    }
    return ok();
}

} // namespace berth::network
