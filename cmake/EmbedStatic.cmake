include(SocketioClient)

# car_embed_static(target): adds a generated source to the target that holds the files of static/, and the Socket.IO client
# (car_assets[] of include/carillon/api/assets.h). tools/embed writes it, anew when a file under static/ changes, comes
# or goes.
function(car_embed_static target)
  set(root "${PROJECT_SOURCE_DIR}/static")
  set(output "${PROJECT_BINARY_DIR}/generated/assets_data.c")
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${root}" "${root}/*")
  list(FILTER files EXCLUDE REGEX "(^|/)\\.|~$") # an editor's leftovers are nobody's asset
  list(TRANSFORM files PREPEND "${root}/" OUTPUT_VARIABLE inputs)
  car_socketio_client(client)
  list(TRANSFORM client REPLACE "^.*=" "" OUTPUT_VARIABLE fetched)

  if(NOT TARGET carillon_embed)
    add_executable(carillon_embed "${PROJECT_SOURCE_DIR}/tools/embed/embed.c")
    target_link_libraries(carillon_embed PRIVATE carillon_flags PkgConfig::Deflate OpenSSL::Crypto)
  endif()

  file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/generated")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND carillon_embed "${output}" "${root}" ${files} ${client}
    DEPENDS carillon_embed ${inputs} ${fetched}
    COMMENT "Embedding static/"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()
