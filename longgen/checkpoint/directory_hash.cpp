#include "longgen/checkpoint/directory_hash.h"

#include "longgen/base/check.h"
#include "longgen/base/json.h"

namespace longgen {

std::string hash_file(const fs::path& path) { return hash_hex(MappedFile(path).bytes()); }

std::string write_manifest(const fs::path& directory) {
  const fs::path manifest = directory / kManifestName;
  Json files = Json::object();
  for (const fs::path& path : list_files(directory)) {
    if (path == manifest) continue;
    const MappedFile file(path);
    files[path.lexically_relative(directory).generic_string()] = {{"bytes", file.bytes().size()},
                                                                  {"xxh3", hash_hex(file.bytes())}};
  }
  const std::string text = dump_json(Json{{"files", std::move(files)}}, 1) + "\n";
  write_file(manifest, text);
  return hash_hex(text);
}

std::string verify_manifest(const fs::path& directory) {
  const fs::path manifest = directory / kManifestName;
  const std::string text = read_file(manifest);
  const Json value = parse_json(text, manifest.string());
  const JsonObject files = JsonObject(value, manifest.string()).object("files");
  for (const auto& [name, unused] : files.value().items()) {
    const JsonObject expected = files.object(name);
    const fs::path path = join_inside(directory, name);
    LG_CHECK(fs::exists(path), path.string(), ": named in ", kManifestName, ", but missing.");
    const MappedFile file(path);
    const auto found_bytes = static_cast<int64_t>(file.bytes().size());
    const int64_t expected_bytes = expected.integer("bytes", 0, INT64_MAX);
    LG_CHECK(found_bytes == expected_bytes, path.string(), ": expected ", expected_bytes,
             " bytes as in ", kManifestName, ", found ", found_bytes, ".");
    const std::string found_hash = hash_hex(file.bytes());
    LG_CHECK(found_hash == expected.string("xxh3"), path.string(), ": expected XXH3 ",
             expected.string("xxh3"), " as in ", kManifestName, ", found ", found_hash,
             ": the file has changed.");
  }
  return hash_hex(text);
}

}  // namespace longgen
