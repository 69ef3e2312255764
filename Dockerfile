# Runs once before the others, see deploy/first-start.sh. The others have no need of openssl.
FROM node:24-slim AS first-start
RUN apt-get update && apt-get install -y --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*
WORKDIR /app/deploy
# A fresh volume takes over the owner of the folder that it is mounted on. Redis and Prometheus write to theirs: the
# numbers are those of their images' own users.
RUN cd /var/lib && install -d -o node -g node -m 750 ticket-broker && cd ticket-broker \
  && install -d -o node -g node -m 700 secrets accounts \
  && install -d -o node -g node -m 750 redis-login redis-users tls \
  && install -d -o 999 -g node -m 700 redis-data sentinel-data \
  && install -d -o 65534 -g 65534 -m 700 prometheus-data
COPY deploy/first-start.sh deploy/certificate.cnf ./
COPY deploy/redis/*.acl redis/
USER node
CMD ["sh", "first-start.sh"]

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No package's own script runs: bcrypt and argon2 bring their binaries along, which is checked at once.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && node -e "require('bcrypt'); require('@node-rs/argon2')"

FROM node:24-slim
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json openapi.yaml LICENSE ./
COPY src src
RUN ln -s /app/src/main.ts /usr/local/bin/ticket-broker
USER node
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["node", "-e", \
  "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["ticket-broker", "serve"]
