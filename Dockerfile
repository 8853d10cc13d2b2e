# The gateway, and the sample AUTH service in the same binary.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies first, around empty crates: this layer is built anew only when they change.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY migration/Cargo.toml migration/
RUN mkdir -p src benches migration/src \
    && for file in src/lib.rs migration/src/lib.rs; do echo '//! Nothing yet.' > "$file"; done \
    && for file in src/main.rs benches/edge.rs; do printf '//! Nothing yet.\nfn main() {}\n' > "$file"; done \
    && cargo build --release --locked --features docker --bin gateway

COPY build.rs gateway.toml ./
COPY migration/src migration/src
COPY src src
# What was built from the empty files must look older than the real ones.
RUN touch build.rs src/main.rs src/lib.rs migration/src/lib.rs && cargo build --release --locked --features docker --bin gateway

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN useradd --system --uid 10001 --no-create-home gateway && install -d -o gateway -g gateway /gateway/data
COPY --from=build /build/target/release/gateway /usr/local/bin/gateway
USER gateway
# Where sqlite://data/gateway.db, gateway.toml and .env are looked for. Nothing else is written to: the root may be read-only.
WORKDIR /gateway
COPY gateway.toml ./
# Nothing is set here: without settings the gateway is in production, and says what it needs.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=75s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
