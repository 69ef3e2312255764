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
COPY deploy/first-start.sh deploy/
COPY src src
# A fresh volume takes over the owner of the folder that it is mounted on.
RUN ln -s /app/src/main.ts /usr/local/bin/ticket-broker \
  && install -d -o node -g node -m 700 /var/lib/ticket-broker/secrets /var/lib/ticket-broker/accounts
USER node
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["node", "-e", \
  "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["ticket-broker", "serve"]
