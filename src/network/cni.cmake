# CNI networks: alone of the networks they start programs and speak JSON.
berth_library(network_cni
  SOURCES  cni_attachments.cpp cni_chain.cpp cni_configuration.cpp cni_plugin.cpp cni_result.cpp
  TESTS    cni_chain_test.cpp cni_configuration_test.cpp cni_plugin_test.cpp cni_attachments_test.cpp cni_test_support.cpp
  USES     base kernel kernel_netlink codec)
