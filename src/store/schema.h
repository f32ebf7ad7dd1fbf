// SPDX-License-Identifier: Apache-2.0
// The store's tables; docs/formats/store.md explains them.
#pragma once

#include <array>
#include <string_view>

namespace berth::store {

// Step i brings the database from version i to i + 1. Never change a step that was released.
inline constexpr std::array<std::string_view, 4> schema_steps{
    R"sql(
CREATE TABLE layers (
    chain_id TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,
    parent TEXT REFERENCES layers (chain_id),
    size INTEGER NOT NULL,
    created INTEGER NOT NULL,
    boot_id TEXT
) STRICT;
CREATE INDEX layers_parent ON layers (parent);
CREATE TABLE layer_blobs (
    diff_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (diff_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX layer_blobs_digest ON layer_blobs (digest);
CREATE TABLE writable_layers (
    id TEXT PRIMARY KEY,
    parent TEXT REFERENCES layers (chain_id),
    write_mode INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX writable_layers_parent ON writable_layers (parent);
CREATE TABLE images (
    id TEXT PRIMARY KEY,
    config BLOB NOT NULL,
    chain_id TEXT REFERENCES layers (chain_id),
    size INTEGER NOT NULL,
    parent TEXT,
    manifest TEXT,
    manifest_type TEXT,
    tagged INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL
) STRICT;
CREATE INDEX images_parent ON images (parent);
CREATE INDEX images_chain_id ON images (chain_id);
CREATE TABLE image_names (
    name TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX image_names_image ON image_names (image);
CREATE TABLE image_digests (
    name TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (name, image)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_digests_image ON image_digests (image);
)sql",
    R"sql(
ALTER TABLE writable_layers ADD COLUMN driver TEXT NOT NULL DEFAULT 'overlay2';
)sql",
    R"sql(
ALTER TABLE image_names ADD COLUMN image_index TEXT;
CREATE TABLE image_platforms (
    name TEXT NOT NULL REFERENCES image_names (name) ON DELETE CASCADE,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (name, image)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_platforms_image ON image_platforms (image);
)sql",
    R"sql(
ALTER TABLE writable_layers ADD COLUMN mount_points INTEGER NOT NULL DEFAULT 0;
)sql"};

} // namespace berth::store
