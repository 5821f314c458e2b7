// checkpoint/directory_hash.h: proof that a checkpoint folder is whole and unchanged.
#pragma once

#include <string>

#include "longgen/base/files.h"

namespace longgen {

/// The manifest's name inside the folder.
inline constexpr const char* kManifestName = "manifest.json";

/// XXH3-64 of a file's bytes, as 16 hex digits.
std::string hash_file(const fs::path& path);

/// Lists every file below `directory` (hidden ones and an older manifest left out) with its size
/// and hash in directory/manifest.json. Call it last, before the folder is renamed into place.
/// Returns the hash of the manifest, which stands for the whole folder.
std::string write_manifest(const fs::path& directory);

/// Reads every file that the manifest names and returns the manifest's hash. Throws Error naming
/// the first one that is missing or has another size or hash. Files that the manifest does not name
/// are left alone: a user may have put notes beside a checkpoint.
std::string verify_manifest(const fs::path& directory);

}  // namespace longgen
