// checkpoint/directory_hash.h: proof that a checkpoint folder is whole and unchanged.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/base/files.h"

namespace longgen {

/// The manifest's name inside the folder.
inline constexpr const char* kManifestName = "manifest.json";

/// The largest manifest that is read: room for a million files.
inline constexpr int64_t kMaxManifestBytes = 100'000'000;

/// XXH3-64 of a file's bytes, as 16 hex digits.
std::string hash_file(const fs::path& path);

/// One hash for all files below `directory`: their names, sizes and bytes (hidden files and the
/// manifest left out). Reads every byte. The same as write_manifest() returns, but writes nothing.
std::string hash_directory(const fs::path& directory);

/// Lists every file below `directory` (hidden ones and an older manifest left out) with its size
/// and hash in directory/manifest.json. Call it last, before the folder is renamed into place.
/// Returns the hash of the manifest, which stands for the whole folder.
std::string write_manifest(const fs::path& directory);

/// Reads every file that the manifest names and returns the manifest's hash. Throws Error naming
/// the first one that is missing or has another size or hash. Files that the manifest does not name
/// are left alone: a user may have put notes beside a checkpoint.
std::string verify_manifest(const fs::path& directory);

}  // namespace longgen
