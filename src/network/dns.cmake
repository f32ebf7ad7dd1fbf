# The embedded DNS server: alone it links ldns.
berth_library(network_dns
  SOURCES  dns_cache.cpp dns_client.cpp dns_exchange.cpp dns_forwarder.cpp dns_message.cpp
           dns_names.cpp dns_server.cpp dns_sockets.cpp dns_tcp.cpp dns_upstreams.cpp
  TESTS    dns_cache_test.cpp dns_message_test.cpp dns_names_test.cpp dns_server_test.cpp
           dns_test_support.cpp ../kernel/netlink_test_support.cpp
  USES     base kernel_netlink network
  EXTERNAL PkgConfig::ldns)
