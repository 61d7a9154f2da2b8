#!/usr/bin/env bash
# From a table of PostgreSQL to rows in the warehouse, with nothing but the command line. Needs a platform (`headrace up`)
# and, in the environment: DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD, DB_TABLE, DB_KEY, DB_CURSOR, DATASET (domain.name).
set -euo pipefail

file="${DATASET#*.}.yaml"
secret="${DATASET%%.*}-db"
source=(
  -s type=sql -s database=postgresql -s "host=$DB_HOST" -s "port=$DB_PORT" -s "name=$DB_NAME"
  -s "user=$DB_USER" -s "password=secret://$secret" -s "table=$DB_TABLE" -s "cursor=$DB_CURSOR" -s "key=[$DB_KEY]"
)

printf '%s' "$DB_PASSWORD" | headrace secret set "$secret" -
headrace source check "${source[@]}"
headrace source propose "${source[@]}" --name "$DATASET" --out "$file"
headrace apply -f "$file" --wait
headrace query "SELECT count() AS rows FROM $DATASET"
