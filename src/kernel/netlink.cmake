berth_library(kernel_netlink
  SOURCES  netlink_address.cpp netlink_conntrack.cpp netlink_ipsec.cpp netlink_link_watch.cpp netlink_local_route.cpp netlink_message.cpp netlink_namespace.cpp
           netlink_parse.cpp netlink_queue.cpp netlink_route.cpp netlink_route_watch.cpp netlink_socket.cpp nftables.cpp
           nftables_list.cpp nftables_monitor.cpp nftables_rule.cpp nftables_rule_actions.cpp
  TESTS    netlink_address_test.cpp netlink_link_watch_test.cpp netlink_message_test.cpp netlink_route_test.cpp netlink_test_support.cpp
           nftables_test.cpp
  USES     base
  EXTERNAL PkgConfig::mnl)
