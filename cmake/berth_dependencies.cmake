# Every library that is not ours, as an imported target. All are Debian packages (tools/install_dependencies).
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(GTest REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(CURL REQUIRED)
set(Boost_USE_STATIC_LIBS ON) # the static programs need the .a
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS json)
find_package(PkgConfig REQUIRED)
foreach(module libseccomp libcap-ng libmnl libisal libzstd libarchive)
  string(REGEX REPLACE "^lib" "" short ${module})
  pkg_check_modules(${short} REQUIRED IMPORTED_TARGET ${module})
endforeach()
pkg_check_modules(ldns REQUIRED IMPORTED_TARGET ldns)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1)
# Use: PkgConfig::ldns PkgConfig::seccomp PkgConfig::cap-ng PkgConfig::mnl PkgConfig::isal PkgConfig::zstd PkgConfig::archive PkgConfig::yaml
# The messages of BuildKit's protocols need protobuf's small half; gRPC itself is berth-grpc.so's alone.
find_program(BERTH_PROTOC protoc REQUIRED)
pkg_check_modules(protobuf REQUIRED IMPORTED_TARGET protobuf-lite)
# By name: pkg-config goes through a hundred modules for gRPC, twenty times, which takes 17 s.
foreach(library grpc++_unsecure grpc_unsecure gpr)
  find_library(BERTH_${library} ${library} REQUIRED)
  list(APPEND BERTH_GRPC ${BERTH_${library}})
endforeach()
find_library(BERTH_RE2 re2 REQUIRED) # whose pkg-config has flags that the precompiled headers have not
