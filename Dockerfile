# syntax=docker/dockerfile:1
# The server alone; its PostgreSQL runs beside it (docker-compose.yml).

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin hikikae \
    && install -D target/release/hikikae /out/hikikae

FROM debian:bookworm-slim
# What slips are printed with.
RUN apt-get update \
    && apt-get install -y --no-install-recommends fonts-ipaexfont-gothic fonts-noto-cjk \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /var/lib/hikikae --create-home --shell /usr/sbin/nologin hikikae
COPY --from=build /out/hikikae /usr/local/bin/hikikae
USER hikikae
WORKDIR /var/lib/hikikae
VOLUME /var/lib/hikikae
EXPOSE 8080
ENTRYPOINT ["hikikae"]
CMD ["serve", "--config", "/run/secrets/hikikae.toml"]
