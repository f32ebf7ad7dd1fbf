// SPDX-License-Identifier: Apache-2.0
// The Docker Engine API as one HTTP handler: version prefix, routes, Docker's headers, errors as
// JSON.
#pragma once

#include "api/context.h"
#include "http/server.h"

#include <string_view>

namespace berth::api {

// `services` must outlive the server.
http::Handler make_handler(const Services& services);

// Sent with every answer: Api-Version, Docker-Experimental, Ostype, Server.
http::Headers default_headers(std::string_view version, bool experimental);

// For http::ServerOptions::error_body.
http::ErrorBody server_error(unsigned status, std::string_view message);

} // namespace berth::api
