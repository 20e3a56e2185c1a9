# narthex alone: docker build -t narthex . && docker run -p 127.0.0.1:6364:6364 -v narthex:/var/lib/narthex narthex
# docker-compose.yml has the stack around it.

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
# bars/ is a member of the workspace, without which Cargo does not read it; it is not built.
COPY Cargo.toml Cargo.lock ./
COPY bars bars
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin narthex \
 && strip --strip-debug -o /narthex target/release/narthex

FROM debian:trixie-slim
RUN useradd --system --uid 6364 --no-create-home --shell /usr/sbin/nologin narthex \
 && install -d -o narthex -g narthex -m 0750 /var/lib/narthex
COPY --from=build /narthex /usr/local/bin/narthex
USER narthex
# Every interface of the container; who reaches them is up to the ports that are published. Without credentials the
# admin routes are off here (docs/operations.md).
ENV NARTHEX_LISTEN=:6364 \
    NARTHEX_DATA=/var/lib/narthex
EXPOSE 6364
VOLUME /var/lib/narthex
# Ready means that the log is replayed. The start period is for that of a large head.
HEALTHCHECK --interval=5s --timeout=6s --start-period=5m --retries=3 CMD ["narthex", "health"]
ENTRYPOINT ["narthex"]
CMD ["serve"]
