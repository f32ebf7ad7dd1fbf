# Headers that most sources include, compiled once: half of a clean build's time is theirs (docs/decisions/0013).
# Each with the flags of those who use it: core for libraries, engine for the engine, runtime for the runtime, and one with
# GoogleTest for the tests of each of these, since loading what a test does not use costs it more than it saves.
# The carriers below have no other purpose. ccache must know that a precompiled header stands for what it includes.
add_compile_definitions(BOOST_CONTAINER_NO_LIB BOOST_JSON_NO_LIB) # else only those that link Boost have them
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endif()

function(berth_precompiled name)
  set(carrier berth_precompiled_${name})
  if(name MATCHES "test$")
    add_executable(${carrier} EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/cmake/precompiled/carrier.cpp)
    target_link_libraries(${carrier} PRIVATE GTest::gmock GTest::gtest_main)
    target_compile_options(${carrier} PRIVATE ${BERTH_TEST_OPTIONS})
    set_target_properties(${carrier} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/CMakeFiles) # no test to run
  else()
    add_library(${carrier} OBJECT EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/cmake/precompiled/carrier.cpp)
  endif()
  target_include_directories(${carrier} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/cmake)
  if(name STREQUAL "runtime")
    target_compile_options(${carrier} PRIVATE $<$<CONFIG:Release>:-Os>) # as berth_runtime has
  endif()
  target_precompile_headers(${carrier} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled/${name}.h)
endfunction()

foreach(name core engine runtime test engine_test runtime_test)
  berth_precompiled(${name})
endforeach()
