# Programs over the store: unit tests, fuzz targets, command line. Each is left out where it has no source.

# Fuzz targets are built by another compiler, so they have a build folder of their own, without the rest.
if(STRATA_FUZZ)
  file(GLOB fuzz_sources CONFIGURE_DEPENDS fuzz/*.cc)
  foreach(source ${fuzz_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE strata_store -fsanitize=fuzzer)
  endforeach()
  return()
endif()

# Unit tests belong to the build with sanitizers, which builds nothing else; the server's builds need not wait for them.
if(NOT STRATA_SERVER)
  file(GLOB unit_sources CONFIGURE_DEPENDS test/unit/*.cc)
  if(unit_sources)
    find_package(GTest REQUIRED)
    include(GoogleTest)
    add_executable(strata_unit ${unit_sources})
    target_include_directories(strata_unit PRIVATE test/unit)
    target_link_libraries(strata_unit PRIVATE strata_store GTest::gtest_main)
    target_compile_definitions(strata_unit PRIVATE STRATA_GOLDEN="${PROJECT_SOURCE_DIR}/test/golden")
    gtest_discover_tests(strata_unit DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
    add_executable(strata_golden EXCLUDE_FROM_ALL test/golden/make_store.cc)
    target_include_directories(strata_golden PRIVATE test/unit)
    target_link_libraries(strata_golden PRIVATE strata_store)
  endif()
  return()
endif()

file(GLOB tool_sources CONFIGURE_DEPENDS tools/*.cc)
if(tool_sources)
  find_package(CLI11 REQUIRED)
  find_package(fmt REQUIRED)
  add_executable(pg_strata ${tool_sources})
  target_link_libraries(pg_strata PRIVATE strata_store CLI11::CLI11 fmt::fmt)
endif()

# What tests change a store with.
add_executable(strata_mutate test/mutations/mutate_store.cc)
target_link_libraries(strata_mutate PRIVATE strata_store)
