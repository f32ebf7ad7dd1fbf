#!/bin/sh
# PostgreSQL whose files lie in the volume, open to the networks it is on.
set -e
export PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
files=/var/lib/postgresql/files
if [ ! -d $files ]; then
    initdb -A trust -D $files.part
    echo "host all all all trust" >>$files.part/pg_hba.conf
    echo "CREATE TABLE visits (id serial)" | postgres --single -D $files.part postgres
    mv $files.part $files
fi
exec postgres -D $files -c listen_addresses='*' -c unix_socket_directories=
