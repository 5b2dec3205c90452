# One image, built from Debian alone. BASE may be any Debian 12 or later with apt.
ARG BASE=debian:12-slim

FROM ${BASE} AS build
WORKDIR /src
COPY tools/lib/ tools/lib/
RUN bash -c '. tools/lib/packages.sh && install_packages build'
COPY CMakeLists.txt ./
COPY cmake/ cmake/
COPY include/ include/
COPY src/ src/
COPY static/ static/
COPY tools/embed/ tools/embed/
RUN cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCARILLON_TESTS=OFF \
    && cmake --build build --target carillon \
    && bash -c '. tools/lib/packages.sh && runtime_packages build/carillon' > runtime-packages \
    && cat runtime-packages

FROM ${BASE}
COPY --from=build /src/runtime-packages /tmp/runtime-packages
RUN apt-get update \
    && xargs env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends < /tmp/runtime-packages \
    && rm -rf /var/lib/apt/lists/* /tmp/runtime-packages
COPY --from=build /src/build/carillon /usr/local/bin/carillon

LABEL org.opencontainers.image.title="Carillon" \
      org.opencontainers.image.description="A real-time multi-tenant event feed server" \
      org.opencontainers.image.licenses="MIT"

# No root, and nothing is written but the events, in a volume: run it with a read-only root and without capabilities.
RUN install -d -m 0750 -o 10001 -g 10001 /data
VOLUME /data
USER 10001:10001
EXPOSE 8080
# Settings are variables, so that the health check, and whoever runs another command in the container, knows them, too.
# On every address means --auth key: CARILLON_ADMIN_KEY makes an administrator, who makes tenants and their keys.
ENV CARILLON_HOST=0.0.0.0 CARILLON_STORE=sqlite:/data/carillon.db
ENTRYPOINT ["/usr/local/bin/carillon"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/carillon", "health"]
