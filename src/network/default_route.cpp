// SPDX-License-Identifier: Apache-2.0
// Default routes inside of a container's namespace.
#include "network/default_route.h"

#include <cerrno>
#include <vector>

namespace berth::network {

using kernel::IpFamily;
using kernel::Route;
using kernel::RouteBatch;
using kernel::RouteSocket;

Route interface_default_route(IpFamily family, int interface_index) {
    static const IpAddress any_v6 = IpAddress::parse("::").value();
    return {
        .destination = {.address = family == IpFamily::V4 ? IpAddress() : any_v6, .length = 0},
        .gateway = std::nullopt,
        .output_index = interface_index};
}

Result<void> set_default_route(FdRef netns, const WayOut& way) {
    RouteSocket inside = TRY(RouteSocket::open_in(netns));
    const std::optional<kernel::Link> link = TRY(inside.find_link(way.interface_name));
    if (!link) {
        return not_found("the container has no interface " + way.interface_name);
    }
    Route route = interface_default_route(way.family, link->index);
    route.gateway = way.gateway;
    RouteBatch batch;
    batch.replace_route(route);
    return inside.execute(batch);
}

Result<void> remove_default_route(FdRef netns, IpFamily family) {
    RouteSocket inside = TRY(RouteSocket::open_in(netns));
    for (const Route& route : TRY(inside.routes(family))) {
        if (route.destination.length != 0) {
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
