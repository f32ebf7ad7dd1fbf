# berth_protobuf(name FOLDER folder MESSAGES files…) makes the static library berth_<name> of the messages in these .proto files;
# their headers are "folder/file.pb.h". What protoc writes is not ours to warn about.
function(berth_protobuf name)
  cmake_parse_arguments(ARG "" "FOLDER" "MESSAGES" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/generated/${ARG_FOLDER})
  file(MAKE_DIRECTORY ${out})
  set(generated)
  foreach(message ${ARG_MESSAGES})
    set(source ${CMAKE_SOURCE_DIR}/src/${ARG_FOLDER}/${message}.proto)
    add_custom_command(OUTPUT ${out}/${message}.pb.cc ${out}/${message}.pb.h
      COMMAND ${BERTH_PROTOC} --proto_path=${CMAKE_SOURCE_DIR}/src/${ARG_FOLDER} --cpp_out=${out} ${source}
      DEPENDS ${source} VERBATIM)
    # Now as well: clang-tidy reads a configuration that is never built.
    if(NOT ${out}/${message}.pb.h IS_NEWER_THAN ${source} OR NOT EXISTS ${out}/${message}.pb.h)
      execute_process(COMMAND ${BERTH_PROTOC} --proto_path=${CMAKE_SOURCE_DIR}/src/${ARG_FOLDER} --cpp_out=${out} ${source}
        COMMAND_ERROR_IS_FATAL ANY)
    endif()
    list(APPEND generated ${out}/${message}.pb.cc)
  endforeach()
  add_library(berth_${name} STATIC ${generated})
  target_compile_options(berth_${name} PRIVATE -w)
  # As a system's headers; ${out} itself, because the messages include one another by their bare names.
  target_include_directories(berth_${name} SYSTEM PUBLIC ${CMAKE_BINARY_DIR}/generated ${out})
  target_link_libraries(berth_${name} PUBLIC PkgConfig::protobuf)
endfunction()
