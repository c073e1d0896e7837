# The layer store, and what is built on nothing but it: unit tests, fuzz targets.
#
# Its include path is src/ alone: a header of PostgreSQL cannot be reached from here.

find_package(PkgConfig REQUIRED)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

file(GLOB store_sources CONFIGURE_DEPENDS src/store/*.cc)
add_library(strata_store STATIC ${store_sources})
set_target_properties(strata_store PROPERTIES LINKER_LANGUAGE CXX CXX_EXTENSIONS OFF)
target_compile_options(strata_store PRIVATE -Wpedantic)
target_include_directories(strata_store PUBLIC src)
target_link_libraries(strata_store PUBLIC PkgConfig::zstd PkgConfig::xxhash)
