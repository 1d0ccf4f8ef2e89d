#!/usr/bin/env bash
# Runs once before all other services: creates the shared keys, the tables and the first user.
set -euo pipefail

keys=${KEYS:-/opt/airflow/keys}
umask 077

# Existing keys are kept: with another Fernet key, stored tokens could not be decrypted.
make_key() {
    [ -s "$keys/$1" ] || { python -c "$2" >"$keys/$1.new" && mv "$keys/$1.new" "$keys/$1"; }
}
make_key fernet_key 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'
make_key jwt_secret 'import secrets; print(secrets.token_hex(64))'
make_key secret_key 'import secrets; print(secrets.token_hex(32))'

airflow db migrate
airflow users create --username "$ADMIN_USER" --password "$ADMIN_PASSWORD" --role Admin \
    --firstname Admin --lastname Admin --email admin@example.com
