# car_socketio_client(out): the stock Socket.IO client, with its licences, as the page loads it where it is chosen: a list
# of NAME=FILE for tools/embed. npm fetches what tools/embed/package-lock.json pins, by version and by hash, when that
# file has changed since it last did.

option(CARILLON_SOCKETIO_CLIENT "Let the page speak Socket.IO: npm fetches the stock client, once, when this is configured" ON)

function(car_socketio_client out)
  set(${out} "" PARENT_SCOPE)
  if(NOT CARILLON_SOCKETIO_CLIENT)
    return()
  endif()
  set(source "${PROJECT_SOURCE_DIR}/tools/embed")
  set(folder "${PROJECT_BINARY_DIR}/npm")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}/package-lock.json")

  file(SHA256 "${source}/package-lock.json" wanted)
  set(fetched "")
  if(EXISTS "${folder}/fetched")
    file(READ "${folder}/fetched" fetched)
  endif()
  if(NOT fetched STREQUAL wanted)
    file(COPY "${source}/package.json" "${source}/package-lock.json" DESTINATION "${folder}")
    execute_process(
      COMMAND npm ci --prefer-offline --ignore-scripts --no-audit --no-fund --no-progress
      WORKING_DIRECTORY "${folder}"
      RESULT_VARIABLE code
      OUTPUT_VARIABLE said
      ERROR_VARIABLE said)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "npm has not fetched the Socket.IO client (${code}), which wants npm and, the first time, its "
        "registry. -DCARILLON_SOCKETIO_CLIENT=OFF builds without it: the page then has WebSocket and Server-Sent Events, "
        "and the server is the same.\n${said}")
    endif()
    file(WRITE "${folder}/fetched" "${wanted}")
  endif()

  # What the bundle is made of.
  set(packages socket.io-client engine.io-client engine.io-parser socket.io-parser @socket.io/component-emitter)
  set(files "js/vendor/socket.io.esm.min.js=${folder}/node_modules/socket.io-client/dist/socket.io.esm.min.js")
  foreach(package IN LISTS packages)
    get_filename_component(name "${package}" NAME)
    list(APPEND files "js/vendor/${name}.LICENSE.txt=${folder}/node_modules/${package}/LICENSE")
  endforeach()
  set(${out} "${files}" PARENT_SCOPE)
endfunction()
